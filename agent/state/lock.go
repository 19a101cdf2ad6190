package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"

	"koboshi/agent/report"
	"koboshi/artifacts/durable"
	"koboshi/artifacts/pace"
)

// ErrLocked is the sentinel of every [LockedError].
var ErrLocked = errors.New("the lock is held")

// LockedError says that another process has the lock of the app, and which one
// where that is known: PID is 0 otherwise.
type LockedError struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"` // of koboshi, such as "sync"
	Since   time.Time `json:"since"`
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return "the lock is held by another process"
	}
	return fmt.Sprintf("the lock is held by PID %d (koboshi %s, since %s)", e.PID, e.Command, e.Since.UTC().Format(time.TimeOnly))
}

// Is makes every such error an [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

const (
	lockFile  = "lock"
	drainFile = "drain.lock"
	nodeFile  = "node-id.lock"
	watchFile = "watch.lock"

	lockMode = 0o600 // any process that may open the file may lock it
	lockPoll = 100 * time.Millisecond
	maxOwner = 4096 // bytes of the owner's description
)

// Lock takes the lock of an app, the file "lock" in dir, for this process and
// the command that it runs: flock(2), so that it ends with the process however
// that ends, and close on exec, so that no child inherits it. With wait it is
// tried until ctx ends. Where another process has it, the error is a
// [LockedError]; every other failure is [ErrDisk].
func Lock(ctx context.Context, dir *os.Root, command string, wait bool) (unlock func(), err error) {
	return lock(ctx, dir, lockFile, command, wait)
}

// LockDrain takes the lock that makes this process the only one that drains the app,
// from before it has ended the others until the drain is over.
func LockDrain(ctx context.Context, dir *os.Root) (unlock func(), err error) {
	return lock(ctx, dir, drainFile, "drain", false)
}

// LockNodeID takes the lock of the node id's record, and waits for it until ctx ends.
func LockNodeID(ctx context.Context, dir *os.Root) (unlock func(), err error) {
	return lock(ctx, dir, nodeFile, "node-id", true)
}

// LockWatch says for as long as this process lives that the instance is watched.
func LockWatch(ctx context.Context, dir *os.Root) (unlock func(), err error) {
	return lock(ctx, dir, watchFile, "watch", true)
}

// Watched reports whether a koboshi watch runs for the app of that run directory. It
// makes no file.
func Watched(dir *os.Root) bool {
	f, err := dir.OpenFile(watchFile, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // which ends the shared lock, too
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

func lock(ctx context.Context, dir *os.Root, name, command string, wait bool) (unlock func(), err error) {
	f, err := openLock(dir, name)
	if err != nil {
		return nil, fmt.Errorf("lock: %w: %w", ErrDisk, err)
	}
	if err := acquire(ctx, dir, f, wait); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	own(f, LockedError{PID: os.Getpid(), Command: command, Since: time.Now().UTC().Truncate(time.Second)})
	return func() {
		_ = f.Truncate(0) // the next process that finds the lock taken must not read our name
		_ = f.Close()
	}, nil
}

func openLock(dir *os.Root, name string) (*os.File, error) {
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, lockMode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s: not a regular file", f.Name())
	case info.Mode().Perm() != lockMode:
		err = f.Chmod(lockMode)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func acquire(ctx context.Context, dir *os.Root, f *os.File, wait bool) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("lock: %w: %w", ErrDisk, err)
		}
		if !wait {
			return owner(dir, filepath.Base(f.Name()))
		}
		if err := pace.Sleep(ctx, lockPoll); err != nil {
			return fmt.Errorf("%w: %w", owner(dir, filepath.Base(f.Name())), err)
		}
	}
}

// own writes who has the lock. The lock is valid even if that fails.
func own(f *os.File, o LockedError) {
	text, err := json.Marshal(o)
	if err != nil || f.Truncate(0) != nil {
		return
	}
	_, _ = f.WriteAt(append(text, '\n'), 0)
}

// owner reads who has the lock, as far as the file says so. The text may be
// half written, or of a process that was killed a moment ago.
func owner(dir *os.Root, name string) *LockedError {
	var o LockedError
	text, err := durable.ReadFile(dir, name, maxOwner)
	if err != nil || json.Unmarshal(text, &o) != nil || o.PID < 1 {
		return &LockedError{}
	}
	o.Command = report.Clean(o.Command, 32)
	return &o
}
