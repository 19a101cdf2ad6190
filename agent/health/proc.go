package health

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tickLength is the unit of times in /proc/PID/stat, 1/sysconf(_SC_CLK_TCK):
// Linux shows 100 a second on every platform that Go runs on but Alpha.
const tickLength = 10 * time.Millisecond

// proc is a proc file system (proc(5)) with the clock that its times are of.
type proc struct {
	fsys      fs.FS
	sinceBoot func() (time.Duration, error)
}

// holder is a process that holds a listening socket.
type holder struct {
	pid   int
	inode string // of the socket; a process that starts anew has another
	start time.Time
}

func thisMachine() proc {
	return proc{fsys: os.DirFS("/proc"), sinceBoot: func() (time.Duration, error) {
		var now unix.Timespec
		err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
		return time.Duration(now.Nano()), err
	}}
}

// listener returns the process that listens on addr, a host:port, and when it
// started, to 10 ms. Where several hold the listening socket it is the oldest,
// leaving aside PID 1 if there is another: the socket is as old as that. The
// error is ErrUnseen for an address that is not this machine's, that nobody
// listens on in this network namespace, or whose holders are not ours to look
// at (that takes their user or CAP_SYS_PTRACE).
func (p proc) listener(addr string) (holder, error) {
	inodes, err := p.listening(addr)
	if err != nil {
		return holder{}, err
	}
	holders, err := p.holders(inodes)
	if err != nil {
		return holder{}, err
	}
	if len(holders) == 0 {
		return holder{}, fmt.Errorf("%w on %s: the process is not ours to look at", ErrUnseen, addr)
	}
	// A service manager that passes sockets on holds them, but does not answer.
	if others := slices.DeleteFunc(slices.Clone(holders), func(h holder) bool { return h.pid == 1 }); len(others) > 0 {
		holders = others
	}
	return slices.MinFunc(holders, func(a, b holder) int { return a.start.Compare(b.start) }), nil
}

// holders returns the processes with a descriptor of one of the sockets. One
// that ends while it is looked at, or may not be looked at, is none.
func (p proc) holders(inodes []string) ([]holder, error) {
	entries, err := fs.ReadDir(p.fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []holder
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if inode := p.holds(entry.Name(), inodes); inode != "" {
			start, err := p.started(entry.Name())
			if err == nil {
				found = append(found, holder{pid, inode, start})
			}
		}
	}
	return found, nil
}

func (p proc) holds(pid string, inodes []string) (inode string) {
	fds, err := fs.ReadDir(p.fsys, path.Join(pid, "fd"))
	if err != nil {
		return ""
	}
	for _, fd := range fds {
		target, err := fs.ReadLink(p.fsys, path.Join(pid, "fd", fd.Name()))
		if err != nil {
			continue
		}
		target = strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")
		if slices.Contains(inodes, target) {
			return target
		}
	}
	return ""
}

// started returns when a process started. Both times it is made of are counted
// from boot, so a wall clock that jumps does not matter, and the result carries
// a monotonic reading, so neither does it to who compares it.
func (p proc) started(pid string) (time.Time, error) {
	stat, err := fs.ReadFile(p.fsys, path.Join(pid, "stat"))
	if err != nil {
		return time.Time{}, err
	}
	ticks, err := parseStart(string(stat))
	if err != nil {
		return time.Time{}, err
	}
	now, err := p.sinceBoot()
	if err != nil {
		return time.Time{}, err
	}
	return time.Now().Add(ticks - now), nil
}

// parseStart returns field 22 of /proc/PID/stat, the start after boot. Fields
// are counted from the last parenthesis, as the second may contain anything.
func parseStart(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("process status has %d fields after the name, want 20", len(fields))
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil || ticks > uint64((1<<63-1)/tickLength) {
		return 0, fmt.Errorf("start time %q is no count of ticks", fields[19])
	}
	return time.Duration(ticks) * tickLength, nil
}
