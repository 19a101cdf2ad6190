package tree

import (
	"path"
	"strings"
)

// A listing is what each path is, as far as the archive or index was read. A
// directory's path is stored once, not with all that is in it: an archive of
// some megabytes can have 150 MB of paths.
type listing struct {
	top    *node
	nodes  map[key]*node
	order  []*node // parents first
	limits Limits  // what is left of them
	text   int64   // and of MaxText

	last    *node // the directory that was looked up last, and its path: neighbors come together
	lastDir string
}

// key is a name in a directory.
type key struct {
	dir  *node
	name string
}

type node struct {
	Entry   // but Path: see [node.path]
	dir     *node
	name    string
	target  *node    // of a hard link
	found   bool     // by [Verify]
	implied bool     // a directory that so far is only part of a longer path
	hops    int      // links followed to resolve this one; 0 until it is checked
	end     position // where following it ends
}

func newListing(limits Limits) *listing {
	limits.Entries = min(limits.Entries, MaxEntries)
	top := &node{Entry: Entry{Type: TypeDir, Mode: DirMode}, name: ".", implied: true}
	return &listing{top: top, nodes: map[key]*node{}, limits: limits, text: MaxText, last: top, lastDir: "."}
}

// path is relative to the top of the tree, which is ".".
func (n *node) path() string {
	if n.dir == nil || n.dir.dir == nil {
		return n.name
	}
	return n.dir.path() + "/" + n.name
}

// entry is what the node is, with its path.
func (n *node) entry() Entry {
	e := n.Entry
	e.Path = n.path()
	return e
}

// find is the node of a path; nil where there is none, or the path is not clean.
func (l *listing) find(name string) *node {
	dir, base := path.Dir(name), path.Base(name)
	switch {
	case name == ".":
		return l.top
	case path.Clean(name) != name:
		return nil
	}
	if dir != l.lastDir {
		n := l.top
		for part := range strings.SplitSeq(dir, "/") {
			if part != "." {
				n = l.nodes[key{n, part}]
			}
			if n == nil {
				return nil
			}
		}
		l.last, l.lastDir = n, dir
	}
	return l.nodes[key{l.last, base}]
}

// add puts e into the listing and returns the nodes that are new: the
// directories that its path implies, and itself. It refuses what contradicts
// the entries before it.
func (l *listing) add(e *Entry) ([]*node, error) {
	if old := l.find(e.Path); old != nil {
		return nil, old.repeat(e)
	}
	known := len(l.order)
	dir, err := l.imply(e, path.Dir(e.Path))
	if err != nil {
		return nil, err
	}
	var target *node
	if e.Type == TypeHardlink {
		if target = l.find(e.Link); target == nil || target.Type != TypeFile {
			return nil, Refuse(e.Path, "hard link to %q, which is no earlier file", e.Link)
		}
	}
	if e.Size > l.limits.Bytes {
		return nil, Refuse(e.Path, "more bytes than the limit: %d, and %d are left", e.Size, l.limits.Bytes)
	}
	l.limits.Bytes -= e.Size
	if err := l.put(dir, e, false); err != nil {
		return nil, err
	}
	l.order[len(l.order)-1].target = target
	return l.order[known:], nil
}

// addIndexed adds an entry that comes from an index and not from an archive.
func (l *listing) addIndexed(e *Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	added, err := l.add(e)
	if err == nil && len(added) != 1 {
		return Refuse(e.Path, "index: comes twice, or before its directory")
	}
	return err
}

// repeat checks a second entry of one path: allowed only for a directory that was
// implied so far.
func (n *node) repeat(e *Entry) error {
	if !n.implied || e.Type != TypeDir {
		return Refuse(e.Path, "a %s where there is a %s already", e.Type, n.Type)
	}
	n.implied, n.Time = false, e.Time
	return nil
}

// imply makes sure that dir is a directory, for e to be in.
func (l *listing) imply(e *Entry, dir string) (*node, error) {
	if n := l.find(dir); n != nil {
		if n.Type != TypeDir {
			return nil, Refuse(e.Path, "leads through %q, a %s", dir, n.Type)
		}
		return n, nil
	}
	above, err := l.imply(e, path.Dir(dir))
	if err != nil {
		return nil, err
	}
	if err := l.put(above, &Entry{Path: dir, Type: TypeDir, Mode: DirMode}, true); err != nil {
		return nil, err
	}
	return l.order[len(l.order)-1], nil
}

func (l *listing) put(dir *node, e *Entry, implied bool) error {
	n := &node{Entry: *e, dir: dir, name: strings.Clone(path.Base(e.Path)), implied: implied}
	n.Path = ""
	if l.limits.Entries <= 0 {
		return Refuse(e.Path, "more entries than the limit")
	}
	if l.text -= int64(len(n.name) + len(n.Link)); l.text < 0 {
		return Refuse(e.Path, "more than %d bytes of names and link targets", MaxText)
	}
	l.limits.Entries--
	l.nodes[key{dir, n.name}] = n
	l.order = append(l.order, n)
	return nil
}

func (l *listing) entries() []Entry {
	all := make([]Entry, len(l.order))
	for i, n := range l.order {
		all[i] = n.entry()
	}
	return all
}

// content is what a node is, or the file that it is another name of. Its Path is
// empty.
func (l *listing) content(n *node) *Entry {
	if n.Type == TypeHardlink {
		return &n.target.Entry
	}
	return &n.Entry
}
