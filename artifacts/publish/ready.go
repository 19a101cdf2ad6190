package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// maxTried is how many bytes of a ready archive are unpacked to check it: it
// comes from elsewhere, and may be a bomb.
const maxTried = 64 << 30

// packFile copies a ready archive or a file: what is hashed, tried and uploaded
// is the copy.
func packFile(ctx context.Context, f *os.File, info fs.FileInfo, name artifacts.Format, opt Options) (*Packed, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	seal, err := newSealer(opt.TempDir)
	if err != nil {
		return nil, err
	}
	if err := cut(ctx, f, info, seal, opt.Progress); err != nil {
		return seal.seal("", contents{}, err)
	}
	a := artifacts.Artifact{Format: name, Size: seal.size, UnpackedBytes: maxTried, Entries: tree.MaxEntries, KeepTimes: opt.KeepTimes}
	if format.Known(a) {
		return seal.seal(name, contents{bytes: seal.size, entries: 1}, nil)
	}
	found, err := try(ctx, seal.file, a, opt.TempDir)
	return seal.seal(name, found, err)
}

// cut stores a file in slices.
func cut(ctx context.Context, f *os.File, info fs.FileInfo, seal *sealer, progress func(done, total int64)) error {
	meter := meter{total: info.Size(), report: progress}
	buffer := make([]byte, artifacts.ChunkBytes)
	for seal.size < info.Size() {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(f, buffer[:min(int64(len(buffer)), info.Size()-seal.size)])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%s %w", f.Name(), ErrModified)
		}
		if err == nil {
			err = seal.add(buffer[:n], 0)
		}
		if err != nil {
			return err
		}
		_, _ = meter.Write(buffer[:n]) // never fails
	}
	return same(f, f.Name(), info)
}

// try extracts an archive as an instance would, into a directory that is thrown
// away: what every instance would refuse is refused now, and the limits and the
// index become known.
func try(ctx context.Context, r io.ReaderAt, a artifacts.Artifact, temp string) (found contents, err error) {
	x, err := extractToTemp(ctx, r, a, temp)
	if err != nil {
		return contents{}, refused(err)
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	return weigh(x.Entries)
}

func weigh(entries []tree.Entry) (contents, error) {
	if len(entries) == 0 {
		return contents{}, errors.New("the archive is empty")
	}
	index, err := writeIndex(entries)
	found := contents{entries: int64(len(entries)), index: index}
	for _, e := range entries {
		found.bytes += e.Size
	}
	return found, err
}
