package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/format"
	"koboshi/artifacts/pace"
)

const (
	// sharers is how many apps may unpack on one file system at once: each has room
	// for so many of its own, so that all of them fit.
	sharers = 4
	// turnPatience is how long other apps are waited for. An app that hangs must not
	// keep another one from its release.
	turnPatience = time.Minute
	turnPoll     = 100 * time.Millisecond
)

// takeTurn keeps the apps of a machine from finding the same free space each. Where
// there is plenty they unpack at once; one for which it is tight waits until it is
// alone, so that what it finds free is its own until end is called. This needs
// [Store.Turns]; without it, or where that cannot be used, an app goes by what it
// sees.
func (s *Store) takeTurn(ctx context.Context, need format.Space) (end func(), err error) {
	f := s.openTurn()
	if f == nil {
		return func() {}, nil
	}
	end = func() { _ = f.Close() } // which ends the lock
	patient, cancel := context.WithTimeout(ctx, turnPatience)
	defer cancel()
	for {
		how, alone := unix.LOCK_SH, s.isTight(need)
		if alone {
			how = unix.LOCK_EX
		}
		err := flock(patient, f, how)
		switch {
		case ctx.Err() != nil:
			end()
			return nil, context.Cause(ctx)
		case err != nil || alone || !s.isTight(need): // an app that hangs is waited for no longer
			return end, nil
		}
		// Another app has used up what was plenty.
		if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil { //nolint:gosec // a descriptor fits
			return end, nil
		}
	}
}

// isTight reports whether other apps could not unpack as much at once.
func (s *Store) isTight(need format.Space) bool {
	fsys, err := s.free()
	return err == nil && fits(fsys, format.Space{Bytes: sharers * need.Bytes, Entries: sharers * need.Entries}) != nil
}

// openTurn opens the lock of the store's file system; nil where there is none.
func (s *Store) openTurn() *os.File {
	if s.Turns == "" {
		return nil
	}
	info, err := s.root.Stat(stagingDir)
	if err != nil {
		return nil
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	name := filepath.Join(s.Turns, fmt.Sprintf("disk-%d.lock", stat.Dev))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600) //nolint:gosec // a directory of root's
	if err != nil {
		return nil
	}
	return f
}

// flock takes a lock, until ctx ends.
func flock(ctx context.Context, f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB) //nolint:gosec // a descriptor fits
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if err := pace.Sleep(ctx, turnPoll); err != nil {
			return err
		}
	}
}
