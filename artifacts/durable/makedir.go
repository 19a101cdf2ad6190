package durable

import (
	"fmt"
	"io/fs"
	"os"
)

// dirMode is the mode of every directory that everyone may look into.
const dirMode fs.FileMode = 0o755

// MakeDir is [MkdirAll] with mode 0755, and where the directory exists it is
// repaired: others may read it and not write to it, unless it has the sticky bit,
// as /tmp does.
func MakeDir(name string) error {
	if err := MkdirAll(name, dirMode); err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	mode := info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	want := mode | dirMode
	if mode&fs.ModeSticky == 0 {
		want &^= 0o022
	}
	if want == mode {
		return nil
	}
	if err := os.Chmod(name, want); err != nil {
		return fmt.Errorf("repair the mode %04o: %w", mode.Perm(), err)
	}
	return nil
}
