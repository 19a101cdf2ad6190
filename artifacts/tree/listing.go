package tree

import "path"

// A listing is what each path is, as far as the archive or index has said.
type listing struct {
	nodes  map[string]*node
	order  []*node // parents first
	limits Limits  // what is left of them
}

type node struct {
	Entry
	implied bool   // a directory that only a longer path has named
	hops    int    // links followed to resolve this one; 0 until it is checked
	end     string // where following it ends
}

func newListing(limits Limits) *listing {
	limits.Entries = min(limits.Entries, MaxEntries)
	top := &node{Entry: Entry{Path: ".", Type: TypeDir}, implied: true}
	return &listing{nodes: map[string]*node{".": top}, limits: limits}
}

// add puts e into the listing and returns the nodes that are new: the
// directories that its path implies, and itself. It refuses what contradicts
// the entries before it.
func (l *listing) add(e *Entry) ([]*node, error) {
	if old := l.nodes[e.Path]; old != nil {
		return nil, old.repeat(e)
	}
	known := len(l.order)
	if err := l.imply(e, path.Dir(e.Path)); err != nil {
		return nil, err
	}
	if e.Type == TypeHardlink {
		if to := l.nodes[e.Link]; to == nil || to.Type != TypeFile {
			return nil, Refuse(e.Path, "hard link to %q, which is no earlier file", e.Link)
		}
	}
	if e.Size > l.limits.Bytes {
		return nil, Refuse(e.Path, "more bytes than the limit: %d, and %d are left", e.Size, l.limits.Bytes)
	}
	l.limits.Bytes -= e.Size
	if err := l.put(&node{Entry: *e}); err != nil {
		return nil, err
	}
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

// repeat checks a second entry of one path: right only for a directory that so
// far was implied.
func (n *node) repeat(e *Entry) error {
	if !n.implied || e.Type != TypeDir {
		return Refuse(e.Path, "a %s where there is a %s already", e.Type, n.Type)
	}
	n.implied = false
	return nil
}

// imply makes sure that dir is a directory, for e to be in.
func (l *listing) imply(e *Entry, dir string) error {
	if n := l.nodes[dir]; n != nil {
		if n.Type != TypeDir {
			return Refuse(e.Path, "leads through %q, a %s", dir, n.Type)
		}
		return nil
	}
	if err := l.imply(e, path.Dir(dir)); err != nil {
		return err
	}
	return l.put(&node{Entry: Entry{Path: dir, Type: TypeDir, Mode: DirMode}, implied: true})
}

func (l *listing) put(n *node) error {
	if l.limits.Entries <= 0 {
		return Refuse(n.Path, "more entries than the limit")
	}
	l.limits.Entries--
	l.nodes[n.Path] = n
	l.order = append(l.order, n)
	return nil
}

func (l *listing) entries() []Entry {
	all := make([]Entry, len(l.order))
	for i, n := range l.order {
		all[i] = n.Entry
	}
	return all
}
