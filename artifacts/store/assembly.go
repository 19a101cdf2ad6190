package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/unpack"
)

// makers is how many files are made from a delta at a time.
const makers = 2

// assembly makes the files that the base does not have.
type assembly struct {
	base  *base
	delta *delta.Delta
	idle  chan *delta.Maker
}

func newAssembly(b *base, d *delta.Delta) *assembly {
	a := &assembly{base: b, delta: d, idle: make(chan *delta.Maker, makers)}
	for range makers {
		a.idle <- new(delta.Maker)
	}
	return a
}

func (a *assembly) find(e *unpack.Entry) (path string, ok bool) {
	old, ok := a.base.files[e.SHA256]
	return old.Path, ok && old.Size == e.Size
}

func (a *assembly) make(ctx context.Context, e *unpack.Entry, f *os.File) error {
	p, ok := a.delta.Piece(e.SHA256)
	if !ok || p.Size != e.Size {
		return fmt.Errorf("%w: nothing in it makes %s", delta.ErrMalformed, e.Path)
	}
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
	return a.patch(ctx, p, e, f, from)
}

// patch makes a file of a piece and, where it needs one, a file of the base.
func (a *assembly) patch(ctx context.Context, p delta.Piece, e *unpack.Entry, f *os.File, from *baseFile) error {
	m := <-a.idle
	defer func() { a.idle <- m }()
	sum := sha256.New()
	err := m.Make(ctx, a.delta, p, io.MultiWriter(f, sum), from)
	if got := hex.EncodeToString(sum.Sum(nil)); err == nil && got != e.SHA256 {
		err = fmt.Errorf("%w: sha256 %s, want %s", artifacts.ErrIntegrity, got, e.SHA256)
	}
	if err != nil {
		err = fmt.Errorf("make %s: %w", e.Path, err)
	}
	if from != nil {
		return from.doubt(err)
	}
	return err
}
