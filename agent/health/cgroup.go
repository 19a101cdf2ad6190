package health

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// cgroupMount is where systemd mounts the control groups.
const cgroupMount = "/sys/fs/cgroup"

// cgroups is a mounted cgroup2 file system. Paths in it are those that systemd
// names: they begin at the mount point, with a slash.
type cgroups string

// checkVersion fails with ErrUnseen where the control groups are of version 1.
func (c cgroups) checkVersion() error {
	if _, err := os.Stat(filepath.Join(string(c), "cgroup.controllers")); err != nil {
		return fmt.Errorf("%w: no cgroup v2 at %s", ErrUnseen, c)
	}
	return nil
}

// below are the control groups at some paths and below them, by the number that the
// kernel shows of each: its inode.
func (c cgroups) below(paths ...string) (map[uint64]string, error) {
	ids := map[uint64]string{}
	err := c.walk(paths, func(name string, info fs.FileInfo) error {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			ids[stat.Ino] = name
		}
		return nil
	})
	return ids, err
}

// processes are the ids of the processes in some control groups and below them.
func (c cgroups) processes(paths []string) (map[int]bool, error) {
	pids := map[int]bool{}
	err := c.walk(paths, func(name string, _ fs.FileInfo) error {
		text, err := os.ReadFile(filepath.Join(string(c), name, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EOPNOTSUPP) {
			return nil // removed meanwhile, or a threaded group, whose processes are shown above it
		}
		for word := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 0 { // 0: in another pid namespace
				pids[pid] = true
			}
		}
		return err
	})
	return pids, err
}

// walk visits the control groups at some paths and below them, without those that
// are removed meanwhile.
func (c cgroups) walk(paths []string, visit func(name string, info fs.FileInfo) error) error {
	for _, path := range paths {
		if err := c.walkOne(path, visit); err != nil {
			return err
		}
	}
	return nil
}

func (c cgroups) walkOne(path string, visit func(name string, info fs.FileInfo) error) error {
	root := filepath.Join(string(c), path)
	return filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return visit("/"+strings.TrimPrefix(strings.TrimPrefix(name, string(c)), "/"), info)
	})
}
