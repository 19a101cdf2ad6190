package publish

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// packTree writes a tar of nothing but what an instance will keep: no owners, no
// times unless they are to be kept, permissions within 0755.
func packTree(ctx context.Context, t *listing, opt Options) (*Packed, error) {
	seal, err := newSealer(opt.TempDir)
	if err != nil {
		return nil, err
	}
	frames, err := newFramer(ctx, seal)
	if err != nil {
		return seal.seal("", contents{}, err)
	}
	w := &treeWriter{ctx: ctx, tree: t, entries: t.entries(), frames: frames, meter: meter{total: t.bytes(), report: opt.Progress}}
	err = w.write()
	if closed := frames.close(); err == nil {
		err = closed
	}
	if err == nil {
		err = t.settled(t.watched)
	}
	if err != nil {
		return seal.seal("", contents{}, err)
	}
	index, err := writeIndex(w.entries)
	return seal.seal(artifacts.TarZst, contents{t.bytes(), int64(len(w.entries)), index}, err)
}

// treeWriter fills in hashes and offsets while it writes.
type treeWriter struct {
	ctx     context.Context
	tree    *listing
	entries []tree.Entry
	frames  *framer
	tar     *tar.Writer
	plain   int64 // bytes of the tar so far
	meter   meter // of the bytes of files
}

func (w *treeWriter) write() error {
	w.tar = tar.NewWriter(w)
	for i := range w.entries {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.entry(&w.entries[i], w.tree.numbers[i]); err != nil {
			return err
		}
	}
	return w.tar.Close()
}

// Write is what the tar writer writes to.
func (w *treeWriter) Write(p []byte) (int, error) {
	n, err := w.frames.Write(p)
	w.plain += int64(n)
	return n, err
}

func (w *treeWriter) entry(e *tree.Entry, number int) error {
	if err := w.tar.WriteHeader(header(e)); err != nil {
		return fmt.Errorf("%s: %w", e.Path, err)
	}
	if e.Type != tree.TypeFile {
		return nil
	}
	e.Offset = w.plain
	sum, err := w.body(e, number)
	if err != nil {
		return err
	}
	e.SHA256 = sum
	return nil
}

// header leaves the choice of ustar or PAX to the writer: PAX only where a
// name, a target or a size needs it.
func header(e *tree.Entry) *tar.Header {
	h := &tar.Header{Name: e.Path, Mode: int64(e.Mode), Size: e.Size, Linkname: e.Link, ModTime: time.Unix(e.Time, 0)}
	switch e.Type {
	case tree.TypeDir:
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
	case tree.TypeSymlink:
		h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
	case tree.TypeHardlink:
		h.Typeflag, h.Mode = tar.TypeLink, 0o644
	default:
		h.Typeflag = tar.TypeReg
	}
	return h
}

// body copies a file, which afterwards must still be the one that was listed.
func (w *treeWriter) body(e *tree.Entry, number int) (string, error) {
	f, unchanged, err := w.tree.open(number)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(w.tar, hash, &w.meter), f)
	if errors.Is(err, tar.ErrWriteTooLong) {
		return "", fmt.Errorf("%s %w", e.Path, ErrModified)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", e.Path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), unchanged()
}
