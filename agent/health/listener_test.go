package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// table is a proc file system with some sockets and the processes that have them open.
type table struct {
	fstest.MapFS
}

func newTable() table {
	const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	return table{fstest.MapFS{"net/tcp": {Data: []byte(header)}, "net/tcp6": {Data: []byte(header)},
		"self/fd/3": {Mode: fs.ModeSymlink, Data: []byte("socket:[11]")}}}
}

// listen adds a socket: ip as the kernel prints it, the port in hex.
func (tb table) listen(file, ip, port, inode string) table {
	line := fmt.Sprintf("   0: %s:%s 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 %s 1 0 100\n", ip, port, inode)
	tb.MapFS["net/"+file].Data = append(tb.MapFS["net/"+file].Data, line...)
	return tb
}

// connect adds a socket that is no longer, or not yet, one that listens.
func (tb table) connect(ip, port, inode string) table {
	tb.listen("tcp", ip, port, inode)
	lines := tb.MapFS["net/tcp"]
	lines.Data = bytes.ReplaceAll(lines.Data, []byte(" 0A "), []byte(" 01 "))
	return tb
}

// process adds one that started the given time after boot.
func (tb table) process(pid int, started time.Duration, inodes ...string) table {
	stat := fmt.Sprintf("%d (a) R 1 (b) c) S%s %d%s\n", pid, strings.Repeat(" 0", 18), started/tickLength, strings.Repeat(" 0", 30))
	tb.MapFS[fmt.Sprintf("%d/stat", pid)] = &fstest.MapFile{Data: []byte(stat)}
	tb.MapFS[fmt.Sprintf("%d/fd/0", pid)] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("/dev/null")}
	for i, inode := range inodes {
		link := &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("socket:[" + inode + "]")}
		tb.MapFS[fmt.Sprintf("%d/fd/%d", pid, i+3)] = link
	}
	return tb
}

// uptime is the time of a fixture's clock.
const uptime = time.Hour

func (tb table) proc(t *testing.T) proc {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, tb.MapFS); err != nil {
		t.Fatal(err)
	}
	return proc{dir, func() (time.Duration, error) { return uptime, nil }}
}

const (
	any4  = "00000000"
	loop4 = "0100007F"
	any6  = "00000000000000000000000000000000"
	loop6 = "00000000000000000000000001000000"
	maps4 = "0000000000000000FFFF00000100007F" // ::ffff:127.0.0.1
	p8080 = "1F90"
)

func TestListener(t *testing.T) {
	tests := []struct {
		name string
		tb   table
		addr string
		pid  int // 0: ErrUnseen
	}{
		{"bound to the address", newTable().listen("tcp", loop4, p8080, "11").process(7, 0, "11"), "127.0.0.1:8080", 7},
		{"bound to all", newTable().listen("tcp", any4, p8080, "11").process(7, 0, "11"), "127.0.0.1:8080", 7},
		{"bound to both families", newTable().listen("tcp6", any6, p8080, "11").process(7, 0, "11"), "127.0.0.1:8080", 7},
		{"bound to a mapped address", newTable().listen("tcp6", maps4, p8080, "11").process(7, 0, "11"), "127.0.0.1:8080", 7},
		{"IPv6", newTable().listen("tcp6", loop6, p8080, "11").process(7, 0, "11"), "[::1]:8080", 7},
		{"IPv6 is not served by IPv4", newTable().listen("tcp", any4, p8080, "11").process(7, 0, "11"), "[::1]:8080", 0},
		{"localhost", newTable().listen("tcp6", loop6, p8080, "11").process(7, 0, "11"), "localhost:8080", 7},
		{"no host", newTable().listen("tcp", loop4, p8080, "11").process(7, 0, "11"), ":8080", 7},
		{"any host", newTable().listen("tcp", loop4, p8080, "11").process(7, 0, "11"), "0.0.0.0:8080", 7},
		{"IPv4 before both families", newTable().listen("tcp6", any6, p8080, "12").listen("tcp", any4, p8080, "11").
			process(6, 0, "12").process(7, time.Minute, "11"), "127.0.0.1:8080", 7},
		{"the nearer of two", newTable().listen("tcp6", any6, p8080, "12").listen("tcp", loop4, p8080, "11").
			process(6, 0, "12").process(7, time.Minute, "11"), "127.0.0.1:8080", 7},
		{"the older of two on one port", newTable().listen("tcp", loop4, p8080, "11").listen("tcp", loop4, p8080, "12").
			process(6, time.Minute, "12").process(7, time.Second, "11"), "127.0.0.1:8080", 7},
		{"the older of two that share", newTable().listen("tcp", loop4, p8080, "11").
			process(6, time.Minute, "11").process(7, time.Second, "11"), "127.0.0.1:8080", 7},
		{"PID 1 passed it on", newTable().listen("tcp", loop4, p8080, "11").
			process(1, 0, "11").process(7, time.Second, "9", "11"), "127.0.0.1:8080", 7},
		{"PID 1 itself", newTable().listen("tcp", loop4, p8080, "11").process(1, 0, "11"), "127.0.0.1:8080", 1},
		{"a connection is no listener", newTable().connect(loop4, p8080, "11").process(7, 0, "11"), "127.0.0.1:8080", 0},
		{"any IPv6 host", newTable().listen("tcp6", loop6, p8080, "11").process(7, 0, "11"), "[::]:8080", 7},
		{"the nearer of two of one family", newTable().listen("tcp", any4, p8080, "12").listen("tcp", loop4, p8080, "11").
			process(6, 0, "12").process(7, time.Minute, "11"), "127.0.0.1:8080", 7},
		{"another port", newTable().listen("tcp", loop4, "1F91", "11").process(7, 0, "11"), "127.0.0.1:8080", 0},
		{"another address", newTable().listen("tcp", "0200007F", p8080, "11").process(7, 0, "11"), "127.0.0.1:8080", 0},
		{"no process holds it", newTable().listen("tcp", loop4, p8080, "11").process(7, 0, "12"), "127.0.0.1:8080", 0},
		{"a name", newTable().listen("tcp", any4, p8080, "11").process(7, 0, "11"), "web.internal:8080", 0},
		{"a service name", newTable().listen("tcp", any4, p8080, "11").process(7, 0, "11"), "127.0.0.1:http-alt", 0},
		{"a command", newTable(), "", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.tb.proc(t).listener(test.addr)
			if got.pid != test.pid || errors.Is(err, ErrUnseen) != (test.pid == 0) {
				t.Errorf("listener(%q) = %+v, %v; want pid %d", test.addr, got, err, test.pid)
			}
		})
	}
}

func TestListenerWithoutIPv6(t *testing.T) {
	tb := newTable().listen("tcp", loop4, p8080, "11").process(7, 0, "11")
	delete(tb.MapFS, "net/tcp6")
	if got, err := tb.proc(t).listener("127.0.0.1:8080"); got.pid != 7 || err != nil {
		t.Errorf("listener = %+v, %v", got, err)
	}
	delete(tb.MapFS, "net/tcp") // no socket table at all: nothing may be concluded
	if got, err := tb.proc(t).listener("127.0.0.1:8080"); !errors.Is(err, ErrUnseen) {
		t.Errorf("listener = %+v, %v", got, err)
	}
	nothing := proc{root: filepath.Join(t.TempDir(), "proc")}
	if got, err := nothing.listener("127.0.0.1:8080"); !errors.Is(err, ErrUnseen) {
		t.Errorf("without /proc: listener = %+v, %v", got, err)
	}
}

func TestListenerGone(t *testing.T) {
	// The command began 30 minutes after boot, half an hour ago.
	const command = 30 * time.Minute
	old := newTable().listen("tcp", loop4, p8080, "11").process(7, command-time.Second, "11")
	fresh := newTable().listen("tcp", loop4, p8080, "12").process(8, command+time.Second, "12")
	again := newTable().listen("tcp", loop4, p8080, "13").process(9, command+time.Minute, "13")
	forked := newTable().listen("tcp", loop4, p8080, "12").process(10, command+time.Minute, "12")
	none := newTable()
	tests := []struct {
		name           string
		looks          []table
		why, red, note string // of the last look
	}{
		{"old", []table{old}, "", "pid 7, which listens on 127.0.0.1:8080, started 1s before the restart", ""},
		{"fresh", []table{fresh}, "", "", ""},
		{"old, then fresh", []table{old, fresh}, "", "", ""},
		{"fresh, then another", []table{fresh, again}, "pid 8 listened on 127.0.0.1:8080, and now pid 9", "", ""},
		{"fresh, then its child on the same socket", []table{fresh, forked}, "", "", ""},
		{"fresh, then old", []table{fresh, old}, "", "before the restart", ""},
		{"no process is seen", []table{none}, "", "", "cannot see which process listens"},
		{"none, then fresh", []table{none, fresh}, "", "", ""},
		{"none, then old", []table{none, old}, "", "before the restart", "cannot see which process listens"},
		{"fresh, then none", []table{fresh, none}, "", "cannot see which process listens", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that no time passes between the looks
				l := &listener{addr: "127.0.0.1:8080", since: time.Now().Add(command - uptime)}
				var why string
				var err error
				for _, look := range test.looks {
					l.proc = look.proc(t)
					why, err = l.Gone(t.Context())
				}
				if !strings.HasPrefix(why, test.why) || (why == "") != (test.why == "") {
					t.Errorf("why %q, want %q", why, test.why)
				}
				checkError(t, err, test.red)
				if !strings.HasPrefix(l.note, test.note) || (l.note == "") != (test.note == "") {
					t.Errorf("note %q, want %q", l.note, test.note)
				}
			})
		})
	}
}

// A start is rounded down to 10 ms, so it may seem to lie before the command.
func TestListenerGoneWithinATick(t *testing.T) {
	tb := newTable().listen("tcp", loop4, p8080, "11").process(7, time.Minute, "11")
	synctest.Test(t, func(t *testing.T) {
		for since, red := range map[time.Duration]string{tickLength / 2: "", 2 * tickLength: "before the restart"} {
			l := &listener{proc: tb.proc(t), addr: "127.0.0.1:8080", since: time.Now().Add(time.Minute - uptime + since)}
			why, err := l.Gone(t.Context())
			if checkError(t, err, red); why != "" {
				t.Errorf("Gone = %q", why)
			}
		}
	})
}

// begun is soon after this process started.
var begun = time.Now()

func TestListenerOfThisProcess(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		listen, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listen.Close() }()
		found, err := thisMachine().listener(listen.Addr().String())
		start, pid := found.start, found.pid
		if err != nil || pid != os.Getpid() {
			t.Errorf("listener(%s) = pid %d, %v; want this process, %d", listen.Addr(), pid, err, os.Getpid())
		}
		if start.After(begun) || begun.Sub(start) > time.Minute {
			t.Errorf("this process started at %v, and not at %v", begun, start)
		}
	}
}

// The listener is this process, which is older than a restart in a minute.
func TestWaitSince(t *testing.T) {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listen.Close() }()
	gate := Gate{Probe: Probe{TCP: listen.Addr().String()}, Timeout: 100 * time.Millisecond, Bake: 50 * time.Millisecond}
	_, err = gate.WaitSince(t.Context(), time.Now().Add(time.Minute))
	checkUnhealthy(t, err, "before the restart")
	report, err := gate.WaitSince(t.Context(), begun.Add(-time.Hour))
	if err != nil || report.Note != "" || report.Attempts < 2 {
		t.Errorf("a listener that is young enough: %+v, %v", report, err)
	}
	tries := 0
	gate.Probe = Probe{Ask: func(context.Context) error { tries++; return nil }}
	report, err = gate.WaitSince(t.Context(), time.Now())
	if err != nil || !strings.Contains(report.Note, "may be older than the restart") {
		t.Errorf("a probe whose listener cannot be seen: %+v, %v", report, err)
	}
	if tries != report.Attempts {
		t.Errorf("%d attempts reported of %d", report.Attempts, tries)
	}
}
