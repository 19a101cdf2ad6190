package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/unpack"
)

// assembly fills the files of a tree: those that the base has, from there, and
// the others from the delta.
type assembly struct {
	base    *base
	delta   *delta.Delta
	buffers sync.Pool // of *[copyBytes]byte
}

const copyBytes = 256 << 10

func (a *assembly) fill(ctx context.Context, e *unpack.Entry, f *os.File) error {
	if old, ok := a.base.files[e.SHA256]; ok && old.Size == e.Size {
		return a.reuse(ctx, old, f)
	}
	piece, ok := a.delta.Piece(e.SHA256)
	if e.Size == 0 {
		piece, ok = delta.Piece{SHA256: hex.EncodeToString(sha256.New().Sum(nil))}, true
	}
	if !ok || piece.SHA256 != e.SHA256 || piece.Size != e.Size {
		return fmt.Errorf("%w: nothing in it makes %s", delta.ErrMalformed, e.Path)
	}
	return a.make(ctx, piece, e, f)
}

// reuse shares a file's blocks with the base where the file system can, and
// copies them elsewhere. A hard link would carry what is changed later from one
// release into the other. What is hashed is what has landed: the clone, or the
// bytes of the copy.
func (a *assembly) reuse(ctx context.Context, old unpack.Entry, f *os.File) error {
	from, err := a.base.open(old)
	if err != nil {
		return err
	}
	defer from.close()
	landed := io.Reader(f)
	if err := unix.IoctlFileClone(int(f.Fd()), int(from.file.Fd())); err != nil { //nolint:gosec // descriptors fit
		landed = io.TeeReader(from, f)
	}
	sum := sha256.New()
	n, err := a.copy(ctx, sum, io.LimitReader(landed, old.Size+1))
	if err != nil {
		return err
	}
	if n != old.Size || digest(sum) != old.SHA256 {
		return a.base.altered(old.Path, fmt.Errorf("sha256 %s (%d bytes), want %s", digest(sum), n, old.SHA256))
	}
	return nil
}

// make has the delta make a file.
func (a *assembly) make(ctx context.Context, p delta.Piece, e *unpack.Entry, f *os.File) error {
	if p.From == "" {
		return a.patch(ctx, p, e, f, nil)
	}
	old, ok := a.base.files[p.From]
	if !ok {
		return fmt.Errorf("%w: %s has no file with sha256 %s", delta.ErrBase, a.base.Version(), p.From)
	}
	from, err := a.base.open(old)
	if err != nil {
		return err
	}
	defer from.close()
	err = a.patch(ctx, p, e, f, from)
	if errors.Is(err, delta.ErrBase) || errors.Is(err, artifacts.ErrIntegrity) {
		return a.base.altered(old.Path, err)
	}
	return err
}

func (a *assembly) patch(ctx context.Context, p delta.Piece, e *unpack.Entry, f *os.File, from io.ReaderAt) error {
	sum := sha256.New()
	if err := a.delta.Make(ctx, p, io.MultiWriter(f, sum), from); err != nil {
		return fmt.Errorf("make %s: %w", e.Path, err)
	}
	if got := digest(sum); got != e.SHA256 {
		return fmt.Errorf("make %s: %w: sha256 %s, want %s", e.Path, artifacts.ErrIntegrity, got, e.SHA256)
	}
	return nil
}

// copy is io.Copy that ends with its context.
func (a *assembly) copy(ctx context.Context, w io.Writer, r io.Reader) (n int64, err error) {
	buffer, _ := a.buffers.Get().(*[copyBytes]byte)
	if buffer == nil {
		buffer = new([copyBytes]byte)
	}
	defer a.buffers.Put(buffer)
	for ctx.Err() == nil {
		m, err := r.Read(buffer[:])
		n += int64(m)
		_, _ = w.Write(buffer[:m]) // a hash takes everything
		if err == io.EOF {         //nolint:errorlint // an error that wraps EOF is none of a clean end
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, context.Cause(ctx)
}

func digest(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil)) }
