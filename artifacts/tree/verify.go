package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Verify reads the whole tree in dir and compares it with its entries. Errors
// are those of the disk, or the cause of a context that has ended.
func Verify(ctx context.Context, dir *os.Root, entries []Entry) (Diff, error) {
	c := &comparison{dir: dir, want: make(map[string]Entry, len(entries))}
	c.hash, c.ctx = errgroup.WithContext(ctx)
	c.hash.SetLimit(runtime.NumCPU())
	for _, e := range entries {
		if e.Type == TypeHardlink { // another name of a file that came before
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
	c.diff.sort()
	return c.diff, err
}

// comparison is a walk through a tree that hashes files as it goes.
type comparison struct {
	dir  *os.Root
	want map[string]Entry // not found yet
	hash *errgroup.Group
	ctx  context.Context //nolint:containedctx // of hash

	mu   sync.Mutex
	diff Diff
}

func (c *comparison) walk(dir string) error {
	d, err := c.dir.Open(dir)
	if err != nil {
		return err
	}
	found, err := d.ReadDir(-1)
	_ = d.Close() // only read
	if err != nil {
		return err
	}
	for _, f := range found {
		if err := c.compare(path.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// compare compares one path, and what is beneath it.
func (c *comparison) compare(name string) error {
	want, ok := c.want[name]
	delete(c.want, name)
	if !ok {
		c.note(&c.diff.Added, name)
		return nil
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	info, err := c.dir.Lstat(name)
	if err != nil {
		return err
	}
	if !c.alike(name, info, want) {
		c.note(&c.diff.Altered, name)
	}
	switch {
	case want.Type == TypeDir && info.IsDir():
		return c.walk(name)
	case want.Type == TypeFile && info.Mode().IsRegular() && info.Size() == want.Size:
		c.hash.Go(func() error { return c.rehash(name, want) })
	}
	return nil
}

// alike compares all but the bytes.
func (c *comparison) alike(name string, info fs.FileInfo, want Entry) bool {
	switch want.Type {
	case TypeDir:
		return info.Mode() == fs.ModeDir|want.Mode
	case TypeFile:
		return info.Mode() == want.Mode && info.Size() == want.Size
	case TypeSymlink:
		target, err := c.dir.Readlink(name)
		return err == nil && target == want.Link
	}
	return false
}

func (c *comparison) rehash(name string, want Entry) error {
	f, err := c.dir.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, want.Size+1)); err != nil {
		return err
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
