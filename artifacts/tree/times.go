package tree

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxTime is the last second that the plain header of a tar can have.
const maxTime = 1<<33 - 1

// Seconds is a modification time as an entry has it: whole seconds since 1970,
// which is all that compilers such as Python's record. 0 is no time.
func Seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return min(max(t.Unix(), 0), maxTime)
}

// stamped is e with the time that its file is to get, 0 for whatever it is.
func (o Options) stamped(e Entry) Entry {
	if o.KeepTimes && e.Time != 0 {
		return e
	}
	e.Time = Seconds(o.Time)
	return e
}

// Stamp sets the time of an open file to that of its entry, once everything is
// written.
func Stamp(f *os.File, e *Entry) error {
	if err := stamp(int(f.Fd()), e); err != nil { //nolint:gosec // a descriptor fits
		return &fs.PathError{Op: "set the time", Path: e.Path, Err: err}
	}
	return nil
}

func stamp(fd int, e *Entry) error {
	if e.Time == 0 {
		return nil
	}
	ts := times(e.Time)
	// Without a name it is futimens(2), which package unix does not have.
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0) //nolint:gosec // as package unix calls it
	if errno != 0 {
		return errno
	}
	return nil
}

// stampAt sets the time of a directory or symbolic link.
func stampAt(dir int, base string, e *Entry) error {
	if e.Time == 0 {
		return nil
	}
	ts := times(e.Time)
	return unix.UtimesNanoAt(dir, base, ts[:], unix.AT_SYMLINK_NOFOLLOW)
}

// times leave the time of the last access alone.
func times(seconds int64) [2]unix.Timespec {
	return [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: seconds}}
}

// stampDirs sets the times of all directories. Making an entry changes that of
// its directory, so nothing may be made any more.
func stampDirs(ctx context.Context, dir *os.Root, l *listing, opt Options) error {
	if opt.Time.IsZero() && !opt.KeepTimes {
		return nil
	}
	at, err := OpenHandle(dir)
	if err != nil {
		return err
	}
	for _, n := range l.order {
		if err = context.Cause(ctx); err != nil {
			break
		}
		e := opt.stamped(n.entry())
		if n.Type != TypeDir || e.Time == 0 {
			continue
		}
		if err = at.make("set the time", &e, func(dir int, base string) error { return stampAt(dir, base, &e) }); err != nil {
			break
		}
	}
	if top := opt.stamped(Entry{Path: "."}); err == nil {
		err = Stamp(at.top, &top)
	}
	return errors.Join(err, at.Close())
}
