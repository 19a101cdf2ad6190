package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/durable"
)

const (
	releasesDir  = "releases"
	stagingDir   = ".staging"
	currentLink  = "current"
	previousLink = "previous"
	treeDir      = "tree" // of a release: what the app sees
	metaDir      = "meta" // of a release: what the store knows of it
)

// filesystem is the directory of a store, an [os.Root].
type filesystem interface {
	durable.Dir
	Chmod(name string, mode fs.FileMode) error
	Close() error
	Mkdir(name string, perm fs.FileMode) error
	OpenRoot(name string) (*os.Root, error)
	Readlink(name string) (string, error)
	RemoveAll(name string) error
	Stat(name string) (fs.FileInfo, error)
}

// Store is the releases of one app, beneath one directory. Its methods may be
// called by several goroutines.
type Store struct {
	// Window is how many bytes of memory the decoding of an archive may look back
	// over, see unpack.Zstd. It is set before the first use.
	Window int64

	// Turns is a directory of root's in which the stores of several apps on one file
	// system keep each other from filling it; "" = they do not. It is set before the
	// first use.
	Turns string

	// Mounts mounts images; nil = it is not done here. It is set before the first use.
	Mounts Mounts

	// Seals protects images that are installed; nil = it is not asked for. It is set
	// before the first use.
	Seals Seals

	dir      string
	root     filesystem
	verified verifier

	mu      sync.Mutex // releases/ and the links change one at a time
	staging sync.Mutex // and so does .staging; taken before mu

	tried map[artifacts.Format]error // formats whose samples were mounted, or why not; under staging

	before func(step string) error       // where tests fail or die; nil outside of them
	free   func() (unix.Statfs_t, error) // statfs, but for tests
}

// Open opens the store at dir and creates what is missing. Only what verifies
// under trust is a [Release]. What a crash left behind stays until
// [Store.Prune]. Errors are [ErrDisk].
func Open(dir string, trust artifacts.Trust) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, onDisk("open the store", err)
	}
	if err := durable.MakeDir(dir); err != nil {
		return nil, onDisk("open the store", err)
	}
	s, err := openRoot(dir, trust)
	if err != nil {
		return nil, err
	}
	if err := s.complete(); err != nil {
		return nil, err
	}
	return s, nil
}

func openRoot(dir string, trust artifacts.Trust) (*Store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, onDisk("open the store", err)
	}
	return newStore(root, dir, trust), nil
}

func newStore(root filesystem, dir string, trust artifacts.Trust) *Store {
	s := &Store{dir: dir, root: root, verified: verifier{trust: trust}}
	s.free = s.statfs
	return s
}

// complete makes and repairs the store's own directories, and closes it where that fails.
func (s *Store) complete() error {
	if err := errors.Join(s.ensure(releasesDir, 0o755), s.ensure(stagingDir, 0o700)); err != nil {
		return errors.Join(onDisk("open the store", err), s.Close())
	}
	return nil
}

// OpenExisting is [Open] for reading only: it makes and repairs nothing, and where
// there is no store yet the error is fs.ErrNotExist.
func OpenExisting(dir string, trust artifacts.Trust) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, onDisk("open the store", err)
	}
	for _, name := range []string{releasesDir, stagingDir} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return openRoot(dir, trust)
}

// Close releases the store's descriptor.
func (s *Store) Close() error { return s.root.Close() }

// Dir is the store's absolute path.
func (s *Store) Dir() string { return s.dir }

// ensure makes a directory with exactly these permissions, whatever the umask.
// It is durable once a release is: [Store.Stage] brings all to the disk.
func (s *Store) ensure(name string, mode fs.FileMode) error {
	info, err := s.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.root.Mkdir(name, mode); err != nil {
			return err
		}
		return s.root.Chmod(name, mode)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", name)
	}
	if info.Mode().Perm() != mode {
		return s.root.Chmod(name, mode)
	}
	return nil
}

// stagingName is a fresh name for a tree in the making, or for garbage.
func stagingName(id string) string {
	return path.Join(stagingDir, id+"."+strings.ToLower(rand.Text()))
}

// change runs one step that alters the disk.
func (s *Store) change(step string, do func() error) error {
	if s.before != nil {
		if err := s.before(step); err != nil {
			return onDisk(step, err)
		}
	}
	return onDisk(step, do())
}

// exchange swaps two directories in one step. Where the file system cannot, it
// takes two steps, and for a moment there is no release.
func (s *Store) exchange(staged, release string) error {
	return s.change("exchange", func() error {
		err := durable.Exchange(s.root, staged, release)
		if errors.Is(err, errors.ErrUnsupported) {
			return s.replace(staged, release)
		}
		return err
	})
}

func (s *Store) replace(staged, release string) error {
	if err := durable.Rename(s.root, release, stagingName(path.Base(release))); err != nil {
		return err
	}
	return durable.Rename(s.root, staged, release)
}
