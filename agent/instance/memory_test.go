package instance

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

const (
	mountV2  = "38 27 0:31 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountV1  = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
	mountCPU = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
	mountTmp = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
	// A container sees its own cgroup as the mount's root: by the host's name in version 1.
	mountDocker = "35 31 0:32 /docker/4f1e /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory\n"

	unit      = "/system.slice/koboshi-boot.service"
	unlimited = "9223372036854771712\n" // as version 1 spells it
	v1        = "/sys/fs/cgroup/memory"
	v2        = "/sys/fs/cgroup"
)

func TestMemoryLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		cgroup, mounts string
		files          map[string]string
		want           int64
	}{
		"the unit's own, version 2":      {"0::" + unit + "\n", mountV2, map[string]string{v2 + unit + "/memory.max": "67108864\n"}, 64 << 20},
		"a slice above it":               {"0::" + unit + "\n", mountV2, map[string]string{v2 + unit + "/memory.max": "max\n", v2 + "/system.slice/memory.max": "67108864\n"}, 64 << 20},
		"the lowest of all":              {"0::/a/b/c\n", mountV2, map[string]string{v2 + "/a/b/c/memory.max": "300\n", v2 + "/a/b/memory.max": "100\n", v2 + "/a/memory.max": "200\n"}, 100},
		"where it is slowed down":        {"0::" + unit + "\n", mountV2, map[string]string{v2 + unit + "/memory.max": "300\n", v2 + unit + "/memory.high": "200\n"}, 200},
		"a container, version 2":         {"0::/\n", mountV2, map[string]string{v2 + "/memory.max": "67108864\n"}, 64 << 20},
		"another unit's does not count":  {"0::" + unit + "\n", mountV2, map[string]string{v2 + "/system.slice/web.service/memory.max": "100\n"}, math.MaxInt64},
		"no limit":                       {"0::" + unit + "\n", mountV2, map[string]string{v2 + unit + "/memory.max": "max\n"}, math.MaxInt64},
		"version 1":                      {"9:cpu:/\n4:memory:" + unit + "\n0::/\n", mountTmp + mountCPU + mountV1, map[string]string{v1 + unit + "/memory.limit_in_bytes": "67108864\n"}, 64 << 20},
		"version 1, above":               {"4:memory:" + unit + "\n", mountV1, map[string]string{v1 + unit + "/memory.limit_in_bytes": unlimited, v1 + "/memory.limit_in_bytes": "67108864\n"}, 64 << 20},
		"version 1, another controller":  {"9:cpu:/x\n", mountCPU, map[string]string{"/sys/fs/cgroup/cpu/x/memory.limit_in_bytes": "100\n"}, math.MaxInt64},
		"a container, version 1":         {"4:memory:/docker/4f1e/in\n", mountDocker, map[string]string{v1 + "/in/memory.limit_in_bytes": "300\n", v1 + "/memory.limit_in_bytes": "200\n"}, 200},
		"a container, cgroup elsewhere":  {"4:memory:/other\n", mountDocker, map[string]string{v1 + "/memory.limit_in_bytes": "200\n", "/sys/fs/cgroup/other/memory.limit_in_bytes": "100\n"}, 200},
		"a limit that is no number":      {"0::" + unit + "\n", mountV2, map[string]string{v2 + unit + "/memory.max": "-1\n", v2 + "/system.slice/memory.max": "many\n"}, math.MaxInt64},
		"a cgroup that cannot be parsed": {"nonsense\n", mountV2, map[string]string{v2 + "/memory.max": "100\n"}, math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write := func(name, text string) {
				name = filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("/proc/42/cgroup", tt.cgroup)
			write("/proc/42/mountinfo", tt.mounts)
			if err := os.Symlink("42", filepath.Join(root, "proc/self")); err != nil {
				t.Fatal(err)
			}
			for name, text := range tt.files {
				write(name, text)
			}
			if got := MemoryLimit(root); got != tt.want {
				t.Errorf("%d bytes, want %d", got, tt.want)
			}
		})
	}
}

func TestMemoryLimitWithoutProc(t *testing.T) {
	if got := MemoryLimit(t.TempDir()); got != math.MaxInt64 {
		t.Errorf("%d bytes", got)
	}
}
