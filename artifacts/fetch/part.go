package fetch

import (
	"sync/atomic"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// part is a run of consecutive pieces in one slot. One request brings one part or,
// where their order does not matter, several in a row.
type part struct {
	offset int64
	pieces []piece
	slot   []byte
	users  atomic.Int64 // the download, and each of the frames

	frames chan tree.Frame // in order; closed when the part is complete
	before <-chan struct{} // closed when all bytes before the part are hashed
	hashed chan struct{}   // closed when those of the part are, too
}

// piece is the content of one frame: a chunk, or a slice where there are none.
type piece struct {
	size, plain int64
	chunk       int // index in the manifest; -1 = there is no hash for it
}

func (p *part) size() (n int64) {
	for _, piece := range p.pieces {
		n += piece.size
	}
	return n
}

// plan cuts an artifact into parts. No chunk is larger than a part.
type plan struct {
	a       artifacts.Artifact
	most    int64 // bytes a part
	offset  int64
	chunk   int
	partial bool
	only    []int // of a partial plan, the chunks that are not planned yet
	before  <-chan struct{}
}

// newPlan is for a whole artifact, or where only is not nil for those chunks.
func newPlan(a artifacts.Artifact, most int64, only []int) *plan {
	first := make(chan struct{})
	close(first)
	return &plan{a: a, most: most, before: first, partial: only != nil, only: only}
}

// done reports whether all that is wanted of the artifact is planned.
func (l *plan) done() bool {
	if l.partial {
		return len(l.only) == 0
	}
	return l.offset >= l.a.Size
}

// skip passes over chunks that are not wanted.
func (l *plan) skip() {
	for l.partial && l.chunk < l.only[0] {
		l.offset += l.a.Chunks[l.chunk].Size
		l.chunk++
	}
}

// stretch is up to most parts in a row, and never more than what is left for each
// of the workers: the last requests are short, so that all end at the same time.
func (l *plan) stretch(most, workers int) []*part {
	left := ceilDiv(l.a.Size-l.offset, l.most*int64(workers))
	parts := []*part{l.next()}
	for int64(len(parts)) < min(left, int64(most)) && !l.done() {
		parts = append(parts, l.next())
	}
	return parts
}

func (l *plan) next() *part {
	l.skip()
	p := &part{offset: l.offset, pieces: l.cut(), before: l.before, hashed: make(chan struct{})}
	p.frames = make(chan tree.Frame, len(p.pieces))
	p.users.Store(int64(len(p.pieces)) + 1)
	l.before = p.hashed
	l.offset += p.size()
	return p
}

func (l *plan) cut() (pieces []piece) {
	if len(l.a.Chunks) == 0 {
		return []piece{{size: min(l.most, l.a.Size-l.offset), chunk: -1}}
	}
	for size := int64(0); l.chunk < len(l.a.Chunks); l.chunk++ {
		c := l.a.Chunks[l.chunk]
		if size += c.Size; size > l.most {
			break
		}
		if l.partial {
			if len(l.only) == 0 || l.only[0] != l.chunk {
				break
			}
			l.only = l.only[1:]
		}
		pieces = append(pieces, piece{size: c.Size, plain: c.Plain, chunk: l.chunk})
	}
	return pieces
}
