package durabletest

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// State is what a power cut may leave.
type State struct {
	Name string // such as "all but releases"
	top  *node
	// view is the entries of a directory that are left.
	view func(dir *node) map[string]*node
}

func durableView(n *node) map[string]*node { return n.durable }

func liveView(n *node) map[string]*node { return n.live }

// with is a view of some entries of one directory by another view.
func with(view, other func(*node) map[string]*node, p pending) func(*node) map[string]*node {
	return func(n *node) map[string]*node {
		if n != p.dir {
			return view(n)
		}
		entries := maps.Clone(view(n))
		for _, name := range p.entries {
			delete(entries, name)
			if child, ok := other(n)[name]; ok {
				entries[name] = child
			}
		}
		return entries
	}
}

// States are those that a power cut may leave now. They are valid until the next
// change.
func (d *Disk) States() iter.Seq[State] {
	return func(yield func(State) bool) {
		if !yield(State{"what is durable", d.top, durableView}) || !yield(State{"all entries", d.top, liveView}) {
			return
		}
		for _, p := range d.pending() {
			if !yield(State{"what is durable, and " + p.name, d.top, with(durableView, liveView, p)}) ||
				!yield(State{"all entries but " + p.name, d.top, with(liveView, durableView, p)}) {
				return
			}
		}
	}
}

// pending is what an fsync of a directory would change: all of it, or one entry.
type pending struct {
	name    string
	dir     *node
	entries []string
}

func (d *Disk) pending() (all []pending) {
	seen := map[*node]bool{}
	var walk func(name string, n *node)
	walk = func(name string, n *node) {
		if seen[n] || !n.mode.IsDir() {
			return
		}
		seen[n] = true
		changed := n.changed()
		if len(changed) > 1 {
			all = append(all, pending{"all of " + name, n, changed})
		}
		for _, entry := range changed {
			all = append(all, pending{path.Join(name, entry), n, []string{entry}})
		}
		for _, entries := range []map[string]*node{n.live, n.durable} {
			for base, child := range entries {
				walk(path.Join(name, base), child)
			}
		}
	}
	walk(".", d.top)
	return all
}

// changed is the entries of a directory that are not durable, or not there.
func (n *node) changed() (names []string) {
	for name, child := range n.live {
		if n.durable[name] != child {
			names = append(names, name)
		}
	}
	for name := range n.durable {
		if _, ok := n.live[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Key is the same for states of the same content.
func (s State) Key() string {
	var b strings.Builder
	s.describe(&b, s.top)
	return b.String()
}

func (s State) describe(b *strings.Builder, n *node) {
	fmt.Fprintf(b, "%v %q", n.mode, n.data)
	if !n.mode.IsDir() {
		return
	}
	entries := s.view(n)
	b.WriteByte('{')
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		fmt.Fprintf(b, "%q ", name)
		s.describe(b, entries[name])
	}
	b.WriteByte('}')
}

// Twice is a directory that is left under two names, "" if none is: a rename of
// which the first half is not durable.
func (s State) Twice() (name string) {
	seen := map[*node]bool{}
	var walk func(at string, n *node)
	walk = func(at string, n *node) {
		if seen[n] {
			name = at
			return
		}
		seen[n] = true
		if n.mode.IsDir() {
			for base, child := range s.view(n) {
				walk(path.Join(at, base), child)
			}
		}
	}
	walk(".", s.top)
	return name
}

// WriteTo makes the state in an existing directory.
func (s State) WriteTo(dir string) error { return s.write(dir, s.top) }

func (s State) write(dir string, n *node) (err error) {
	for base, child := range s.view(n) {
		name := filepath.Join(dir, base)
		switch {
		case child.mode.IsDir():
			err = errors.Join(err, os.Mkdir(name, 0o755), s.write(name, child), os.Chmod(name, child.mode.Perm()))
		case child.mode&os.ModeSymlink != 0:
			err = errors.Join(err, os.Symlink(child.data, name))
		default:
			err = errors.Join(err, os.WriteFile(name, []byte(child.data), 0o600), os.Chmod(name, child.mode.Perm()))
		}
	}
	return err
}
