package store

import (
	"context"
	"errors"
	"fmt"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/tree"
)

// ErrDisk is the sentinel of every failed disk operation: no space, no inodes,
// read-only, I/O errors.
var ErrDisk = errors.New("disk")

// ErrNoPrevious is returned where no other healthy release is on the disk.
var ErrNoPrevious = errors.New("no release ran here before this one")

// DiskError is a disk operation that failed.
type DiskError struct {
	Op  string // such as "unpack"
	Err error
}

func (e *DiskError) Error() string { return fmt.Sprintf("disk: %s: %v", e.Op, e.Err) }

// Unwrap is the cause, with its errno.
func (e *DiskError) Unwrap() error { return e.Err }

// Is makes every such error an [ErrDisk].
func (e *DiskError) Is(target error) bool { return target == ErrDisk }

// SpaceError is a tree that would not fit.
type SpaceError struct {
	What     string // "bytes" or "inodes"
	Need     int64  // for the tree
	Margin   int64  // that stay free
	Have     int64
	Reserved int64 // free, but reserved for root by the file system
}

func (e *SpaceError) Error() string {
	text := fmt.Sprintf("disk: no space: %d %s needed, with a margin of %d, and %d are free", e.Need, e.What, e.Margin, e.Have)
	if e.Reserved > 0 {
		text += fmt.Sprintf(" (%d more are the file system's reserve for root, which is left alone)", e.Reserved)
	}
	return text
}

// Is makes every such error an [ErrDisk].
func (e *SpaceError) Is(target error) bool { return target == ErrDisk }

// LinkError is the reason why the target of current or previous cannot run. It
// is a warning: the store goes on as if the link were missing.
type LinkError struct {
	Link   string // "current" or "previous"
	Target string // as it stands in the link; "" = it is no link
	Err    error
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("%s -> %q is not a usable release: %v", e.Link, e.Target, e.Err)
}

// Unwrap is the cause: [ErrDisk] where the disk could not be read,
// artifacts.ErrUntrusted or artifacts.ErrTooOld where the manifest does not
// verify; else the link is broken, or its release incomplete.
func (e *LinkError) Unwrap() error { return e.Err }

// onDisk makes err an ErrDisk, unless it is an error of this package already.
func onDisk(op string, err error) error {
	if err == nil || errors.Is(err, ErrDisk) {
		return err
	}
	return &DiskError{Op: op, Err: err}
}

// contentError marks an error of Input.Content while it passes through parsers.
type contentError struct{ err error }

func (e *contentError) Error() string { return e.err.Error() }
func (e *contentError) Unwrap() error { return e.err }

// blame decides the class of an error of making a tree: of the content, the
// archive or delta, or the base, the cause of a context that has ended, or else
// of the disk.
func blame(ctx context.Context, err error) error {
	if content, ok := errors.AsType[*contentError](err); ok {
		return content.err
	}
	if altered, ok := errors.AsType[*delta.BaseError](err); ok {
		return altered
	}
	for _, whose := range []error{tree.ErrRefused, delta.ErrMalformed, delta.ErrBase, artifacts.ErrIntegrity} {
		if errors.Is(err, whose) {
			return err
		}
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return onDisk("unpack", err)
}
