package install

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

var (
	// ErrRoot is a root that cannot be installed into: it is no directory, or
	// has no systemd.
	ErrRoot = errors.New("not a root file system with systemd")
	// ErrDisk is a file or directory that could not be changed.
	ErrDisk = errors.New("the root file system could not be changed")
)

// Error is an error with what can be done about it. Errors.Is finds the class,
// [ErrRoot] or [ErrDisk], and the cause.
type Error struct {
	message string
	class   error
	cause   error // may be nil
	advice  string
}

func (e *Error) Error() string {
	if e.cause == nil {
		return e.message
	}
	return e.message + ": " + e.cause.Error()
}

func (e *Error) Unwrap() []error { return []error{e.class, e.cause} }

// Advice is what can be done; "" where nothing special is known.
func (e *Error) Advice() string { return e.advice }

// cannot is a change to a path of the machine that failed.
func cannot(what, name string, cause error) error {
	e := &Error{message: fmt.Sprintf("%s: not %s", name, what), class: ErrDisk, cause: cause}
	switch {
	case errors.Is(cause, fs.ErrPermission):
		e.advice = "run it as root"
	case strings.Contains(cause.Error(), "escapes from parent"): // os.Root has no value for it
		e.advice = "the path leads through an absolute link: use the directory that it leads to"
	}
	return e
}
