//go:build boottest

package boottest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cgroups      = "/sys/fs/cgroup"
	cgroupPrefix = "koboshi-boottest-" // then the test's process id
)

// leave takes the test's thread out of this machine's mount and network
// namespaces. The thread is never given back: it ends with the test, and with
// it whatever was mounted or configured.
func leave(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	must(t, unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_NEWNET))
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755")) // what systemd-nspawn leaves there
	must(t, unix.Unmount(cgroups, unix.MNT_DETACH))
	must(t, unix.Mount("cgroup2", cgroups, "cgroup2", 0, ""))
	for _, args := range []string{"link set lo up", "address add 169.254.169.254/32 dev lo"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
}

// overlay mounts a disk whose changes go into a directory of their own. The
// lower directories are separated by colons, the topmost first.
func overlay(t *testing.T, dir, lower string) (root string) {
	t.Helper()
	root = filepath.Join(dir, "root")
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, d := range []string{root, upper, work} {
		must(t, os.Mkdir(d, 0o755))
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	must(t, unix.Mount("overlay", root, "overlay", 0, options))
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return root
}

// newCgroup makes a cgroup for one container. Its end kills all that is in it.
func newCgroup(t *testing.T) (path string) {
	t.Helper()
	stale.Do(func() { removeStale(t) })
	path, err := os.MkdirTemp(cgroups, fmt.Sprintf("%s%d-", cgroupPrefix, os.Getpid()))
	must(t, err)
	t.Cleanup(func() { removeCgroup(t, path) })
	return path
}

// stale are removed by one of the tests that run at once.
var stale sync.Once

// removeStale removes what tests that were killed have left.
func removeStale(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(cgroups, cgroupPrefix+"*"))
	must(t, err)
	for _, path := range paths {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), cgroupPrefix), "-")
		if _, err := os.Stat(filepath.Join("/proc", pid)); errors.Is(err, fs.ErrNotExist) {
			removeCgroup(t, path)
		}
	}
}

func removeCgroup(t *testing.T, path string) {
	must(t, os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0))
	for deadline := time.Now().Add(endLimit); ; <-time.After(10 * time.Millisecond) {
		events, err := os.ReadFile(filepath.Join(path, "cgroup.events"))
		must(t, err)
		if strings.Contains(string(events), "populated 0") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not become empty", path)
		}
	}
	var groups []string
	must(t, filepath.WalkDir(path, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, name)
		}
		return err
	}))
	slices.Reverse(groups) // the innermost first
	for _, g := range groups {
		must(t, os.Remove(g))
	}
}
