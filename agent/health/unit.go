package health

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"strings"
	"syscall"
)

var (
	// ErrListener is an answer that is not the app's: something else listens on
	// the probe's address.
	ErrListener = errors.New("the app is not what answers")
	// ErrSurvivor is a process of the app from before this start that is still
	// running. It may be the one that answers.
	ErrSurvivor = errors.New("an earlier start of the app still runs")
)

// Unit is an app that systemd runs, as one unit or several.
type Unit struct {
	Process // its units; nil: they are not looked at

	Name    string                                  // of the unit that should answer
	Cgroups func(context.Context) ([]string, error) // the present control groups of all its units, as systemd names them
	Earlier []*os.Process                           // the processes in those before the start: see ProcessesIn; none of an app that was not started anew
}

// ProcessesIn are the processes of control groups, as systemd names those. Where the
// kernel has pidfd (Linux 5.3) a process is not confused with a later one of the
// same number. Where they cannot be seen there are none.
func ProcessesIn(groups []string) (all []*os.Process) {
	if cgroups(cgroupMount).checkVersion() != nil {
		return nil
	}
	pids, err := cgroups(cgroupMount).processes(groups)
	if err != nil {
		return nil
	}
	for pid := range pids {
		if p, err := os.FindProcess(pid); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// unitListener is the Process of a unit whose own processes must be what
// listens on the probe's address, and none of them older than the start.
type unitListener struct {
	Unit
	addr    string
	cgroups cgroups
	sockets func(port uint16) ([]socket, error)
	note    string // what the last look could not see
}

func (u *unitListener) Gone(ctx context.Context) (why string, err error) {
	if u.Process != nil {
		if why, err := u.Process.Gone(ctx); why != "" || err != nil {
			return why, err
		}
	}
	err = u.check(ctx)
	if u.note = ""; errors.Is(err, ErrUnseen) {
		u.note = fmt.Sprintf("%v: what answers may not be %s", err, u.Name)
		return "", nil
	}
	return "", err
}

func (u *unitListener) check(ctx context.Context) error {
	if err := u.cgroups.checkVersion(); err != nil {
		return err
	}
	groups, err := u.Cgroups(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if len(groups) == 0 {
		return fmt.Errorf("%w on %s: %s has no processes of its own", ErrUnseen, u.addr, u.Name)
	}
	if err := u.checkSurvivors(groups); err != nil {
		return err
	}
	asked, err := localAddresses(u.addr)
	if err != nil {
		return err
	}
	own, err := u.cgroups.below(groups...)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	sockets, err := u.answering(asked)
	if err != nil {
		return err
	}
	for _, s := range sockets {
		if _, ok := own[s.cgroup]; !ok {
			return u.stranger(s.cgroup)
		}
	}
	return nil
}

// checkSurvivors finds a process that was in one of the control groups before the
// start and still is: KillMode=process leaves some.
func (u *unitListener) checkSurvivors(groups []string) error {
	if len(u.Earlier) == 0 {
		return nil
	}
	now, err := u.cgroups.processes(groups)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	for _, p := range u.Earlier {
		if now[p.Pid] && !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone) {
			return fmt.Errorf("%w: pid %d is older than this start of %s", ErrSurvivor, p.Pid, u.Name)
		}
	}
	return nil
}

// answering are the sockets that a connection to one of the addresses reaches.
func (u *unitListener) answering(asked []netip.AddrPort) ([]socket, error) {
	all, err := u.sockets(asked[0].Port())
	if err != nil {
		return nil, fmt.Errorf("%w on %s: %w", ErrUnseen, u.addr, err)
	}
	var found []socket
	for _, a := range asked {
		found = append(found, answering(all, a)...)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w on %s: there is no such socket in this network namespace", ErrUnseen, u.addr)
	}
	return found, nil
}

// stranger is the error for a socket that was made in a control group other than
// the unit's. It is ErrUnseen where that group passes requests on to a process that
// cannot be seen.
func (u *unitListener) stranger(cgroup uint64) error {
	if cgroup == 0 {
		return fmt.Errorf("%w on %s: this kernel does not show the control group of a socket (Linux 5.7 does)", ErrUnseen, u.addr)
	}
	all, err := u.cgroups.below("/")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	found, ok := all[cgroup]
	name := path.Base(found)
	switch {
	case !ok || found == "/":
		return fmt.Errorf("%w on %s: the socket is of a control group outside of this machine's", ErrUnseen, u.addr)
	case name == "init.scope":
		return fmt.Errorf("%w on %s: the socket is systemd's own", ErrUnseen, u.addr)
	case runsContainers(found):
		return fmt.Errorf("%w on %s: the socket is a container engine's, %s", ErrUnseen, u.addr, name)
	}
	return fmt.Errorf("%w: %s listens on %s, not %s", ErrListener, name, u.addr, u.Name)
}

// runsContainers recognises the control groups of container engines and of their
// containers: engines pass a published port on, and make scopes for containers.
func runsContainers(cgroup string) bool {
	name := path.Base(cgroup)
	for _, engine := range []string{"docker", "containerd", "podman", "crio", "libpod", "kubelet"} {
		if strings.Contains(name, engine) {
			return true
		}
	}
	return strings.HasPrefix(cgroup, "/machine.slice/") || strings.HasPrefix(cgroup, "/kubepods")
}
