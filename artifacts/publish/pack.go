package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// Options say how to pack. The zero value is usable.
type Options struct {
	TempDir  string                  // for the artifact, and for trying a ready archive; "" = the system's
	Progress func(done, total int64) // of the bytes that are read; from one goroutine
}

// Packed is an artifact that can be released: its bytes, which cannot change any
// more, and its part of the manifest. It must be closed.
type Packed struct {
	artifact  artifacts.Artifact // without keys: they come with app and version
	index     []byte             // nil for a single file
	file      *os.File           // has no name, so nothing is left behind
	widened   Widened
	deltas    []*packedDelta
	extracted *extracted // for deltas; nil until one is made
}

// Artifact is what the manifest will say, but for the keys.
func (p *Packed) Artifact() artifacts.Artifact { return p.artifact }

// Widened is what gets wider modes on an instance than it has here.
func (p *Packed) Widened() Widened { return p.widened }

// Index is the compressed index of the tree, nil for a single file.
func (p *Packed) Index() []byte { return p.index }

// ReadAt reads the artifact's bytes.
func (p *Packed) ReadAt(b []byte, offset int64) (int, error) { return p.file.ReadAt(b, offset) }

// Close releases the disk space.
func (p *Packed) Close() error {
	err := p.file.Close()
	for _, d := range p.deltas {
		err = errors.Join(err, d.file.Close())
	}
	if p.extracted != nil {
		err = errors.Join(err, p.extracted.Close())
	}
	return err
}

// Pack reads what is at path and makes the artifact for platform of it: [Read],
// then [Input.Pack].
func Pack(ctx context.Context, platform, path string, opt Options) (p *Packed, err error) {
	in, err := Read(ctx, path, opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return in.Pack(ctx, platform)
}

// ErrModified is something that changed while it was packed.
var ErrModified = errors.New("changed while it was packed")

// unchanged compares what a file was with what it is.
func unchanged(name string, was, is fs.FileInfo) error {
	if !os.SameFile(was, is) || was.Size() != is.Size() || was.Mode() != is.Mode() || !was.ModTime().Equal(is.ModTime()) {
		return fmt.Errorf("%s %w", name, ErrModified)
	}
	return nil
}

// refused adds to a refusal that every instance would refuse as well.
func refused(err error) error {
	if errors.Is(err, tree.ErrRefused) {
		return fmt.Errorf("would be refused on every instance: %w", err)
	}
	return err
}

func writeIndex(entries []tree.Entry) ([]byte, error) {
	var index bytes.Buffer
	err := tree.WriteIndex(&index, entries)
	return index.Bytes(), err
}
