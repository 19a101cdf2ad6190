package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
)

// What is left free next to a new tree, for its documents and for everything
// else on the file system.
const (
	spareBytes  = 32 << 20
	spareInodes = 1024
)

// MakeRoom checks whether the release that [Store.Stage] makes of the input would
// fit, at its signed upper limits; Content and Index may still be missing. Only
// where it does not fit, it deletes: first what a crash has left, then releases,
// all but the current, the previous, the input's own and the base of its delta.
// Until end is called, after Stage, other apps leave that room alone.
//
// Errors are [*SpaceError] where even that is not enough, the cause of a context
// that has ended, and [ErrDisk].
func (s *Store) MakeRoom(ctx context.Context, in Input) (end func(), err error) {
	s.staging.Lock()
	defer s.staging.Unlock()
	how, err := format.Of(in.Artifact)
	if err != nil {
		return nil, err
	}
	need := how.Space(in.Artifact)
	needed := []string{releaseID(in.Manifest.Manifest().Version, in.Manifest.SHA256())}
	if in.Delta != nil {
		need.Bytes += in.Delta.Delta.Size
		needed = append(needed, in.Delta.Base.id)
	}
	if end, err = s.takeTurn(ctx, need); err != nil {
		return nil, err
	}
	if err := s.makeRoom(ctx, need, needed); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

func (s *Store) makeRoom(ctx context.Context, need format.Space, needed []string) (err error) {
	for _, free := range []func() error{
		func() error { return nil },
		func() error { return s.sweep(ctx) },
		func() error { _, err := s.retire(ctx, 0, needed...); return errors.Join(err, s.sweep(ctx)) },
	} {
		if err := free(); err != nil {
			return err
		}
		err = s.checkSpace(need)
		if _, full := errors.AsType[*SpaceError](err); !full {
			return err
		}
	}
	return err
}

// CheckSpace reports whether the tree of an artifact, at its signed upper
// limits, would fit as the disk is. Errors are [ErrDisk].
func (s *Store) CheckSpace(a artifacts.Artifact) error {
	how, err := format.Of(a)
	if err != nil {
		return err
	}
	return s.checkSpace(how.Space(a))
}

func (s *Store) checkSpace(need format.Space) error {
	fsys, err := s.free()
	if err != nil {
		return onDisk("check space", err)
	}
	if err := fits(fsys, need); err != nil {
		return err
	}
	return s.checkSameDisk()
}

func fits(fsys unix.Statfs_t, space format.Space) error {
	// Half a block an entry is what files of random sizes waste.
	need := space.Bytes + space.Entries*fsys.Bsize/2
	have, reserved := int64(fsys.Bavail)*fsys.Bsize, int64(fsys.Bfree-min(fsys.Bfree, fsys.Bavail))*fsys.Bsize //nolint:gosec // a disk of 8 EiB at most
	if have < need+spareBytes {
		return &SpaceError{What: "bytes", Need: need, Margin: spareBytes, Have: have, Reserved: reserved}
	}
	// A file system that makes inodes on demand reports that it has none.
	if have := int64(fsys.Ffree); fsys.Files > 0 && have < space.Entries+spareInodes { //nolint:gosec // no more inodes than that
		return &SpaceError{What: "inodes", Need: space.Entries, Margin: spareInodes, Have: have}
	}
	return nil
}

func (s *Store) statfs() (fsys unix.Statfs_t, err error) {
	dir, err := s.root.Open(stagingDir)
	if err != nil {
		return fsys, err
	}
	defer func() { _ = dir.Close() }()                         // only read
	if err := unix.Fstatfs(int(dir.Fd()), &fsys); err != nil { //nolint:gosec // a descriptor fits
		return fsys, os.NewSyscallError("fstatfs", err)
	}
	return fsys, nil
}

// checkSameDisk refuses a .staging on another file system: no rename could
// finish a release.
func (s *Store) checkSameDisk() error {
	var devices []uint64
	for _, name := range []string{stagingDir, releasesDir} {
		info, err := s.root.Stat(name)
		if err != nil {
			return onDisk("check space", err)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			devices = append(devices, stat.Dev)
		}
	}
	if len(devices) != 2 || devices[0] != devices[1] {
		return onDisk("check space", fmt.Errorf("%s and %s are on different file systems: %w", stagingDir, releasesDir, errors.ErrUnsupported))
	}
	return nil
}
