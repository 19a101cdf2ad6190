package publish

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
	"koboshi/artifacts/unpack"
)

// extracted is the tree of an artifact in a temporary directory.
type extracted struct {
	delta.Tree
	path string
}

// executable is what the one file of an artifact is called here.
const executable = "file"

// extractToTemp makes the tree of an artifact as an instance would, with the
// hash of every file. It must be closed.
func extractToTemp(ctx context.Context, r io.ReaderAt, a artifacts.Artifact, temp string) (*extracted, error) {
	f, err := format.Of(a)
	if err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(temp, "koboshi-tree-*")
	if err != nil {
		return nil, err
	}
	x := &extracted{path: path}
	a.Index = nil // so that files are hashed
	t := format.Target{App: executable, Artifact: a, Window: unpack.MaxWindow}
	if t.Tree, err = makeRoot(path, "tree"); err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	x.Root = t.Tree
	if t.Meta, err = makeRoot(path, "meta"); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	x.Entries, err = f.Stage(ctx, t, chunksOf(r, a))
	if err = errors.Join(err, t.Meta.Close()); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

func makeRoot(path, name string) (*os.Root, error) {
	path = filepath.Join(path, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	return os.OpenRoot(path)
}

// Close removes the directory.
func (x *extracted) Close() error { return errors.Join(x.Root.Close(), os.RemoveAll(x.path)) }

// chunksOf yields the bytes of an artifact chunk by chunk, each verified.
func chunksOf(r io.ReaderAt, a artifacts.Artifact) format.Next {
	var at int64
	number := 0
	return func(ctx context.Context) (tree.Frame, error) {
		if ctx.Err() != nil {
			return tree.Frame{}, context.Cause(ctx)
		}
		if at == a.Size {
			return tree.Frame{}, io.EOF
		}
		c := artifacts.Chunk{Size: min(artifacts.ChunkBytes, a.Size-at)}
		if len(a.Chunks) > 0 {
			c = a.Chunks[number]
		}
		f := tree.Frame{Data: make([]byte, c.Size), At: at, Plain: c.Plain}
		_, err := io.ReadFull(io.NewSectionReader(r, at, c.Size), f.Data)
		if err == nil && len(a.Chunks) > 0 {
			err = a.CheckChunk(number, f.Data)
		}
		at, number = at+c.Size, number+1
		return f, err
	}
}
