package delta

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// patchers is how many files are made from a delta at a time.
const patchers = 2

// BaseError is a file of the base that is not what was published, or cannot be
// read: the whole artifact may still be installed. So it does not unwrap to its
// cause, which may be an error of the disk.
type BaseError struct {
	Path string // in the base
	Err  error
}

func (e *BaseError) Error() string {
	return fmt.Sprintf("%s of the base is not what was published: %v", e.Path, e.Err)
}

// Apply makes dir, which must be empty, the tree that entries describe, from
// the files of base and of d. Every byte is hashed as it is written.
//
// Errors are [*BaseError] for a base that was changed, [ErrMalformed] or
// [ErrBase] for a delta that does not fit, tree.ErrRefused for entries that are
// not allowed, and artifacts.ErrIntegrity for bytes that do not match the
// entries. Errors of the disk are wrapped.
func (d *Delta) Apply(ctx context.Context, dir *os.Root, entries []tree.Entry, base Tree, opt tree.Options) error {
	a := &application{delta: d, root: base.Root, files: map[string]tree.Entry{}, free: make(chan *patcher, patchers)}
	for range patchers {
		a.free <- new(patcher)
	}
	for _, e := range base.Entries {
		if _, known := a.files[e.SHA256]; !known && e.Type == tree.TypeFile && e.SHA256 != "" {
			a.files[e.SHA256] = e
		}
	}
	return tree.Assemble(ctx, dir, entries, opt, a.write)
}

// An application makes files of a delta and its base.
type application struct {
	delta *Delta
	root  *os.Root
	files map[string]tree.Entry // of the base, by SHA-256
	free  chan *patcher
}

// write is called by several goroutines.
func (a *application) write(ctx context.Context, at *tree.DirHandle, files []*tree.Entry, buf []byte) error {
	base, err := tree.OpenHandle(a.root)
	if err != nil {
		return &BaseError{".", err}
	}
	c := &copier{base: base, at: at, buf: buf}
	for _, e := range files {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = a.file(ctx, c, e)
		}
	}
	return errors.Join(err, base.Close())
}

func (a *application) file(ctx context.Context, c *copier, e *tree.Entry) error {
	if e.Size == 0 {
		return writeEmpty(c.at, e)
	}
	if old, ok := a.files[e.SHA256]; ok && old.Size == e.Size {
		return c.file(ctx, old.Path, e)
	}
	f, err := c.at.CreateFile(e)
	if err != nil {
		return err
	}
	if err = a.patch(ctx, c.base, e, f); err == nil {
		err = tree.Stamp(f, e)
	}
	return errors.Join(err, f.Close())
}

// writeEmpty makes an empty file, for which no base is needed.
func writeEmpty(at *tree.DirHandle, e *tree.Entry) error {
	if sum := sha256.Sum256(nil); hex.EncodeToString(sum[:]) != e.SHA256 {
		return tree.Refuse(e.Path, "no bytes have no sha256 %s", e.SHA256)
	}
	return at.WriteFile(e, nil)
}

// patch makes a file of a piece and, where it needs one, a file of the base.
func (a *application) patch(ctx context.Context, base *tree.DirHandle, e *tree.Entry, f *os.File) error {
	piece, ok := a.delta.Piece(e.SHA256)
	if !ok || piece.Size != e.Size {
		return fmt.Errorf("%w: nothing in it makes %s", ErrMalformed, e.Path)
	}
	if piece.From == "" {
		return a.make(ctx, piece, e, f, nil)
	}
	old, ok := a.files[piece.From]
	if !ok {
		return fmt.Errorf("%w: it has no file with sha256 %s", ErrBase, piece.From)
	}
	from, err := base.OpenFile(old.Path)
	if err != nil {
		return &BaseError{old.Path, err}
	}
	defer func() { _ = from.Close() }() // only read
	err = a.make(ctx, piece, e, f, baseFile{from, old.Path})
	// The delta was verified, so a wrong result means that the base differs.
	if errors.Is(err, ErrBase) || errors.Is(err, artifacts.ErrIntegrity) {
		return &BaseError{old.Path, err}
	}
	return err
}

func (a *application) make(ctx context.Context, piece Piece, e *tree.Entry, f *os.File, from io.ReaderAt) error {
	p := <-a.free
	defer func() { a.free <- p }()
	sum := sha256.New()
	err := p.file(ctx, a.delta, piece, io.MultiWriter(f, sum), from)
	if got := hex.EncodeToString(sum.Sum(nil)); err == nil && got != e.SHA256 {
		err = fmt.Errorf("%w: sha256 %s, want %s", artifacts.ErrIntegrity, got, e.SHA256)
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", e.Path, err)
	}
	return nil
}

// baseFile is a file of the base. Its errors are the base's.
type baseFile struct {
	file *os.File
	path string
}

func (f baseFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.file.ReadAt(p, offset)
	if err != nil && err != io.EOF { //nolint:errorlint // an error that wraps EOF is none of a clean end
		err = &BaseError{f.path, err}
	}
	return n, err
}
