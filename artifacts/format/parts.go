package format

import (
	"cmp"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sort"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
	"koboshi/artifacts/unpack"
)

// Parts is which chunks of an artifact contain the bytes of some files of its
// index, ascending. It is false where chunks cannot be read alone, or the files
// are not within them: then the whole artifact is needed.
func Parts(a artifacts.Artifact, files []tree.Entry) ([]int, bool) {
	if !a.Framed() || a.Index == nil || a.Image != nil {
		return nil, false
	}
	starts := chunkStarts(a)
	wanted := map[int]bool{}
	for _, e := range files {
		if e.Size > starts[len(a.Chunks)]-e.Offset {
			return nil, false
		}
		for i := chunkAt(starts, e.Offset); e.Size > 0 && starts[i] < e.Offset+e.Size; i++ {
			wanted[i] = true
		}
	}
	chunks := make([]int, 0, len(wanted))
	for i := range a.Chunks {
		if wanted[i] {
			chunks = append(chunks, i)
		}
	}
	return chunks, true
}

// chunkStarts is where the plain bytes of each chunk begin, and at last their
// end.
func chunkStarts(a artifacts.Artifact) []int64 {
	starts := make([]int64, len(a.Chunks)+1)
	for i, c := range a.Chunks {
		starts[i+1] = starts[i] + c.Plain
	}
	return starts
}

// chunkAt is the chunk that a plain offset is in.
func chunkAt(starts []int64, offset int64) int {
	return sort.Search(len(starts), func(i int) bool { return starts[i] > offset }) - 1
}

// Extract reads files out of the chunks that [Parts] returned for them, which
// next yields. take is called for each file that is not empty, with a reader of
// as many bytes as the index has for it. The chunks are verified; that the bytes
// match the index is for the caller to check.
func Extract(ctx context.Context, a artifacts.Artifact, files []tree.Entry, next Next, take func(tree.Entry, io.Reader) error) error {
	chunks, ok := Parts(a, files)
	if !ok {
		return errors.New("parts of the artifact cannot be read by themselves")
	}
	ctx, cancel := context.WithCancel(ctx)
	r := NewReader(ctx, next)
	plain := unpack.Frames(ctx, runtime.NumCPU(), r.Next)
	p := &parts{plain: plain, starts: chunkStarts(a), chunks: chunks}
	err := p.extract(files, take)
	cancel() // a goroutine that still reads ahead must not delay Close
	return errors.Join(err, plain.Close())
}

// parts is the plain bytes of some chunks, one after the other.
type parts struct {
	plain  io.Reader
	starts []int64 // of all chunks, in the plain stream of the whole artifact
	chunks []int
	read   int64 // bytes
}

func (p *parts) extract(files []tree.Entry, take func(tree.Entry, io.Reader) error) error {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b tree.Entry) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, e := range files {
		if e.Size == 0 {
			continue
		}
		skip := p.position(e.Offset) - p.read
		if skip < 0 {
			return tree.Refuse(e.Path, "index: shares its bytes with another file")
		}
		if _, err := io.CopyN(io.Discard, p.plain, skip); err != nil {
			return err
		}
		if err := take(e, io.LimitReader(p.plain, e.Size)); err != nil {
			return err
		}
		p.read += skip + e.Size
	}
	return nil
}

// position is where a plain offset of the whole artifact is among the chunks
// that are read.
func (p *parts) position(offset int64) (at int64) {
	here := chunkAt(p.starts, offset)
	for _, i := range p.chunks {
		if i >= here {
			break
		}
		at += p.starts[i+1] - p.starts[i]
	}
	return at + offset - p.starts[here]
}
