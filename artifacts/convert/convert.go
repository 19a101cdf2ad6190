package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"koboshi/artifacts/tree"
)

// Kind is a kind of archive.
type Kind string

// The kinds of archives.
const (
	Tar    Kind = "tar"
	TarGz  Kind = "tar.gz"
	TarXz  Kind = "tar.xz"
	TarBz2 Kind = "tar.bz2"
	TarZst Kind = "tar.zst"
	Zip    Kind = "zip"
)

var suffixes = map[string]Kind{
	".tar": Tar, ".tar.gz": TarGz, ".tgz": TarGz, ".tar.xz": TarXz, ".txz": TarXz,
	".tar.bz2": TarBz2, ".tbz2": TarBz2, ".tbz": TarBz2, ".tar.zst": TarZst, ".tzst": TarZst, ".zip": Zip,
}

// KindOf is the kind of archive that a file name stands for, empty for a file
// that is no archive. An archive of an unsupported kind is an error.
func KindOf(name string) (Kind, error) {
	name = strings.ToLower(name)
	for suffix, kind := range suffixes {
		if strings.HasSuffix(name, suffix) && len(name) > len(suffix) {
			return kind, nil
		}
	}
	for _, suffix := range []string{".tar.lz4", ".tar.lz", ".tar.lzma", ".7z", ".rar", ".deb", ".rpm"} {
		if strings.HasSuffix(name, suffix) {
			return "", fmt.Errorf("%s is not read: want a directory, a .tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst, a .zip or one file", suffix)
		}
	}
	return "", nil
}

// Item is an entry of an archive, as the archive has it.
type Item struct {
	Name       string
	Was        fs.FileMode
	Size       int64 // of a file: its bytes in the spool
	Offset     int64
	Link       string    // of a symbolic link: its target; of a hard link: the name of another item
	Hard       bool      // a hard link
	Modified   time.Time // zero = the archive has no time for it, or it is a hard link
	Attributes []string
	Sparse     bool
}

// Archive is the list of what is in an archive.
type Archive struct {
	Items   []Item // in its order
	NoModes bool   // it was made where files have no permissions
}

// Limits against decompression bombs.
const (
	maxPlain = 64 << 30 // bytes
	maxRatio = 1000     // unpacked to packed size, checked beyond harmless
	harmless = 1 << 30  // bytes
)

// Options say how to read.
type Options struct {
	Progress func(done, total int64) // of the bytes of the archive
}

// Read reads an archive of size bytes, and writes the bytes of its files to
// spool. An archive that cannot be read is a tree.ErrRefused; errors of src and
// spool are passed on.
func Read(ctx context.Context, kind Kind, src io.ReaderAt, size int64, spool io.Writer, opt Options) (*Archive, error) {
	r := &reader{ctx: ctx, src: src, size: size, spool: spool, report: opt.Progress, left: min(maxPlain, max(harmless, maxRatio*size))}
	if err := r.read(kind); err != nil {
		return nil, err
	}
	return &r.archive, nil
}

// read returns errors of context, source and spool before those of the archive.
func (r *reader) read(kind Kind) error {
	var err error
	if kind == Zip {
		err = r.zip()
	} else {
		err = r.tar(kind)
	}
	switch {
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case r.failed != nil:
		return r.failed
	}
	return err
}

// reader is one archive being read.
type reader struct {
	ctx     context.Context //nolint:containedctx // an io.Reader has no other
	src     io.ReaderAt
	size    int64
	spool   io.Writer
	report  func(done, total int64)
	archive Archive
	offset  int64 // in the spool
	left    int64 // plain bytes that are still allowed
	failed  error // the first error of src or spool
}

var errOffset = tree.Refuse("", "cannot be read: an offset before its begin")

// ReadAt reads the archive itself.
func (r *reader) ReadAt(p []byte, offset int64) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	if offset < 0 { // archive/zip takes what a directory says
		return 0, errOffset
	}
	n, err := r.src.ReadAt(p, offset)
	if err != nil && err != io.EOF && r.failed == nil { //nolint:errorlint // an error that wraps EOF is none of a clean end
		r.failed = err
	}
	if r.report != nil {
		r.report(min(offset+int64(n), r.size), r.size)
	}
	return n, err
}

// plain bounds what an archive decodes to.
type plain struct {
	*reader
	from  io.Reader
	zeros int64 // at the end of what was read so far
}

func (p *plain) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	text := bytes.TrimRight(b[:n], "\x00")
	if len(text) > 0 {
		p.zeros = 0
	}
	p.zeros += int64(n - len(text))
	if p.left -= int64(n); p.left < 0 {
		return 0, tree.Refuse("", "unpacks to more than %d GiB, or to more than 1 GiB and %d times its size", int64(maxPlain)>>30, maxRatio)
	}
	return n, err
}

// add lists an item; the bytes of a file are body.
func (r *reader) add(item Item, body io.Reader) error {
	if len(r.archive.Items) >= tree.MaxEntries {
		return tree.Refuse("", "more than %d entries", tree.MaxEntries)
	}
	if body != nil {
		n, err := io.Copy(spooling{r}, body)
		if err != nil {
			return refuse(item.Name, err)
		}
		item.Offset, item.Size = r.offset, n
		r.offset += n
	}
	r.archive.Items = append(r.archive.Items, item)
	return nil
}

// spooling keeps errors of the spool apart from those of the archive.
type spooling struct{ *reader }

func (s spooling) Write(p []byte) (int, error) {
	n, err := s.spool.Write(p)
	if err != nil && s.failed == nil {
		s.failed = err
	}
	return n, err
}

// refuse makes the error of a decoder a refusal.
func refuse(name string, err error) error {
	if err == nil || errors.Is(err, tree.ErrRefused) {
		return err
	}
	return tree.Refuse(name, "cannot be read: %v", err)
}
