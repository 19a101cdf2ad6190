package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"koboshi/agent/failure"
)

// readDeciding reads a file that decides what this machine runs: configuration,
// keys, environment. As root one that another user could change is refused, since
// that user would be root.
func readDeciding(name string) ([]byte, error) {
	if os.Geteuid() == 0 {
		if err := checkRootOwned(name, os.Stat); err != nil {
			return nil, err
		}
	}
	data, err := readFile(name)
	if err != nil {
		return nil, failure.Mark(err, failure.ErrConfiguration)
	}
	return data, nil
}

// checkRootOwned checks a file, the directories that lead to it and, where there
// is a link among them, those that lead to where the file is. A file that does not
// exist is no error here, but where it is opened.
func checkRootOwned(name string, stat func(string) (fs.FileInfo, error)) error {
	path, err := filepath.Abs(name)
	if err != nil {
		return failure.Mark(err, failure.ErrConfiguration)
	}
	seen := map[string]bool{}
	for _, path := range []string{path, resolved(path)} {
		for ; !seen[path]; path = filepath.Dir(path) {
			seen[path] = true
			info, err := stat(path)
			if err != nil {
				continue // opening the file fails with the reason
			}
			if why := changeable(info); why != "" {
				return failure.WithHint(
					failure.Mark(fmt.Errorf("%s: %s %s, and koboshi runs as root", name, path, why), failure.ErrConfiguration),
					fmt.Sprintf("chown root:root %s; chmod go-w %s", path, path))
			}
		}
	}
	return nil
}

func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// changeable is how a user other than root could change a file, or a directory's
// entries; "" if none could.
func changeable(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode()
	switch {
	case !ok:
		return "has no owner"
	case st.Uid != 0:
		return fmt.Sprintf("is owned by user %d", st.Uid)
	case mode.IsDir() && mode&fs.ModeSticky != 0:
		return ""
	case mode&0o002 != 0:
		return fmt.Sprintf("may be written by every user (%04o)", mode.Perm())
	case mode&0o020 != 0 && st.Gid != 0:
		return fmt.Sprintf("may be written by group %d (%04o)", st.Gid, mode.Perm())
	}
	return ""
}
