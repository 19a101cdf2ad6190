package health

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// tickLength is the unit of times in /proc/PID/stat, 1/sysconf(_SC_CLK_TCK):
// Linux shows 100 a second on every platform that Go runs on but Alpha.
const tickLength = 10 * time.Millisecond

// proc is a proc file system (proc(5)) with the clock that its times are of.
type proc struct {
	root      string
	sinceBoot func() (time.Duration, error)
}

// holder is a process that has a listening socket open.
type holder struct {
	pid   int
	inode uint64 // of the socket; a process that starts anew has another one
	start time.Time
}

func thisMachine() proc {
	return proc{procfs.DefaultMountPoint, func() (time.Duration, error) {
		var now unix.Timespec
		err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
		return time.Duration(now.Nano()), err
	}}
}

// listener returns the process that listens on addr, a host:port, and when it
// started, to 10 ms. Where several processes have the listening socket open it is
// the oldest one, since the socket is as old as that; PID 1 counts only where
// there is no other. The error is ErrUnseen for an address that is not this
// machine's, that no process in this network namespace listens on, or whose
// processes koboshi may not look at (that takes their user or CAP_SYS_PTRACE).
func (p proc) listener(addr string) (holder, error) {
	files, err := procfs.NewFS(p.root)
	if err != nil {
		return holder{}, fmt.Errorf("%w on %s: %w", ErrUnseen, addr, err)
	}
	inodes, err := listening(files, addr)
	if err != nil {
		return holder{}, err
	}
	holders, err := p.holders(files, inodes)
	if err != nil {
		return holder{}, err
	}
	if len(holders) == 0 {
		return holder{}, fmt.Errorf("%w on %s: no permission to look at the process", ErrUnseen, addr)
	}
	// A service manager that passes sockets on has them open, but does not answer.
	if others := slices.DeleteFunc(slices.Clone(holders), func(h holder) bool { return h.pid == 1 }); len(others) > 0 {
		holders = others
	}
	return slices.MinFunc(holders, func(a, b holder) int { return a.start.Compare(b.start) }), nil
}

// holders returns the processes with a descriptor of one of the sockets,
// without those that end meanwhile or that we may not look at.
func (p proc) holders(files procfs.FS, inodes []uint64) ([]holder, error) {
	processes, err := files.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	links := map[string]uint64{}
	for _, inode := range inodes {
		links[fmt.Sprintf("socket:[%d]", inode)] = inode
	}
	var found []holder
	for _, process := range processes {
		targets, err := process.FileDescriptorTargets()
		if err != nil {
			continue
		}
		i := slices.IndexFunc(targets, func(target string) bool { return links[target] != 0 })
		if i < 0 {
			continue
		}
		if start, err := p.started(process); err == nil {
			found = append(found, holder{process.PID, links[targets[i]], start})
		}
	}
	return found, nil
}

// started returns when a process started. It does not use procfs's StartTime,
// which counts from the wall clock's idea of the boot: here both times are
// counted from boot and the result carries a monotonic reading, so that a wall
// clock that jumps does not matter.
func (p proc) started(process procfs.Proc) (time.Time, error) {
	stat, err := process.Stat()
	if err != nil {
		return time.Time{}, err
	}
	now, err := p.sinceBoot()
	if err != nil {
		return time.Time{}, err
	}
	return time.Now().Add(time.Duration(stat.Starttime)*tickLength - now), nil
}
