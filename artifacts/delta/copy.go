package delta

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/tree"
)

// cloneMin is the size in bytes from which a file shares its blocks with the
// base. Sharing is a transaction of the file system, which for a small file
// takes longer than a copy.
const cloneMin = 64 << 10

// A copier takes files from a base. A hard link would be quicker, but a later
// change of one tree would then show in the other. The hash is computed over
// what is written: the bytes, or the clone itself.
type copier struct {
	base, at *tree.DirHandle
	buf      []byte // to copy through; on a page boundary, for direct I/O
}

func (c *copier) file(ctx context.Context, path string, e *tree.Entry) error {
	if e.Size < cloneMin {
		return c.small(path, e)
	}
	from, err := c.base.OpenFile(path)
	if err != nil {
		return &BaseError{path, err}
	}
	defer func() { _ = from.Close() }() // only read
	f, err := c.at.CreateFile(e)
	if err != nil {
		return err
	}
	if unix.IoctlFileClone(int(f.Fd()), int(from.Fd())) == nil { //nolint:gosec // descriptors fit
		return errors.Join(c.hashClone(ctx, path, e, f), tree.Stamp(f, e), f.Close())
	}
	return c.copy(ctx, from, path, e, tree.NewLargeFile(f, e))
}

func (c *copier) small(path string, e *tree.Entry) error {
	data := c.buf[:e.Size]
	n, err := c.base.ReadFile(path, data)
	if err != nil {
		return &BaseError{path, err}
	}
	sum := sha256.Sum256(data[:n])
	if err := compare(path, e, int64(n), sum[:]); err != nil {
		return err
	}
	return c.at.WriteFile(e, data)
}

// hashClone reads a clone, which nothing else can change.
func (c *copier) hashClone(ctx context.Context, path string, e *tree.Entry, f *os.File) error {
	sum := sha256.New()
	n, err := c.copyBytes(ctx, f, path, e.Size+1, io.Discard, sum)
	if err != nil {
		return err
	}
	return compare(path, e, n, sum.Sum(nil))
}

// copy writes the size that is expected, and closes to.
func (c *copier) copy(ctx context.Context, from *os.File, path string, e *tree.Entry, to *tree.LargeFile) error {
	sum := sha256.New()
	n, err := c.copyBytes(ctx, from, path, e.Size, to, sum)
	if err := errors.Join(err, to.Close()); err != nil {
		return err
	}
	return compare(path, e, n, sum.Sum(nil))
}

// copyBytes stops early only where the base does.
func (c *copier) copyBytes(ctx context.Context, from *os.File, path string, size int64, to io.Writer, sum hash.Hash) (n int64, err error) {
	for n < size {
		m, err := io.ReadFull(from, c.buf[:min(int64(len(c.buf)), size-n)])
		if m == 0 && errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return n, &BaseError{path, err}
		}
		sum.Write(c.buf[:m])
		if _, err := to.Write(c.buf[:m]); err != nil {
			return n, err
		}
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		n += int64(m)
	}
	return n, nil
}

// compare checks what was written against the entry.
func compare(path string, e *tree.Entry, n int64, sum []byte) error {
	if n != e.Size {
		return &BaseError{path, fmt.Errorf("%d bytes, want %d", n, e.Size)}
	}
	if got := hex.EncodeToString(sum); got != e.SHA256 {
		return &BaseError{path, fmt.Errorf("sha256 %s, want %s", got, e.SHA256)}
	}
	return nil
}
