package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/systemd"
)

// machine is a root directory with these files.
func machine(t *testing.T, files map[string]string) *Mounts {
	t.Helper()
	m := New(nil)
	m.root = t.TempDir()
	for name, text := range files {
		path := filepath.Join(m.root, strings.ReplaceAll(name, "RELEASE", kernel(t)))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func kernel(t *testing.T) string {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	return unix.ByteSliceToString(name.Release[:])
}

func TestCan(t *testing.T) {
	const known, modules = "proc/filesystems", "lib/modules/RELEASE/modules.dep"
	for name, test := range map[string]struct {
		files map[string]string
		want  string // "" = it can
	}{
		"built in, or loaded":   {map[string]string{known: "nodev\tsysfs\n\terofs\n"}, ""},
		"a module":              {map[string]string{known: "\text4\n", modules: "kernel/fs/erofs/erofs.ko.zst: kernel/lib/x.ko\n"}, ""},
		"another module":        {map[string]string{known: "\text4\n", modules: "kernel/fs/xfs/xfs.ko: kernel/fs/erofs.ko\n"}, "no module of it"},
		"in usr":                {map[string]string{known: "\text4\n", "usr/" + modules: "kernel/fs/erofs/erofs.ko:\n"}, ""},
		"no modules at all":     {map[string]string{known: "\text4\n", "lib/modules/other/x": ""}, "there are no modules"},
		"nothing can be seen":   {map[string]string{known: "\text4\n"}, ""},
		"blacklisted":           {map[string]string{known: "\text4\n", modules: "erofs.ko:\n", "etc/modprobe.d/cis.conf": "# x\nblacklist erofs\n"}, "blacklisted in /etc/modprobe.d/cis.conf"},
		"replaced by false":     {map[string]string{known: "\text4\n", modules: "erofs.ko:\n", "usr/lib/modprobe.d/x.conf": "install erofs /bin/false\n"}, "blacklisted"},
		"another is":            {map[string]string{known: "\text4\n", modules: "erofs.ko:\n", "etc/modprobe.d/x.conf": "blacklist squashfs\ninstall erofs /sbin/modprobe -i erofs\n"}, ""},
		"blacklisted, and used": {map[string]string{known: "\terofs\n", "etc/modprobe.d/x.conf": "blacklist erofs\n"}, ""},
	} {
		err := machine(t, test.files).Can(t.Context(), "erofs")
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// ProtectKernelModules= hides all modules: only an attempt shows which there are.
func TestCanWithoutASight(t *testing.T) {
	m := machine(t, map[string]string{"proc/filesystems": "\text4\n"})
	modules := filepath.Join(m.root, "lib/modules")
	if err := os.MkdirAll(modules, 0o755); err != nil {
		t.Fatal(err)
	}
	for mode, hidden := range map[os.FileMode]bool{0: true, 0o755: false} {
		if err := os.Chmod(modules, mode); err != nil {
			t.Fatal(err)
		}
		if err := m.Can(t.Context(), "erofs"); (err == nil) != hidden {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestLabels(t *testing.T) {
	for text, want := range map[string]bool{"": false, "0": false, "1": true} {
		m := machine(t, map[string]string{"sys/fs/selinux/enforce": text})
		if got, err := m.Labels(); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if got, err := machine(t, nil).Labels(); got || err != nil {
		t.Errorf("without SELinux: %v, %v", got, err)
	}
	if _, err := machine(t, map[string]string{"sys/fs/selinux/enforce/x": ""}).Labels(); err == nil {
		t.Error("what cannot be read is an answer")
	}
}

func TestMounted(t *testing.T) {
	m := machine(t, map[string]string{
		"sys/dev/block/7:3/loop/backing_file": "/opt/image\n",
		"sys/dev/block/7:4/loop/backing_file": "/opt/image (deleted)\n",
	})
	for minor, want := range map[uint32]string{3: "/opt/image", 4: "/opt/image (deleted)", 5: ""} {
		if got := m.backing(unix.Mkdev(7, minor)); got != want {
			t.Errorf("loop%d: %q, want %q", minor, got, want)
		}
	}
	if _, mounted, err := m.Mounted("/proc"); err != nil || !mounted {
		t.Errorf("/proc is mounted: %v, %v", mounted, err)
	}
	for _, dir := range []string{m.root, "/nowhere/tree", "/proc/self/stat/tree"} {
		if _, mounted, err := m.Mounted(dir); err != nil || mounted {
			t.Errorf("%s is not mounted: %v, %v", dir, mounted, err)
		}
	}
}

// A loop device that is free a moment later, or has another image by then, is not in use.
func TestKeeps(t *testing.T) {
	const name = "sys/dev/block/7:3/loop/backing_file"
	synctest.Test(t, func(t *testing.T) {
		m := machine(t, map[string]string{name: "/opt/image\n"})
		device := unix.Mkdev(7, 3)
		if !m.keeps(device, "/opt/image") {
			t.Error("it has its image")
		}
		for _, becomes := range []string{"", "/opt/other\n"} {
			time.AfterFunc(freePause*5/2, func() { _ = os.WriteFile(filepath.Join(m.root, name), []byte(becomes), 0o644) })
			if m.keeps(device, "/opt/image") {
				t.Errorf("it becomes %q", becomes)
			}
			if err := os.WriteFile(filepath.Join(m.root, name), []byte("/opt/image\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// pid1 is a systemd that says how it was asked.
type pid1 struct {
	mount  systemd.Mount
	err    error
	closed int
}

func (p *pid1) Mount(_ context.Context, m systemd.Mount) error { p.mount = m; return p.err }
func (p *pid1) Unmount(context.Context, string) error          { return p.err }
func (p *pid1) Close()                                         { p.closed++ }

func TestMountByPID1(t *testing.T) {
	p := &pid1{}
	m := New(nil)
	m.dial = func(context.Context) (manager, error) { return p, nil }
	if err := m.Mount(t.Context(), "erofs", "/opt/1/meta/image", "/opt/1/tree"); err != nil {
		t.Fatal(err)
	}
	want := systemd.Mount{What: "/opt/1/meta/image", Where: "/opt/1/tree", Type: "erofs", Options: []string{"loop", "ro", "nodev", "nosuid"}, Description: "the release at /opt/1"}
	if !reflect.DeepEqual(p.mount, want) || p.closed != 1 {
		t.Errorf("%+v, closed %d times", p.mount, p.closed)
	}
	p.err = &systemd.JobError{Unit: `opt-1\x20tree.mount`, Result: "failed"}
	if err := m.Mount(t.Context(), "erofs", "/x", "/y"); !errors.Is(err, p.err) || !strings.Contains(err.Error(), `journalctl -u 'opt-1\x20tree.mount'`) {
		t.Errorf("%v", err)
	}
	p.err = errors.New("no")
	if err := m.Mount(t.Context(), "erofs", "/x", "/y"); !errors.Is(err, p.err) {
		t.Errorf("%v", err)
	}
	if err := m.Unmount(t.Context(), t.TempDir()); !errors.Is(err, p.err) {
		t.Errorf("%v", err)
	}
	p.err = nil
	if err := m.Unmount(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "still mounted") {
		t.Errorf("a directory that is on the device that it was on before: %v", err)
	}
	if err := m.Unmount(t.Context(), "/nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// A bus that does not answer is no reason to mount by other means.
func TestBusGone(t *testing.T) {
	m := New(nil)
	gone := fmt.Errorf("gone")
	m.dial = func(context.Context) (manager, error) { return nil, gone }
	if err := m.Mount(t.Context(), "erofs", "/x", "/y"); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	if err := m.Unmount(t.Context(), t.TempDir()); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}

// Without systemd this process mounts, if it may.
func TestMountHere(t *testing.T) {
	m := New(nil)
	m.dial = func(context.Context) (manager, error) { return nil, systemd.ErrNotBooted }
	image := filepath.Join(t.TempDir(), "image")
	if err := m.Mount(t.Context(), "erofs", image, t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no image: %v", err)
	}
	if err := os.WriteFile(image, make([]byte, 8192), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Mount(t.Context(), "erofs", image, t.TempDir()); err == nil {
		t.Error("zeros were mounted")
	}
	if err := m.Unmount(t.Context(), t.TempDir()); err == nil {
		t.Error("what is not mounted was unmounted")
	}
}
