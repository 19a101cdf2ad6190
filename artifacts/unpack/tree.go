package unpack

import (
	"path"
)

// A tree is what each path is, as far as the archive or index has said.
type tree struct {
	nodes  map[string]*node
	index  []*node // in order, parents first
	limits Limits  // what is left of them
}

type node struct {
	Entry
	implied bool   // a directory that only a longer path has named
	hops    int    // links followed by whoever follows this one; 0 until judged
	end     string // where following it ends
}

func newTree(limits Limits) *tree {
	limits.Entries = min(limits.Entries, MaxEntries)
	top := &node{Entry: Entry{Path: ".", Type: TypeDir}, implied: true}
	return &tree{nodes: map[string]*node{".": top}, limits: limits}
}

// add puts e into the tree and returns the nodes that are new: the directories
// that its path implies, and itself. It refuses what contradicts the tree.
func (t *tree) add(e *Entry) ([]*node, error) {
	if old := t.nodes[e.Path]; old != nil {
		return nil, old.repeat(e)
	}
	known := len(t.index)
	if err := t.imply(e, path.Dir(e.Path)); err != nil {
		return nil, err
	}
	if e.Type == TypeHardlink {
		if to := t.nodes[e.Link]; to == nil || to.Type != TypeFile {
			return nil, refuse(e.Path, "hard link to %q, which is no earlier file", e.Link)
		}
	}
	if e.Size > t.limits.Bytes {
		return nil, refuse(e.Path, "more bytes than the limit: %d, and %d are left", e.Size, t.limits.Bytes)
	}
	t.limits.Bytes -= e.Size
	if err := t.put(&node{Entry: *e}); err != nil {
		return nil, err
	}
	return t.index[known:], nil
}

// repeat judges a second entry of one path: right only for a directory that so
// far was implied.
func (n *node) repeat(e *Entry) error {
	if !n.implied || e.Type != TypeDir {
		return refuse(e.Path, "a %s where there is a %s already", e.Type, n.Type)
	}
	n.implied = false
	return nil
}

// imply makes sure that dir is a directory, for e to be in.
func (t *tree) imply(e *Entry, dir string) error {
	if n := t.nodes[dir]; n != nil {
		if n.Type != TypeDir {
			return refuse(e.Path, "leads through %q, a %s", dir, n.Type)
		}
		return nil
	}
	if err := t.imply(e, path.Dir(dir)); err != nil {
		return err
	}
	return t.put(&node{Entry: Entry{Path: dir, Type: TypeDir, Mode: dirMode}, implied: true})
}

func (t *tree) put(n *node) error {
	if t.limits.Entries <= 0 {
		return refuse(n.Path, "more entries than the limit")
	}
	t.limits.Entries--
	t.nodes[n.Path] = n
	t.index = append(t.index, n)
	return nil
}

func (t *tree) entries() []Entry {
	all := make([]Entry, len(t.index))
	for i, n := range t.index {
		all[i] = n.Entry
	}
	return all
}
