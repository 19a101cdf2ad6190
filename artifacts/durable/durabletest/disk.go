package durabletest

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"sync"
	"testing"

	"koboshi/artifacts/durable"
)

// Disk is an [os.Root] of a temporary directory. It is a [durable.Dir] and
// [durable.Calls]; changes made without it are not in the model until a syncfs.
type Disk struct {
	*os.Root

	// Lose is called before each fsync, syncfs, rename and exchange, counted from
	// 0: true leaves the call out and reports success. nil loses none.
	Lose func(n int, call string) bool
	// After is called after each change, with its name. nil is not called.
	After func(change string)

	mu   sync.Mutex
	top  *node
	open map[*os.File]opened
	n    int
}

type opened struct {
	node *node
	name string
}

// node is a file, a link or a directory of the model.
type node struct {
	mode    fs.FileMode
	data    string           // of a file: the durable bytes; of a link: its target
	live    map[string]*node // of a directory: what is there
	durable map[string]*node // of a directory: what a power cut leaves
}

var (
	_ durable.Dir   = (*Disk)(nil)
	_ durable.Calls = (*Disk)(nil)
)

// New is an empty disk.
func New(t testing.TB) *Disk {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return &Disk{Root: root, top: directory(0o755), open: map[*os.File]opened{}}
}

func directory(mode fs.FileMode) *node {
	return &node{mode: fs.ModeDir | mode, live: map[string]*node{}, durable: map[string]*node{}}
}

// find is the node of a name, nil where the model has none.
func (d *Disk) find(name string) *node {
	name = path.Clean(name)
	if name == "." {
		return d.top
	}
	parent := d.find(path.Dir(name))
	if parent == nil {
		return nil
	}
	return parent.live[path.Base(name)]
}

// change applies to the model what has been done on the disk.
func (d *Disk) change(name string, err error, apply func()) error {
	if err != nil {
		return err
	}
	d.mu.Lock()
	apply()
	d.mu.Unlock()
	if d.After != nil {
		d.After(name)
	}
	return nil
}

// lost counts a call and reports whether to leave it out.
func (d *Disk) lost(call string) bool {
	n := d.n
	d.n++
	return d.Lose != nil && d.Lose(n, call)
}

// Calls is how many calls could have been lost so far.
func (d *Disk) Calls() int { return d.n }

// link gives a node its name.
func (d *Disk) link(name string, n *node) {
	if parent := d.find(path.Dir(name)); parent != nil {
		parent.live[path.Base(name)] = n
	}
}

func (d *Disk) unlink(name string) {
	if parent := d.find(path.Dir(name)); parent != nil {
		delete(parent.live, path.Base(name))
	}
}

// Open opens a file or directory to read or fsync it.
func (d *Disk) Open(name string) (*os.File, error) { return d.OpenFile(name, os.O_RDONLY, 0) }

// OpenFile creates a missing file where flag has O_CREATE.
func (d *Disk) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := d.Root.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if flag&os.O_CREATE != 0 && d.find(name) == nil {
		d.link(name, &node{mode: perm})
	}
	d.open[f] = opened{d.find(name), name}
	return f, nil
}

// Mkdir makes a directory.
func (d *Disk) Mkdir(name string, perm fs.FileMode) error {
	return d.change("mkdir "+name, d.Root.Mkdir(name, perm), func() { d.link(name, directory(perm)) })
}

// Chmod is not in the model: permissions are durable at once.
func (d *Disk) Chmod(name string, mode fs.FileMode) error {
	return d.change("chmod "+name, d.Root.Chmod(name, mode), func() {
		if n := d.find(name); n != nil {
			n.mode = n.mode.Type() | mode
		}
	})
}

// Symlink makes a link.
func (d *Disk) Symlink(target, name string) error {
	return d.change("symlink "+name, d.Root.Symlink(target, name), func() { d.link(name, &node{mode: fs.ModeSymlink, data: target}) })
}

// Remove deletes a file, a link or an empty directory.
func (d *Disk) Remove(name string) error {
	return d.change("remove "+name, d.Root.Remove(name), func() { d.unlink(name) })
}

// RemoveAll empties a tree, every directory of it, before it deletes it.
func (d *Disk) RemoveAll(name string) error {
	return d.change("remove all of "+name, d.Root.RemoveAll(name), func() {
		empty(d.find(name))
		d.unlink(name)
	})
}

func empty(n *node) {
	if n == nil {
		return
	}
	for _, child := range n.live {
		empty(child)
	}
	clear(n.live)
}

// Rename moves from to to, over what was there.
func (d *Disk) Rename(from, to string) error {
	if d.lost("rename to " + to) {
		return nil
	}
	return d.change("rename to "+to, d.Root.Rename(from, to), func() {
		n := d.find(from)
		d.unlink(from)
		if n != nil {
			d.link(to, n)
		}
	})
}

// Exchange swaps a and b.
func (d *Disk) Exchange(a, b string) error {
	if d.lost("exchange with " + b) {
		return nil
	}
	aside := a + ".aside" // one step for the model, though not for the disk
	for _, move := range [][2]string{{a, aside}, {b, a}, {aside, b}} {
		if err := d.Root.Rename(move[0], move[1]); err != nil {
			return err
		}
	}
	return d.change("exchange with "+b, nil, func() {
		first, second := d.find(a), d.find(b)
		d.link(a, second)
		d.link(b, first)
	})
}

// Sync makes the bytes of a file durable, or the entries of a directory.
func (d *Disk) Sync(f *os.File) error {
	d.mu.Lock()
	o := d.open[f]
	d.mu.Unlock()
	switch {
	case o.node == nil:
		return fmt.Errorf("fsync of %s, which is not in the model", f.Name())
	case d.lost("fsync of " + o.name):
		return nil
	case o.node.mode.IsDir():
		return d.change("fsync of "+o.name, nil, func() { o.node.durable = maps.Clone(o.node.live) })
	}
	data, err := d.ReadFile(o.name)
	return d.change("fsync of "+o.name, err, func() { o.node.data = string(data) })
}

// SyncFS makes all durable that is on the disk.
func (d *Disk) SyncFS(*os.File) error {
	if d.lost("syncfs") {
		return nil
	}
	d.mu.Lock()
	err := scan(d.Name(), d.top)
	d.mu.Unlock()
	return d.change("syncfs", err, func() {})
}

// scan takes a directory of the real disk into the model.
func scan(dir string, n *node) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		child := n.live[e.Name()]
		if child == nil {
			if child, err = found(e); err != nil {
				return err
			}
			n.live[e.Name()] = child
		}
		if err := child.load(name); err != nil {
			return err
		}
	}
	n.durable = maps.Clone(n.live)
	return nil
}

func found(e fs.DirEntry) (*node, error) {
	info, err := e.Info()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return directory(info.Mode().Perm()), nil
	}
	return &node{mode: info.Mode()}, nil
}

func (n *node) load(name string) error {
	switch {
	case n.mode.IsDir():
		return scan(name, n)
	case n.mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(name)
		n.data = target
		return err
	}
	data, err := os.ReadFile(name)
	n.data = string(data)
	return err
}
