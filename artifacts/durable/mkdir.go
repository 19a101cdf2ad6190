package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// MkdirAll makes a directory and those above it that are missing. Their
// permissions never depend on the umask; what exists is left as it is.
func MkdirAll(dir string, mode fs.FileMode) error {
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := MkdirAll(parent, mode); err != nil {
			return err
		}
	}
	err = os.Mkdir(dir, mode)
	if errors.Is(err, fs.ErrExist) {
		return os.MkdirAll(dir, mode) // made by another process meanwhile, or an error that explains what is there
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}
