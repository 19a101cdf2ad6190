package tree

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"koboshi/artifacts/tree/treetest"
)

func TestWriteSingle(t *testing.T) {
	body := strings.Repeat("0123456789", bufferSize/5)
	y := treetest.NewYard(t)
	must(t, WriteSingle(t.Context(), y.Dest, "web", Options{Limits: Limits{int64(len(body)), 1}}, cut([]byte(body), 1000)))
	holds(t, y, []Entry{{Path: "web", Type: TypeFile, Mode: 0o755, Size: int64(len(body)), SHA256: sumOf([]byte(body))}})
	for _, test := range []struct {
		name   string
		limits Limits
	}{
		{"web", Limits{int64(len(body)) - 1, 1}},
		{"web", Limits{int64(len(body)), 0}},
		{"../web", Limits{int64(len(body)), 1}},
		{"a/web", Limits{int64(len(body)), 9}},
		{".", Limits{int64(len(body)), 1}},
	} {
		y := treetest.NewYard(t)
		if err := WriteSingle(t.Context(), y.Dest, test.name, Options{Limits: test.limits}, cut([]byte(body), bufferSize)); !errors.Is(err, ErrRefused) {
			t.Errorf("%+v: %v", test, err)
		}
		y.Check(t)
	}
}

// cut yields data in pieces of at most size bytes.
func cut(data []byte, size int) func(context.Context) (Frame, error) {
	rest := data
	return func(context.Context) (Frame, error) {
		if len(rest) == 0 {
			return Frame{}, io.EOF
		}
		piece := Frame{Data: rest[:min(size, len(rest))], At: int64(len(data) - len(rest))}
		rest = rest[len(piece.Data):]
		return piece, nil
	}
}

// Every piece is released once, written or not, and what ended the pieces is
// the error.
func TestWriteSingleReleases(t *testing.T) {
	gone := errors.New("gone")
	for name, test := range map[string]struct {
		limit int64
		end   error
		want  error
	}{
		"all":      {20 << 20, io.EOF, nil},
		"too many": {18 << 20, io.EOF, ErrRefused},
		"broken":   {20 << 20, gone, gone},
	} {
		var lent, back atomic.Int64
		y, whole := treetest.NewYard(t), bytes.Repeat([]byte{1}, 20<<20)
		next := cut(whole, bufferSize)
		opt := Options{Limits: Limits{Bytes: test.limit, Entries: 1}}
		err := WriteSingle(t.Context(), y.Dest, "web", opt, func(ctx context.Context) (Frame, error) {
			piece, err := next(ctx)
			if err != nil {
				return piece, test.end
			}
			lent.Add(1)
			piece.Release = func() {
				back.Add(1)
				clear(piece.Data) // it may be used again
			}
			return piece, nil
		})
		if !errors.Is(err, test.want) || test.want == nil && err != nil || lent.Load() != back.Load() || lent.Load() < 18 {
			t.Errorf("%s: %v, %d lent, %d released", name, err, lent.Load(), back.Load())
		}
		if got, err := y.Dest.ReadFile("web"); test.want == nil && (err != nil || bytes.Count(got, []byte{1}) != len(whole)) {
			t.Errorf("%s: %v, or pieces that were released before they were written", name, err)
		}
	}
}

// Pieces are written where they belong, whatever their order. A file with a gap, or
// with bytes that came twice, is none.
func TestWriteSingleInAnyOrder(t *testing.T) {
	const size = 100 << 10
	whole := bytes.Repeat([]byte("0123456789abcdef"), (directMin+size)/16)
	var pieces []Frame
	for next := cut(whole, size); ; {
		piece, err := next(t.Context())
		if err != nil {
			break
		}
		pieces = append(pieces, piece)
	}
	backwards := slices.Clone(pieces)
	slices.Reverse(backwards)
	for name, test := range map[string]struct {
		pieces []Frame
		ok     bool
	}{
		"backwards":       {backwards, true},
		"one is missing":  {slices.Concat(pieces[:5], pieces[6:]), false},
		"one comes twice": {slices.Concat(pieces, pieces[5:6]), false},
	} {
		y, rest := treetest.NewYard(t), test.pieces
		err := WriteSingle(t.Context(), y.Dest, "web", Options{Limits: Limits{int64(len(whole)), 1}}, func(context.Context) (Frame, error) {
			if len(rest) == 0 {
				return Frame{}, io.EOF
			}
			piece := rest[0]
			rest = rest[1:]
			return piece, nil
		})
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := y.Dest.ReadFile("web"); test.ok && (err != nil || !bytes.Equal(got, whole)) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// Files of every length come out whole, however they are written, and what was
// reserved and not needed is released.
func TestLargeFile(t *testing.T) {
	whole := bytes.Repeat([]byte("0123456789abcdef"), (directMin+3*bufferSize)/16)
	opt := Options{Limits: Limits{Bytes: int64(len(whole)), Entries: 2}, Hash: true}
	for _, size := range []int{0, 1, bufferSize, directMin, directMin + bufferSize, directMin + 777, directMin + bufferSize + 4096} {
		single, added := treetest.NewYard(t), treetest.NewYard(t)
		must(t, WriteSingle(t.Context(), single.Dest, "web", opt, cut(whole[:size], bufferSize+size%2)))
		want := []Entry{{Path: "web", Type: TypeFile, Mode: 0o755, Size: int64(size), SHA256: sumOf(whole[:size])}}
		holds(t, single, want)
		index, err := Write(t.Context(), added.Dest, opt, func(ctx context.Context, w *Writer) error {
			e := want[0]
			e.SHA256 = ""
			return w.Add(ctx, &e, bytes.NewReader(whole[:size]))
		})
		must(t, err)
		if !slices.Equal(index, want) {
			t.Errorf("%d bytes: %+v", size, index)
		}
		holds(t, added, want)
	}
}
