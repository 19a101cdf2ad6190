package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/unpack"
)

// Diff is how a tree differs from what was staged: relative paths, sorted. A
// directory that was added stands for all that is in it.
type Diff struct {
	Altered, Added, Removed []string
}

// Clean tells that there is no difference.
func (d Diff) Clean() bool { return len(d.Altered)+len(d.Added)+len(d.Removed) == 0 }

// Verify reads a release's whole tree again and compares it with its index:
// the signed one where the manifest names one, else the one that was written
// while unpacking and that the completion marker holds the hash of.
//
// Errors are artifacts.ErrIntegrity for an index that was altered, and
// [ErrDisk].
func (s *Store) Verify(ctx context.Context, r Release) (Diff, error) {
	entries, err := s.entriesOf(r)
	if err != nil {
		return Diff{}, err
	}
	tree, err := s.root.OpenRoot(path.Join(releasesDir, r.id, treeDir))
	if err != nil {
		return Diff{}, onDisk("verify", err)
	}
	defer func() { _ = tree.Close() }() // only read
	return compare(ctx, tree, entries)
}

// index is what the tree must be. For a single executable the manifest itself
// says it.
func (s *Store) index(r Release, a artifacts.Artifact) ([]unpack.Entry, error) {
	if a.Format == artifacts.File {
		return []unpack.Entry{executable(r.App(), a)}, nil
	}
	data, err := s.readMeta(r.id, indexFile, artifacts.MaxIndexBytes)
	if err != nil {
		return nil, onDisk("read the index of "+r.id, err)
	}
	want := artifacts.Blob{Key: "index of " + r.id, Size: int64(len(data)), SHA256: r.made.IndexSHA256}
	if a.Index != nil {
		want = *a.Index
	}
	if err := artifacts.CheckSum(want.Key, data, want.Size, want.SHA256); err != nil {
		return nil, err
	}
	return unpack.ReadIndex(bytes.NewReader(data), unpack.MaxEntries)
}

// comparison is a walk through a tree that hashes files beside it.
type comparison struct {
	tree *os.Root
	want map[string]unpack.Entry // not yet met
	hash *errgroup.Group
	ctx  context.Context //nolint:containedctx // of hash

	mu   sync.Mutex
	diff Diff
}

func compare(ctx context.Context, tree *os.Root, entries []unpack.Entry) (Diff, error) {
	c := &comparison{tree: tree, want: make(map[string]unpack.Entry, len(entries))}
	c.hash, c.ctx = errgroup.WithContext(ctx)
	c.hash.SetLimit(runtime.NumCPU())
	for _, e := range entries {
		if e.Type == unpack.TypeHardlink { // another name of a file that came before
			name := e.Path
			e = c.want[e.Link]
			e.Path = name
		}
		c.want[e.Path] = e
	}
	err := c.walk(".")
	if e := c.hash.Wait(); e != nil {
		err = e
	}
	for name := range c.want {
		c.diff.Removed = append(c.diff.Removed, name)
	}
	for _, list := range []*[]string{&c.diff.Altered, &c.diff.Added, &c.diff.Removed} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return c.diff, err
}

func (c *comparison) walk(dir string) error {
	d, err := c.tree.Open(dir)
	if err != nil {
		return onDisk("verify", err)
	}
	found, err := d.ReadDir(-1)
	_ = d.Close() // only read
	if err != nil {
		return onDisk("verify", err)
	}
	for _, f := range found {
		if err := c.meet(path.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// meet compares one path, and what is beneath it.
func (c *comparison) meet(name string) error {
	want, ok := c.want[name]
	delete(c.want, name)
	if !ok {
		c.note(&c.diff.Added, name)
		return nil
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	info, err := c.tree.Lstat(name)
	if err != nil {
		return onDisk("verify", err)
	}
	if !c.alike(name, info, want) {
		c.note(&c.diff.Altered, name)
	}
	switch {
	case want.Type == unpack.TypeDir && info.IsDir():
		return c.walk(name)
	case want.Type == unpack.TypeFile && info.Mode().IsRegular() && info.Size() == want.Size:
		c.hash.Go(func() error { return c.rehash(name, want) })
	}
	return nil
}

// alike compares all but the bytes.
func (c *comparison) alike(name string, info fs.FileInfo, want unpack.Entry) bool {
	switch want.Type {
	case unpack.TypeDir:
		return info.Mode() == fs.ModeDir|want.Mode
	case unpack.TypeFile:
		return info.Mode() == want.Mode && info.Size() == want.Size
	case unpack.TypeSymlink:
		target, err := c.tree.Readlink(name)
		return err == nil && target == want.Link
	}
	return false
}

func (c *comparison) rehash(name string, want unpack.Entry) error {
	f, err := c.tree.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return onDisk("verify", err)
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, want.Size+1)); err != nil {
		return onDisk("verify", err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != want.SHA256 {
		c.note(&c.diff.Altered, name)
	}
	return nil
}

func (c *comparison) note(list *[]string, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*list = append(*list, name)
}
