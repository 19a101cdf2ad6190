package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/systemd"
)

// Mounts mounts images on this machine: store.Mounts.
type Mounts struct {
	// Warn is told of what is unmounted while it is still used; nil = no one is.
	Warn func(format string, args ...any)

	root  string // of the machine's own files, but for tests
	dial  func(context.Context) (manager, error)
	label func(path string) (string, error) // of SELinux
}

// manager is systemd.Manager.
type manager interface {
	Mount(ctx context.Context, m systemd.Mount) error
	Unmount(ctx context.Context, where string) error
	Close()
}

// New mounts on this machine.
func New(warn func(format string, args ...any)) *Mounts {
	return &Mounts{Warn: warn, root: "/", dial: func(ctx context.Context) (manager, error) { return systemd.Connect(ctx) }, label: label}
}

// options are those of every image. Apps are executed from it.
var options = []string{"ro", "nodev", "nosuid"}

// Mount mounts an image at dir. Where there is SELinux, its files have the label of dir, as
// those of a tree would: they have none of their own.
func (m *Mounts) Mount(ctx context.Context, filesystem, image, dir string) error {
	var labelled []string
	switch option, err := m.context(dir); {
	case err != nil:
		return err
	case option != "":
		labelled = []string{option}
	}
	pid1, err := m.dial(ctx)
	if errors.Is(err, systemd.ErrNotBooted) {
		return m.mountHere(filesystem, image, dir, strings.Join(labelled, ","))
	}
	if err != nil {
		return err
	}
	defer pid1.Close()
	err = pid1.Mount(ctx, systemd.Mount{
		What: image, Where: dir, Type: filesystem, Options: slices.Concat([]string{"loop"}, options, labelled),
		Description: "the release at " + filepath.Dir(dir),
	})
	if failed, ok := errors.AsType[*systemd.JobError](err); ok {
		return fmt.Errorf("%w (journalctl -u '%s' has the reason)", err, failed.Unit)
	}
	return err
}

// Unmount unmounts what is at dir, lazily.
func (m *Mounts) Unmount(ctx context.Context, dir string) error {
	var before unix.Stat_t
	if err := unix.Stat(dir, &before); err != nil {
		return os.NewSyscallError("stat", err)
	}
	image := m.backing(before.Dev)
	if err := m.unmount(ctx, dir); err != nil {
		return err
	}
	var after unix.Stat_t
	if err := unix.Stat(dir, &after); err != nil {
		return os.NewSyscallError("stat", err)
	}
	if after.Dev == before.Dev {
		return fmt.Errorf("%s is still mounted", dir)
	}
	if m.Warn != nil && image != "" && m.keeps(before.Dev, image) {
		m.Warn("%s was unmounted while a process still uses it: what it has open stays until it ends", dir)
	}
	return nil
}

// The kernel frees a loop device a moment after its last user has gone.
const (
	freeTries = 50
	freePause = 10 * time.Millisecond
)

// keeps reports whether a loop device has its image for longer than that.
func (m *Mounts) keeps(device uint64, image string) bool {
	for range freeTries {
		if m.backing(device) != image {
			return false
		}
		<-time.After(freePause)
	}
	return true
}

func (m *Mounts) unmount(ctx context.Context, dir string) error {
	pid1, err := m.dial(ctx)
	if errors.Is(err, systemd.ErrNotBooted) {
		return os.NewSyscallError("umount2", unix.Unmount(dir, unix.MNT_DETACH))
	}
	if err != nil {
		return err
	}
	defer pid1.Close()
	return pid1.Unmount(ctx, dir)
}

// Mounted asks the kernel which file the loop device has that is mounted at dir. A
// file that was removed or replaced has another name there.
func (m *Mounts) Mounted(dir string) (image string, mounted bool, err error) {
	var above, top unix.Stat_t
	for name, stat := range map[string]*unix.Stat_t{filepath.Dir(dir): &above, dir: &top} {
		if err := unix.Lstat(name, stat); errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			return "", false, nil
		} else if err != nil {
			return "", false, &os.PathError{Op: "lstat", Path: name, Err: err}
		}
	}
	if above.Dev == top.Dev {
		return "", false, nil
	}
	return m.backing(top.Dev), true, nil
}

// backing is "" where the device is no loop device, or has no file any more.
func (m *Mounts) backing(device uint64) string {
	name := fmt.Sprintf("sys/dev/block/%d:%d/loop/backing_file", unix.Major(device), unix.Minor(device))
	data, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}
