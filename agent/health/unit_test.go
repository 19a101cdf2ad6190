package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// groups makes a tree of control groups with their processes.
func groups(t *testing.T, tree map[string][]int) cgroups {
	t.Helper()
	root := t.TempDir()
	for name, pids := range tree {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(strings.Trim(fmt.Sprint(pids), "[]")), "\n")
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "cgroup.controllers"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return cgroups(root)
}

// id is the number of a control group.
func (c cgroups) id(t *testing.T, name string) uint64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(string(c), name))
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

const webGroup = "/system.slice/web.service"

func in(groups ...string) func(context.Context) ([]string, error) {
	return func(context.Context) ([]string, error) { return groups, nil }
}

func TestUnitListener(t *testing.T) {
	c := groups(t, map[string][]int{
		webGroup: {10}, webGroup + "/worker": {11}, "/system.slice/default-page.service": {12}, "/init.scope": {1},
		"/system.slice/docker.service": {13}, "/system.slice/docker-0123.scope": {14}, "/machine.slice/web.scope": {15},
		"/user.slice/user-0.slice/session-3.scope": {16},
	})
	const addr = "127.0.0.1:8080"
	at := func(bound, group string) socket {
		return socket{bound: netip.MustParseAddrPort(bound), cgroup: c.id(t, group)}
	}
	unknown := socket{bound: netip.MustParseAddrPort(addr)}
	elsewhere := socket{bound: netip.MustParseAddrPort(addr), cgroup: 1 << 60}
	for _, tt := range []struct {
		name    string
		sockets []socket
		is      error
		want    string
	}{
		{"the app's", []socket{at(addr, webGroup)}, nil, ""},
		{"of a group below the app's", []socket{at(addr, webGroup+"/worker")}, nil, ""},
		{"the app's on every address", []socket{at("0.0.0.0:8080", webGroup)}, nil, ""},
		{"another unit's", []socket{at(addr, "/system.slice/default-page.service")}, ErrListener, "default-page.service listens on 127.0.0.1:8080, not web.service"},
		{"a person's", []socket{at(addr, "/user.slice/user-0.slice/session-3.scope")}, ErrListener, "session-3.scope listens"},
		{"shared with another unit", []socket{at(addr, webGroup), at(addr, "/system.slice/default-page.service")}, ErrListener, "default-page.service"},
		{"another unit's on every address, which the app's hides", []socket{at("0.0.0.0:8080", "/system.slice/default-page.service"), at(addr, webGroup)}, nil, ""},
		{"the app's on another port", []socket{at("127.0.0.1:8081", webGroup)}, ErrUnseen, "no such socket"},
		{"systemd's", []socket{at(addr, "/init.scope")}, ErrUnseen, "the socket is systemd's own"},
		{"docker's proxy", []socket{at(addr, "/system.slice/docker.service")}, ErrUnseen, "container engine's, docker.service"},
		{"a container's", []socket{at(addr, "/system.slice/docker-0123.scope")}, ErrUnseen, "container engine's"},
		{"a machine's", []socket{at(addr, "/machine.slice/web.scope")}, ErrUnseen, "container engine's"},
		{"of another machine", []socket{elsewhere}, ErrUnseen, "outside of this machine's"},
		{"of an old kernel", []socket{unknown}, ErrUnseen, "Linux 5.7"},
		{"none", nil, ErrUnseen, "no such socket in this network namespace"},
	} {
		u := &unitListener{Unit: Unit{Name: "web.service", Cgroups: in(webGroup)}, addr: addr, cgroups: c,
			sockets: func(uint16) ([]socket, error) { return tt.sockets, nil }}
		why, err := u.Gone(t.Context())
		switch {
		case why != "":
			t.Errorf("%s: gone: %s", tt.name, why)
		case errors.Is(tt.is, ErrUnseen):
			if err != nil || !strings.Contains(u.note, tt.want) || !strings.HasSuffix(u.note, "what answers may not be web.service") {
				t.Errorf("%s: %v, note %q; want %q", tt.name, err, u.note, tt.want)
			}
		case !errors.Is(err, tt.is) || u.note != "" || tt.want != "" && !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: %v, note %q; want %q", tt.name, err, u.note, tt.want)
		}
	}
}

func TestUnitListenerCannotSee(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*unitListener)
		want   string
	}{
		"netlink is closed":   {func(u *unitListener) { u.sockets = func(uint16) ([]socket, error) { return nil, syscall.EAFNOSUPPORT } }, syscall.EAFNOSUPPORT.Error()},
		"cgroup v1":           {func(u *unitListener) { u.cgroups = cgroups(t.TempDir()) }, "no cgroup v2"},
		"no control group":    {func(u *unitListener) { u.Cgroups = in() }, "web.service has no processes of its own"},
		"the host is a name":  {func(u *unitListener) { u.addr = "web.internal:80" }, "the host is not an address"},
		"another one answers": {func(u *unitListener) { u.addr = "10.0.0.1:80" }, "no such socket"},
	} {
		u := &unitListener{Unit: Unit{Name: "web.service", Cgroups: in(webGroup)}, addr: "127.0.0.1:8080", cgroups: groups(t, map[string][]int{webGroup: {10}}),
			sockets: func(uint16) ([]socket, error) { return nil, nil }}
		tt.change(u)
		if _, err := u.Gone(t.Context()); err != nil || !strings.Contains(u.note, tt.want) {
			t.Errorf("%s: %v, note %q; want %q", name, err, u.note, tt.want)
		}
	}
}

// A process that was there before the start may be what answers, in the very
// control group of the app.
func TestSurvivor(t *testing.T) {
	worker := exec.Command("sleep", "60")
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = worker.Process.Kill() })
	earlier, err := os.FindProcess(worker.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	c := groups(t, map[string][]int{webGroup: {worker.Process.Pid, 1 << 30}})
	u := &unitListener{
		Unit: Unit{Name: "web.service", Cgroups: in(webGroup), Earlier: []*os.Process{earlier}}, addr: "127.0.0.1:8080", cgroups: c,
		sockets: func(uint16) ([]socket, error) {
			return []socket{{bound: netip.MustParseAddrPort("127.0.0.1:8080"), cgroup: c.id(t, webGroup)}}, nil
		},
	}
	want := fmt.Sprintf("pid %d is older than this start of web.service", worker.Process.Pid)
	if _, err := u.Gone(t.Context()); !errors.Is(err, ErrSurvivor) || !strings.Contains(err.Error(), want) {
		t.Errorf("Gone = %v, want %q", err, want)
	}
	_ = errors.Join(worker.Process.Kill(), worker.Wait()) // another process may have its number now
	if _, err := u.Gone(t.Context()); err != nil {
		t.Errorf("Gone once it has ended: %v", err)
	}
}

// An app of several units has several control groups: any of them may answer, and
// none may have been left by an earlier start.
func TestUnitListenerOfSeveral(t *testing.T) {
	const workerGroup = "/system.slice/worker.service"
	c := groups(t, map[string][]int{webGroup: {10}, workerGroup: {os.Getpid()}, "/system.slice/page.service": {12}})
	answers := webGroup
	u := &unitListener{Unit: Unit{Name: "web.service", Cgroups: in(webGroup, workerGroup)}, addr: "127.0.0.1:8080", cgroups: c,
		sockets: func(uint16) ([]socket, error) {
			return []socket{{bound: netip.MustParseAddrPort("127.0.0.1:8080"), cgroup: c.id(t, answers)}}, nil
		}}
	for group, is := range map[string]error{webGroup: nil, workerGroup: nil, "/system.slice/page.service": ErrListener} {
		answers = group
		if why, err := u.Gone(t.Context()); why != "" || !errors.Is(err, is) {
			t.Errorf("%s: %q, %v", group, why, err)
		}
	}
	answers = webGroup
	me, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	u.Earlier = []*os.Process{me}
	if _, err := u.Gone(t.Context()); !errors.Is(err, ErrSurvivor) {
		t.Errorf("a worker that was left: %v", err)
	}
	u.Cgroups = func(context.Context) ([]string, error) { return nil, errors.New("systemd does not answer") }
	if _, err := u.Gone(t.Context()); !errors.Is(err, ErrUnknown) {
		t.Errorf("without systemd: %v, want ErrUnknown", err)
	}
}

// Without a probe the units decide, and where they cannot be looked at nothing does.
func TestGateWithoutProbe(t *testing.T) {
	if _, err := (Gate{}).WaitUnit(t.Context(), Unit{Name: "worker.service", Process: judged{}, Cgroups: in()}); err != nil {
		t.Errorf("a worker that runs: %v", err)
	}
	if _, err := (Gate{}).WaitUnit(t.Context(), Unit{Name: "worker.service", Process: judged{why: "it is gone"}}); !errors.Is(err, ErrUnhealthy) {
		t.Errorf("a worker that is gone: %v", err)
	}
	if _, err := (Gate{}).WaitUnit(t.Context(), Unit{Name: "worker.service"}); err == nil {
		t.Error("a worker that was not looked at is healthy")
	}
	if _, err := (Gate{}).WaitSince(t.Context(), time.Now()); err == nil {
		t.Error("nothing was asked, and it is healthy")
	}
}

// systemd's state of the unit takes precedence.
func TestUnitListenerAsksTheProcess(t *testing.T) {
	u := &unitListener{Unit: Unit{Process: judged{why: "web.service is failed"}}, cgroups: cgroups(t.TempDir())}
	if why, err := u.Gone(t.Context()); why != "web.service is failed" || err != nil || u.note != "" {
		t.Errorf("Gone = %q, %v, note %q", why, err, u.note)
	}
	u.Process = judged{err: ErrUnknown}
	if why, err := u.Gone(t.Context()); why != "" || !errors.Is(err, ErrUnknown) {
		t.Errorf("Gone = %q, %v", why, err)
	}
}

func listenTCP(t *testing.T) string {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listen.Close() })
	return listen.Addr().String()
}

type judged struct {
	why string
	err error
}

func (j judged) Gone(context.Context) (string, error) { return j.why, j.err }

// "any" checks only the unit, and has no note.
func TestAnyListener(t *testing.T) {
	gate := Gate{Probe: Probe{TCP: listenTCP(t)}, AnyListener: true}
	for name, wait := range map[string]func() (Report, error){
		"a unit": func() (Report, error) {
			return gate.WaitUnit(t.Context(), Unit{Name: "web.service", Process: judged{}, Cgroups: in()})
		},
		"a command": func() (Report, error) { return gate.WaitSince(t.Context(), time.Now().Add(time.Hour)) },
	} {
		if report, err := wait(); err != nil || report.Note != "" {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
	if err := gate.CheckListener(t.Context(), Unit{Name: "web.service", Cgroups: in()}); err != nil {
		t.Errorf("CheckListener = %v", err)
	}
	if err := gate.CheckProcess(); err != nil {
		t.Errorf("CheckProcess = %v", err)
	}
	gate.AnyListener = false
	if err := gate.CheckProcess(); err != nil {
		t.Errorf("CheckProcess of this process = %v", err)
	}
	if err := (Gate{Probe: Probe{Ask: func(context.Context) error { return nil }}}).CheckProcess(); !errors.Is(err, ErrUnseen) {
		t.Errorf("CheckProcess without an address = %v, want ErrUnseen", err)
	}
	if report, err := gate.WaitUnit(t.Context(), Unit{Name: "web.service", Process: judged{}, Cgroups: in()}); err != nil || report.Note == "" {
		t.Errorf("a unit without a control group: %+v, %v; want a note", report, err)
	}
	if err := gate.CheckListener(t.Context(), Unit{Name: "web.service", Cgroups: in()}); !errors.Is(err, ErrUnseen) {
		t.Errorf("CheckListener = %v, want ErrUnseen", err)
	}
}
