package mounts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Can is why a file system cannot be mounted here; nil = it can, or may. The kernel
// has it, or finds a module that is not blacklisted. Where modules cannot be read, as
// in the agent's own unit, only the attempt tells.
func (m *Mounts) Can(_ context.Context, filesystem string) error {
	machine := os.DirFS(m.root)
	if known, err := hasLine(machine, "proc/filesystems", func(fields []string) bool { return fields[len(fields)-1] == filesystem }); known || err != nil {
		return ignoreUnreadable(err)
	}
	if file := blacklists(machine, filesystem); file != "" {
		return fmt.Errorf("the module of %s is blacklisted in /%s", filesystem, file)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return os.NewSyscallError("uname", err)
	}
	for _, lib := range []string{"lib/modules", "usr/lib/modules"} {
		dir := path.Join(lib, unix.ByteSliceToString(name.Release[:]))
		found, err := hasLine(machine, path.Join(dir, "modules.dep"), func(fields []string) bool {
			file := path.Base(strings.TrimSuffix(fields[0], ":"))
			module, _, _ := strings.Cut(file, ".ko")
			return module == filesystem
		})
		switch {
		case found:
			return nil
		case err == nil:
			return fmt.Errorf("this kernel has no %s, and no module of it", filesystem)
		case !errors.Is(err, fs.ErrNotExist):
			return ignoreUnreadable(err)
		}
	}
	// In the agent's own unit there is an empty directory over it, without any permission.
	if info, err := fs.Stat(machine, "lib/modules"); err == nil && info.Mode().Perm() != 0 {
		return fmt.Errorf("this kernel has no %s, and there are no modules of it", filesystem)
	}
	return nil
}

// Labels reports whether SELinux is enforcing.
func (m *Mounts) Labels() (enforced bool, err error) {
	data, err := os.ReadFile(filepath.Join(m.root, "sys/fs/selinux/enforce"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return strings.TrimSpace(string(data)) == "1", err
}

// ignoreUnreadable leaves what may not be read to the attempt.
func ignoreUnreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// blacklists is the file that keeps a module from being loaded; "" where none does.
func blacklists(machine fs.FS, module string) string {
	for _, dir := range []string{"etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"} {
		names, _ := fs.Glob(machine, dir+"/*.conf") // only a wrong pattern is an error
		for _, name := range names {
			banned, _ := hasLine(machine, name, func(fields []string) bool {
				return len(fields) > 1 && fields[1] == module && (fields[0] == "blacklist" ||
					fields[0] == "install" && slices.ContainsFunc(fields[2:], func(s string) bool { return path.Base(s) == "false" || path.Base(s) == "true" }))
			})
			if banned {
				return name
			}
		}
	}
	return ""
}

// hasLine looks for a line by its fields, of which there is at least one.
func hasLine(machine fs.FS, name string, is func(fields []string) bool) (bool, error) {
	f, err := machine.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 0 && is(fields) {
			return true, nil
		}
	}
	return false, lines.Err()
}
