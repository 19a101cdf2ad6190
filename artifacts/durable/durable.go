package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// TempPrefix begins the name of every file that is being written. The owner of
// the directory may delete what a crash left under such a name.
const TempPrefix = ".tmp-"

// WriteFile replaces name beneath dir by data with exactly the given
// permissions: written next to it, fsynced, renamed over it, and the directory
// fsynced. On an error what was there before is untouched.
func WriteFile(dir Dir, name string, data []byte, mode fs.FileMode) error {
	temp := tempName(name)
	if err := writeTemp(dir, temp, data, mode); err != nil {
		return err
	}
	return replace(dir, temp, name)
}

// Symlink makes name a link to target, in place of whatever link or file was
// there. The target is stored as given and is not followed.
func Symlink(dir Dir, target, name string) error {
	temp := tempName(name)
	if err := dir.Symlink(target, temp); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return replace(dir, temp, name)
}

// Rename moves from to to, both beneath dir, and fsyncs both directories.
func Rename(dir Dir, from, to string) error {
	if err := dir.Rename(from, to); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	if err := SyncDir(dir, path.Dir(to)); err != nil || path.Dir(from) == path.Dir(to) {
		return err
	}
	return SyncDir(dir, path.Dir(from))
}

// Exchange swaps two names beneath dir in one step, and fsyncs both directories.
// The error is errors.ErrUnsupported where the file system cannot.
func Exchange(dir Dir, a, b string) error {
	if err := callsOf(dir).Exchange(a, b); err != nil {
		return fmt.Errorf("exchange %s: %w", b, err)
	}
	return errors.Join(SyncDir(dir, path.Dir(b)), SyncDir(dir, path.Dir(a)))
}

// Remove deletes name and fsyncs its directory, so that the deletion does not
// come undone. A name that does not exist is no error.
func Remove(dir Dir, name string) error {
	if err := remove(dir, name); err != nil {
		return err
	}
	return SyncDir(dir, path.Dir(name))
}

// SyncDir fsyncs the directory name beneath dir: the entries created, renamed
// and removed in it are then on the disk.
func SyncDir(dir Dir, name string) error {
	d, err := dir.Open(name)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return errors.Join(callsOf(dir).Sync(d), d.Close())
}

// writeTemp leaves nothing behind where it fails.
func writeTemp(dir Dir, temp string, data []byte, mode fs.FileMode) error {
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode) // the umask must not decide who reads a marker or a key
	}
	if err == nil {
		err = callsOf(dir).Sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, remove(dir, temp))
	}
	return nil
}

func replace(dir Dir, temp, name string) error {
	if err := dir.Rename(temp, name); err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", name, err), remove(dir, temp))
	}
	return SyncDir(dir, path.Dir(name))
}

func remove(dir Dir, name string) error {
	if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

func tempName(name string) string {
	return path.Join(path.Dir(name), TempPrefix+strings.ToLower(rand.Text()))
}
