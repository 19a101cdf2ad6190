package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/pace"
)

// ErrLocked tells that another process works on the app.
var ErrLocked = errors.New("another run has the lock")

const (
	lockFile = "lock"
	lockPoll = 100 * time.Millisecond
)

// Lock takes the lock of an app, the file "lock" in dir, for this process:
// flock(2), so that it ends with the process however that ends, and close on
// exec, so that no child holds it on. With wait it is tried until ctx ends.
// Without, and where another process has it, the error is [ErrLocked].
func Lock(ctx context.Context, dir *os.Root, wait bool) (unlock func(), err error) {
	f, err := dir.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, &DiskError{Op: "lock", Err: err}
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(&DiskError{Op: "lock", Err: err}, f.Close())
		}
		if !wait {
			return nil, errors.Join(fmt.Errorf("%s: %w", f.Name(), ErrLocked), f.Close())
		}
		if err := pace.Sleep(ctx, lockPoll); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w: %w", f.Name(), ErrLocked, err), f.Close())
		}
	}
}
