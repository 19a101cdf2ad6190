package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	labelAttr = "security.selinux"
	maxLabel  = 4096 // bytes; SELinux has no longer one
)

// context is the option that gives all files of an image the label that its mount point
// has; "" where there is no SELinux, which would refuse the mount with it. A label with
// categories has commas, so it is quoted.
func (m *Mounts) context(dir string) (option string, err error) {
	if _, err := os.Stat(filepath.Join(m.root, "sys/fs/selinux/enforce")); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	label, err := m.label(dir)
	switch {
	case errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) || err == nil && label == "":
		return "", nil // the policy decides, as it does for dir
	case err != nil:
		return "", &os.PathError{Op: "getxattr " + labelAttr, Path: dir, Err: err}
	case strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }):
		return "", fmt.Errorf("the SELinux label of %s is %q", dir, label)
	}
	return `context="` + label + `"`, nil
}

// label is the label of a file, without the NUL at its end.
func label(path string) (string, error) {
	buffer := make([]byte, maxLabel)
	n, err := unix.Lgetxattr(path, labelAttr, buffer)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(buffer[:n]), "\x00"), nil
}
