package image

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"time"

	"koboshi/artifacts/tree"
)

// Writer makes an erofs image of entries. The layout is known before the first
// byte: a block for the superblock, inodes in the order of the entries, each
// followed by what of its content does not fill a block, and then the blocks of
// content.
//
// Everything belongs to root. The bytes depend on the entries, their content and
// the time, and on nothing else.
type Writer struct {
	nodes  []*node // the top, then one of each entry that is no further name
	byPath map[string]*node
	time   int64 // of the image, and of what has none of its own
	size   int64
	out    io.Writer
	at     int64 // bytes that are written
	zeros  []byte
}

// node is an inode to be written.
type node struct {
	*tree.Entry
	number int     // of the entry, -1 for the top
	names  []named // of a directory
	parent *node
	links  uint32
	size   int64
	at     int64 // where the inode is
	first  int64 // where its whole blocks are; 0 = it has none
	inline int64 // bytes behind the inode
}

type named struct {
	name string
	node *node
}

// Open opens the content of the entry with this number. It is called up to twice for
// each file: for its end, and for the rest.
type Open func(entry int) (io.ReadCloser, error)

// NewWriter lays out an image of entries, parents first, as [tree.Check] accepts
// them. created is the time of everything that has none of its own.
func NewWriter(entries []tree.Entry, created time.Time) (*Writer, error) {
	w := &Writer{byPath: make(map[string]*node, len(entries)), time: tree.Seconds(created), zeros: make([]byte, erofsBlock)}
	top := w.add(".", &node{Entry: &tree.Entry{Path: ".", Type: tree.TypeDir, Mode: tree.DirMode}, number: -1, links: 2})
	top.parent = top
	for i := range entries {
		if err := w.enter(&entries[i], i); err != nil {
			return nil, err
		}
	}
	return w, w.layout()
}

func (w *Writer) add(path string, n *node) *node {
	w.byPath[path] = n
	w.nodes = append(w.nodes, n)
	return n
}

func (w *Writer) enter(e *tree.Entry, number int) error {
	dir, n := w.byPath[path.Dir(e.Path)], w.byPath[e.Link]
	if dir == nil || dir.Type != tree.TypeDir || e.Type == tree.TypeHardlink && n == nil {
		return tree.Refuse(e.Path, "comes before what it needs")
	}
	if e.Type != tree.TypeHardlink {
		n = w.add(e.Path, &node{Entry: e, number: number, parent: dir, size: e.Size})
	}
	switch e.Type {
	case tree.TypeDir:
		n.links = 2
		dir.links++
	case tree.TypeSymlink:
		n.size = int64(len(e.Link))
		n.links = 1
	default:
		n.links++
	}
	dir.names = append(dir.names, named{path.Base(e.Path), n})
	return nil
}

// layout gives everything its place.
func (w *Writer) layout() error {
	at := int64(erofsBlock)
	for _, n := range w.nodes {
		if n.Type == tree.TypeDir {
			n.names = append(n.names, named{".", n}, named{"..", n.parent})
			slices.SortFunc(n.names, func(a, b named) int { return cmp.Compare(a.name, b.name) })
			n.size = dirSize(n.names)
		}
		if tail := n.size % erofsBlock; erofsExtended+tail <= erofsBlock {
			n.inline = tail
		}
		if left := erofsBlock - at%erofsBlock; left < erofsExtended+n.inline {
			at += left
		}
		n.at = at
		at = roundUp(at+erofsExtended+n.inline, erofsSlot)
	}
	at = roundUp(at, erofsBlock)
	for _, n := range w.nodes {
		if blocks := n.size - n.inline; blocks > 0 {
			n.first = at
			at += roundUp(blocks, erofsBlock)
		}
	}
	if w.size = at; at/erofsBlock > 1<<32-2 {
		return fmt.Errorf("an image of %d bytes, erofs has less than 2^32 blocks", at)
	}
	return nil
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// Size is the bytes of the image.
func (w *Writer) Size() int64 { return w.size }

// Write writes the image.
func (w *Writer) Write(out io.Writer, open Open) error {
	w.out, w.at = out, 0
	if err := w.write(w.super()); err != nil {
		return err
	}
	for _, n := range w.nodes {
		if err := w.inode(n, open); err != nil {
			return err
		}
	}
	for _, n := range w.nodes {
		if n.first == 0 {
			continue
		}
		if err := w.blocks(n, open); err != nil {
			return err
		}
	}
	return w.pad(w.size)
}

func (w *Writer) write(b []byte) error {
	n, err := w.out.Write(b)
	w.at += int64(n)
	return err
}

// pad writes zeros up to a position.
func (w *Writer) pad(to int64) error {
	for w.at < to {
		if err := w.write(w.zeros[:min(to-w.at, int64(len(w.zeros)))]); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) super() []byte {
	const modified = 0x2 // each inode has its own time, an optional feature
	b := make([]byte, erofsSuperAt+erofsSuperSize)
	s, le := b[erofsSuperAt:], binary.LittleEndian
	le.PutUint32(s, erofsMagic)
	le.PutUint32(s[8:], modified)
	s[12] = 12
	le.PutUint16(s[14:], uint16(w.nodes[0].at/erofsSlot)) //nolint:gosec // the first inode
	le.PutUint64(s[16:], uint64(len(w.nodes)))
	le.PutUint64(s[24:], uint64(w.time))            //nolint:gosec // not negative
	le.PutUint32(s[36:], uint32(w.size/erofsBlock)) //nolint:gosec // bounded by layout
	return b
}

// inode writes an inode, and the end of its content.
func (w *Writer) inode(n *node, open Open) error {
	b, le := make([]byte, erofsExtended), binary.LittleEndian
	layout, mode := erofsPlain, uint16(modeRegular|n.Mode.Perm())
	if n.inline > 0 {
		layout = erofsInline
	}
	switch n.Type {
	case tree.TypeDir:
		mode = modeDir | uint16(n.Mode.Perm())
	case tree.TypeSymlink:
		mode = modeSymlink | 0o777
	}
	le.PutUint16(b, uint16(1|layout<<1))
	le.PutUint16(b[4:], mode)
	le.PutUint64(b[8:], uint64(n.size))              //nolint:gosec // not negative
	le.PutUint32(b[16:], uint32(n.first/erofsBlock)) //nolint:gosec // bounded by layout
	le.PutUint32(b[20:], uint32(n.at/erofsSlot))     //nolint:gosec // shown to apps only
	le.PutUint64(b[32:], uint64(cmp.Or(n.Time, w.time)))
	le.PutUint32(b[44:], n.links)
	if err := errors.Join(w.pad(n.at), w.write(b)); err != nil || n.inline == 0 {
		return err
	}
	return w.content(n, open, n.size-n.inline, n.inline)
}

// blocks writes the content of a node but for what is behind its inode.
func (w *Writer) blocks(n *node, open Open) error {
	if err := w.pad(n.first); err != nil {
		return err
	}
	return w.content(n, open, 0, n.size-n.inline)
}

// content writes a part of what a node contains.
func (w *Writer) content(n *node, open Open, from, length int64) (err error) {
	var body io.Reader
	switch n.Type {
	case tree.TypeDir:
		body = bytes.NewReader(dirBytes(n.names))
	case tree.TypeSymlink:
		body = bytes.NewReader([]byte(n.Link))
	default:
		f, err := open(n.number)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		body = f
	}
	if err := skip(body, from); err != nil {
		return fmt.Errorf("%s: %w", n.Path, err)
	}
	copied, err := io.CopyN(w.out, body, length)
	w.at += copied
	if err != nil {
		return fmt.Errorf("%s: %w", n.Path, err)
	}
	return nil
}

func skip(r io.Reader, n int64) error {
	if s, ok := r.(io.Seeker); ok {
		_, err := s.Seek(n, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

// dirSize is the bytes of a directory, whose last block ends with its last name.
func dirSize(names []named) (size int64) {
	used := int64(0)
	for _, n := range names {
		need := int64(erofsDirentSize + len(n.name))
		if used+need > erofsBlock {
			size, used = size+erofsBlock, 0
		}
		used += need
	}
	return size + used
}

// dirBytes is what a directory contains.
func dirBytes(names []named) (out []byte) {
	for len(names) > 0 {
		used, count := 0, 0
		for count < len(names) && used+erofsDirentSize+len(names[count].name) <= erofsBlock {
			used += erofsDirentSize + len(names[count].name)
			count++
		}
		out = append(out, direntBlock(names[:count])...)
		if names = names[count:]; len(names) > 0 {
			out = append(out, make([]byte, erofsBlock-used)...)
		}
	}
	return out
}

func direntBlock(names []named) []byte {
	le := binary.LittleEndian
	b := make([]byte, erofsDirentSize*len(names))
	for i, n := range names {
		d := b[i*erofsDirentSize:]
		le.PutUint64(d, uint64(n.node.at/erofsSlot)) //nolint:gosec // not negative
		le.PutUint16(d[8:], uint16(len(b)))          //nolint:gosec // less than a block
		d[10] = direntType(n.node.Type)
		b = append(b, n.name...)
	}
	return b
}

func direntType(of tree.Type) byte {
	for number, kind := range erofsTypes {
		if kind == of {
			return number
		}
	}
	return 0
}
