package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"koboshi/agent/failure"
	"koboshi/artifacts/durable"
	"koboshi/artifacts/store"
)

// image is the root file system that install and uninstall change: the
// machine's own, or an image's in the making. Paths are the machine's,
// absolute; nothing outside of the image is ever touched.
type image struct {
	root    *os.Root
	dir     string
	changes []change
}

// change is one thing that is not as it was.
type change struct {
	Path   string `json:"path"`
	Change string `json:"change"` // created, replaced, corrected, enabled, removed
}

func openImage(dir string) (*image, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, usage(fmt.Errorf("--root: %w", err))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, usage(fmt.Errorf("--root: %w", err))
	}
	return &image{root: root, dir: dir}, nil
}

func (i *image) close() { _ = i.root.Close() } // a directory descriptor

// live tells whether the image is the machine that this process runs on.
func (i *image) live() bool { return i.dir == "/" }

// in is a path of the machine, as the image's root names it.
func in(name string) string { return strings.TrimPrefix(path.Clean(name), "/") }

// note remembers a change, unless what should have made it failed.
func (i *image) note(name, what string, err error) error {
	if err != nil {
		return cannot(what, name, err)
	}
	i.changes = append(i.changes, change{name, what})
	return nil
}

func cannot(what, name string, err error) error {
	err = failure.Mark(fmt.Errorf("%s: not %s: %w", name, what, err), store.ErrDisk)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return failure.WithHint(err, "run it as root")
	case strings.Contains(err.Error(), "escapes from parent"): // os.Root has no value for it
		return failure.WithHint(err, "the path leads through an absolute link: name the directory that it leads to")
	}
	return err
}

// file makes a file what it should be, atomically.
func (i *image) file(name string, data []byte, mode fs.FileMode) error {
	what := "created"
	if info, err := i.root.Lstat(in(name)); err == nil {
		if info.Mode() == mode && ownedByRoot(info) && i.holds(name, data) {
			return nil
		}
		what = "replaced"
	}
	if err := i.makeDir(path.Dir(name)); err != nil {
		return err
	}
	return i.note(name, what, durable.WriteFile(i.root, in(name), data, mode))
}

func (i *image) holds(name string, data []byte) bool {
	found, err := i.root.ReadFile(in(name))
	return err == nil && bytes.Equal(found, data)
}

// ownDir is a directory that only root may change: what lies in it decides what
// runs as root.
func (i *image) ownDir(name string) error {
	if err := i.makeDir(name); err != nil {
		return err
	}
	info, err := i.root.Stat(in(name))
	if err != nil {
		return cannot("corrected", name, err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		if err := i.note(name, "corrected", i.root.Chmod(in(name), mode&^0o022)); err != nil {
			return err
		}
	}
	if !ownedByRoot(info) {
		return i.note(name, "corrected", i.root.Chown(in(name), 0, 0))
	}
	return nil
}

// makeDir makes a directory and those above it, whatever the umask, and leaves
// alone what is there.
func (i *image) makeDir(name string) error {
	if name == "/" {
		return nil
	}
	info, err := i.root.Stat(in(name))
	if err == nil && info.IsDir() {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cannot("created", name, err)
	}
	if err := i.makeDir(path.Dir(name)); err != nil {
		return err
	}
	err = i.root.Mkdir(in(name), 0o755)
	if err == nil {
		err = errors.Join(i.root.Chmod(in(name), 0o755), durable.SyncDir(i.root, path.Dir(in(name))))
	}
	return i.note(name, "created", err)
}

// link makes a link that leads to target.
func (i *image) link(target, name string) error {
	if found, err := i.root.Readlink(in(name)); err == nil && found == target {
		return nil
	}
	if err := i.makeDir(path.Dir(name)); err != nil {
		return err
	}
	return i.note(name, "enabled", durable.Symlink(i.root, target, in(name)))
}

// remove removes a file or link of ours, if it is there.
func (i *image) remove(name string) error {
	info, err := i.root.Lstat(in(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.IsDir() {
		err = errors.New("it is a directory")
	}
	if err != nil {
		return cannot("removed", name, err)
	}
	return i.note(name, "removed", durable.Remove(i.root, in(name)))
}

// removeEmpty removes a directory in which nothing is left.
func (i *image) removeEmpty(name string) error {
	err := i.root.Remove(in(name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(i.root, path.Dir(in(name)))
	}
	return i.note(name, "removed", err)
}

// ownedByRoot takes the one who installs for root where that is another user,
// as it is in a build without root.
func ownedByRoot(info fs.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && (owner.Uid == 0 && owner.Gid == 0 || os.Geteuid() != 0)
}
