package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// AnyOwner is for trees that any user may own.
const AnyOwner = -1

// OwnerOf is the user id of a directory's owner.
func OwnerOf(dir *os.Root) (int, error) {
	info, err := dir.Stat(".")
	if err != nil {
		return AnyOwner, err
	}
	return ownerOf(info), nil
}

func ownerOf(info fs.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return AnyOwner
	}
	return int(stat.Uid)
}

// Verify reads the whole tree in dir and compares it with its entries. An entry of
// another owner (by user id) counts as altered, too, since that user may change
// it at any time. Errors are those of the disk, or the cause of a context that
// has ended.
func Verify(ctx context.Context, dir *os.Root, owner int, entries []Entry) (Diff, error) {
	l := newListing(Limits{Bytes: math.MaxInt64, Entries: MaxEntries})
	for i := range entries {
		if _, err := l.add(&entries[i]); err != nil {
			return Diff{}, err
		}
	}
	return verify(ctx, dir, owner, l)
}

// VerifyIndex is [Verify] with the entries that [ReadIndex] would return of
// an index. It takes much less memory where paths are long.
func VerifyIndex(ctx context.Context, dir *os.Root, owner int, index []byte, maxEntries int) (Diff, error) {
	l, err := readIndex(ctx, index, maxEntries)
	if err != nil {
		return Diff{}, err
	}
	return verify(ctx, dir, owner, l)
}

func verify(ctx context.Context, dir *os.Root, owner int, want *listing) (Diff, error) {
	c := &comparison{dir: dir, owner: owner, want: want}
	c.hash, c.ctx = errgroup.WithContext(ctx)
	c.hash.SetLimit(runtime.NumCPU())
	err := c.top()
	if err == nil {
		err = c.walk(want.top)
	}
	if e := c.hash.Wait(); e != nil {
		err = e
	}
	for _, n := range want.order {
		if !n.found {
			c.diff.Removed = append(c.diff.Removed, n.path())
		}
	}
	c.diff.sort()
	return c.diff, err
}

// comparison is a walk through a tree that hashes files as it goes.
type comparison struct {
	dir   *os.Root
	owner int // AnyOwner = not looked at
	want  *listing
	hash  *errgroup.Group
	ctx   context.Context //nolint:containedctx // of hash

	mu   sync.Mutex
	diff Diff
}

// hashBatch is about how many bytes of one directory's files one job hashes:
// opening a path costs more than hashing a small file.
const hashBatch = 1 << 20

// walk compares what is in a directory, and beneath it.
func (c *comparison) walk(dir *node) error {
	here, err := c.dir.OpenRoot(dir.path())
	if err != nil {
		return err
	}
	l := &level{comparison: c, dir: dir, here: here}
	err = l.compareAll()
	_ = here.Close() // only read
	for _, sub := range l.subs {
		if err == nil {
			err = c.walk(sub)
		}
	}
	return err
}

// level is one directory of a walk.
type level struct {
	*comparison
	dir   *node
	here  *os.Root
	subs  []*node
	batch []*node // files to be hashed, or hard links to them
	bytes int64   // of these
}

func (l *level) compareAll() error {
	d, err := l.here.Open(".")
	if err != nil {
		return err
	}
	found, err := d.ReadDir(-1)
	_ = d.Close() // only read
	for _, f := range found {
		if err == nil {
			err = l.compare(f.Name())
		}
	}
	l.flush()
	return err
}

// compare compares one name, all but its bytes.
func (l *level) compare(base string) error {
	n := l.want.nodes[key{l.dir, base}]
	if n == nil {
		l.note(&l.diff.Added, path.Join(l.dir.path(), base))
		return nil
	}
	n.found = true
	want := l.want.content(n)
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	info, err := l.here.Lstat(base)
	if err != nil {
		return err
	}
	if !l.owned(info) || !l.alike(base, info, want) {
		l.note(&l.diff.Altered, n.path())
	}
	switch {
	case want.Type == TypeDir && info.IsDir():
		l.subs = append(l.subs, n)
	case want.Type == TypeFile && info.Mode().IsRegular() && info.Size() == want.Size:
		l.batch, l.bytes = append(l.batch, n), l.bytes+want.Size
		if l.bytes >= hashBatch {
			l.flush()
		}
	}
	return nil
}

// flush has the files collected so far hashed.
func (l *level) flush() {
	batch := l.batch
	l.batch, l.bytes = nil, 0
	if len(batch) > 0 {
		l.hash.Go(func() error { return l.rehash(l.dir, batch) })
	}
}

// top looks at the tree's own directory, which no entry describes.
func (c *comparison) top() error {
	info, err := c.dir.Stat(".")
	if err == nil && !c.owned(info) {
		c.note(&c.diff.Altered, ".")
	}
	return err
}

func (c *comparison) owned(info fs.FileInfo) bool {
	return c.owner == AnyOwner || ownerOf(info) == c.owner
}

// alike compares all but the bytes.
func (l *level) alike(base string, info fs.FileInfo, want *Entry) bool {
	switch want.Type {
	case TypeDir:
		return info.Mode() == fs.ModeDir|want.Mode
	case TypeFile:
		return info.Mode() == want.Mode && info.Size() == want.Size
	case TypeSymlink:
		target, err := l.here.Readlink(base)
		return err == nil && target == want.Link
	}
	return false
}

// rehash hashes files of one directory.
func (c *comparison) rehash(dir *node, files []*node) error {
	here, err := c.dir.OpenRoot(dir.path())
	if err != nil {
		return err
	}
	defer func() { _ = here.Close() }() // only read
	for _, n := range files {
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		same, err := hashesTo(here, n.name, c.want.content(n))
		if err != nil {
			return err
		}
		if !same {
			c.note(&c.diff.Altered, n.path())
		}
	}
	return nil
}

func hashesTo(dir *os.Root, base string, want *Entry) (bool, error) {
	f, err := dir.OpenFile(base, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, want.Size+1)); err != nil {
		return false, err
	}
	return hex.EncodeToString(sum.Sum(nil)) == want.SHA256, nil
}

func (c *comparison) note(list *[]string, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*list = append(*list, name)
}
