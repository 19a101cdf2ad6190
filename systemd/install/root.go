package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"koboshi/artifacts/durable"
)

// Root is a root file system that is open for changes. Its methods take the
// machine's absolute paths.
type Root struct {
	root    *os.Root
	dir     string // absolute, on the machine that runs this
	changes []Change
}

// Change is one path that is not as it was.
type Change struct {
	Path   string `json:"path"`   // absolute, on the machine
	Change string `json:"change"` // created, replaced, corrected, enabled, removed
}

// Open opens the root file system at dir.
func Open(dir string) (*Root, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, &Error{message: "--root", class: ErrRoot, cause: err}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, &Error{message: "--root", class: ErrRoot, cause: err}
	}
	return &Root{root: root, dir: dir}, nil
}

// Close ends the changes.
func (r *Root) Close() { _ = r.root.Close() } // a directory descriptor

// CheckSystemd fails with [ErrRoot] where there is no systemd to install into.
func (r *Root) CheckSystemd() error {
	for _, dir := range []string{"/usr/lib/systemd", "/lib/systemd"} {
		if info, err := r.root.Stat(in(dir)); err == nil && info.IsDir() {
			return nil
		}
	}
	return &Error{
		message: fmt.Sprintf("%s: no systemd here to install units for", r.dir), class: ErrRoot,
		advice: "have the machine's own init run koboshi boot, and set service.restart to start the app",
	}
}

// in is a path of the machine, as os.Root takes it.
func in(name string) string { return strings.TrimPrefix(path.Clean(name), "/") }

// note records a change, unless what should have made it failed.
func (r *Root) note(name, what string, err error) error {
	if err != nil {
		return cannot(what, name, err)
	}
	r.changes = append(r.changes, Change{name, what})
	return nil
}

// file makes a file what it should be, atomically.
func (r *Root) file(name string, data []byte, mode fs.FileMode) error {
	what := "created"
	if info, err := r.root.Lstat(in(name)); err == nil {
		if info.Mode() == mode && ownedByRoot(info) && r.holds(name, data) {
			return nil
		}
		what = "replaced"
	}
	if err := r.makeDir(path.Dir(name)); err != nil {
		return err
	}
	return r.note(name, what, durable.WriteFile(r.root, in(name), data, mode))
}

func (r *Root) holds(name string, data []byte) bool {
	found, err := r.root.ReadFile(in(name))
	return err == nil && bytes.Equal(found, data)
}

// ownDir makes a directory that only root may change: its content decides what
// runs as root.
func (r *Root) ownDir(name string) error {
	if err := r.makeDir(name); err != nil {
		return err
	}
	info, err := r.root.Stat(in(name))
	if err != nil {
		return cannot("corrected", name, err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		if err := r.note(name, "corrected", r.root.Chmod(in(name), mode&^0o022)); err != nil {
			return err
		}
	}
	if !ownedByRoot(info) {
		return r.note(name, "corrected", r.root.Chown(in(name), 0, 0))
	}
	return nil
}

// makeDir makes a directory and those above it, whatever the umask, and changes
// none that exists.
func (r *Root) makeDir(name string) error {
	if name == "/" {
		return nil
	}
	info, err := r.root.Stat(in(name))
	if err == nil && info.IsDir() {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cannot("created", name, err)
	}
	if err := r.makeDir(path.Dir(name)); err != nil {
		return err
	}
	err = r.root.Mkdir(in(name), 0o755)
	if err == nil {
		err = errors.Join(r.root.Chmod(in(name), 0o755), durable.SyncDir(r.root, path.Dir(in(name))))
	}
	return r.note(name, "created", err)
}

// link makes a link that leads to target.
func (r *Root) link(target, name string) error {
	if found, err := r.root.Readlink(in(name)); err == nil && found == target {
		return nil
	}
	if err := r.makeDir(path.Dir(name)); err != nil {
		return err
	}
	return r.note(name, "enabled", durable.Symlink(r.root, target, in(name)))
}

// remove removes a file or link, if there is one.
func (r *Root) remove(name string) error {
	info, err := r.root.Lstat(in(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.IsDir() {
		err = errors.New("it is a directory")
	}
	if err != nil {
		return cannot("removed", name, err)
	}
	return r.note(name, "removed", durable.Remove(r.root, in(name)))
}

// removeEmpty removes a directory if it is empty.
func (r *Root) removeEmpty(name string) error {
	err := r.root.Remove(in(name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(r.root, path.Dir(in(name)))
	}
	return r.note(name, "removed", err)
}

// ownedByRoot is always true for a process without root, which builds an image
// whose files get their owner later.
func ownedByRoot(info fs.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && (owner.Uid == 0 && owner.Gid == 0 || os.Geteuid() != 0)
}
