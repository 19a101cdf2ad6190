package instance

import (
	"errors"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// MemoryLimit is how many bytes of memory the cgroups of this process allow it,
// math.MaxInt64 where they set no limit. The limit of every cgroup above its own
// counts, in a cgroup hierarchy of version 1 or 2, as far as this mount namespace
// shows them. root is "/", or a directory with proc and sys in it.
//
// A limit that cannot be read counts as none: the result decides how much memory
// is used at once, never whether something is done.
//
// Source: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
func MemoryLimit(root string) int64 {
	groups, mounts, err := cgroups(filepath.Join(root, "proc"))
	if err != nil {
		return math.MaxInt64
	}
	limit := int64(math.MaxInt64)
	for _, mount := range mounts {
		for _, group := range groups {
			if files := limitFiles(mount, group); files != nil {
				limit = min(limit, lowest(root, mount, group.Path, files))
			}
		}
	}
	return limit
}

func cgroups(proc string) ([]procfs.Cgroup, []*procfs.MountInfo, error) {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return nil, nil, err
	}
	self, err := fs.Self()
	if err != nil {
		return nil, nil, err
	}
	groups, err := self.Cgroups()
	if err != nil {
		return nil, nil, err
	}
	mounts, err := self.MountInfo()
	return groups, mounts, err
}

// limitFiles is the names of the files with limits in a directory of the mount,
// none if the mount is not the group's hierarchy or has no limits. Above
// memory.high a process is not killed, but slowed down until it hardly moves.
func limitFiles(mount *procfs.MountInfo, group procfs.Cgroup) []string {
	_, memory := mount.SuperOptions["memory"]
	switch {
	case mount.FSType == "cgroup2" && group.HierarchyID == 0:
		return []string{"memory.max", "memory.high"}
	case mount.FSType == "cgroup" && memory && slices.Contains(group.Controllers, "memory"):
		return []string{"memory.limit_in_bytes"}
	}
	return nil
}

// lowest is the lowest limit from a cgroup up to the one that is mounted. In a
// container whose cgroup is not beneath that one, the mount's own counts.
func lowest(root string, mount *procfs.MountInfo, group string, files []string) int64 {
	below, err := filepath.Rel(mount.Root, group)
	if err != nil || below == ".." || strings.HasPrefix(below, "../") {
		below = "."
	}
	limit := int64(math.MaxInt64)
	for ; ; below = path.Dir(below) {
		for _, file := range files {
			if bytes, err := readLimit(filepath.Join(root, mount.MountPoint, below, file)); err == nil {
				limit = min(limit, bytes)
			}
		}
		if below == "." {
			return limit
		}
	}
}

// readLimit is a file's number of bytes; "max" is an error: no limit.
func readLimit(name string) (int64, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err == nil && bytes < 0 {
		err = errors.New("negative")
	}
	return bytes, err
}
