package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// memory is a file that needs no disk.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

func open(data []byte) func() (Reader, error) {
	return func() (Reader, error) { return memory{bytes.NewReader(data)}, nil }
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// pair is a file and what it is made from.
type pair struct{ target, base []byte }

func (p pair) file() File {
	f := File{SHA256: sum(p.target), Size: int64(len(p.target)), Open: open(p.target)}
	if p.base != nil {
		f.From, f.FromSize, f.OpenFrom = sum(p.base), int64(len(p.base)), open(p.base)
	}
	return f
}

func encode(t testing.TB, pairs ...pair) []byte {
	t.Helper()
	var files []File
	for _, p := range pairs {
		files = append(files, p.file())
	}
	var object bytes.Buffer
	if err := Encode(t.Context(), &object, files, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	return object.Bytes()
}

func opened(t testing.TB, object []byte) *Delta {
	t.Helper()
	d, err := Open(bytes.NewReader(object), int64(len(object)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// check makes each target again.
func check(t testing.TB, object []byte, pairs ...pair) {
	t.Helper()
	d := opened(t, object)
	var m patcher
	for i, p := range pairs {
		piece, ok := d.Piece(sum(p.target))
		if !ok || piece.Size != int64(len(p.target)) {
			t.Fatalf("pair %d: piece %v, %v", i, piece, ok)
		}
		if piece.From != "" && piece.From != sum(p.base) {
			t.Errorf("pair %d: from %s", i, piece.From)
		}
		var made bytes.Buffer
		if err := m.file(t.Context(), d, piece, &made, bytes.NewReader(p.base)); err != nil {
			t.Fatalf("pair %d: %v", i, err)
		}
		if !bytes.Equal(made.Bytes(), p.target) {
			t.Errorf("pair %d: %d bytes that are not the target's", i, made.Len())
		}
	}
}

// noise does not compress: what is small was found in the base.
func noise(seed uint64, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(data) // never fails
	return data
}

// edited is data with a few stretches replaced, removed and inserted.
func edited(r *rand.Rand, data []byte) []byte {
	out := bytes.Clone(data)
	for range 1 + r.IntN(8) {
		at := r.IntN(len(out) + 1)
		n := min(r.IntN(600), len(out)-at)
		insert := noise(r.Uint64(), r.IntN(600))
		out = append(out[:at:at], append(insert, out[at+n:]...)...)
	}
	return out
}

func TestWhatWasEditedIsMadeAgain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var pairs []pair
	for i := range 20 {
		base := noise(uint64(i), 1+r.IntN(50_000))
		if target := edited(r, base); len(target) > 0 {
			pairs = append(pairs, pair{target, base})
		}
	}
	object := encode(t, pairs...)
	check(t, object, pairs...)
	if plain := 20 * 25_000; len(object) > plain/4 {
		t.Errorf("%d bytes: the base was not made use of", len(object))
	}
}

// Noise is the worst case for the tables of an encoder: it finds a match late,
// and none for data that was shifted by more than the window.
func TestLargeFiles(t *testing.T) {
	base := noise(1, 4*SegmentBytes+SegmentBytes/2+7)
	grown := append(noise(2, 300_000), base...)
	for name, test := range map[string]struct {
		pair
		most int // bytes of the delta
	}{
		"the same":       {pair{base[1:], base}, 100_000},
		"grown":          {pair{grown, base}, 300_000 + 500_000},
		"shrunk":         {pair{base[300_000:], base}, 500_000},
		"whole segments": {pair{base[:2*SegmentBytes], base}, 2*SegmentBytes + 1000},
		"small base":     {pair{grown, base[:1000]}, len(grown) + 1000},
		"the end":        {pair{base[windowBytes:], base}, len(base) - windowBytes + 1000},
	} {
		t.Run(name, func(t *testing.T) {
			object := encode(t, test.pair)
			check(t, object, test.pair)
			if len(object) > test.most {
				t.Errorf("%d bytes, want at most %d", len(object), test.most)
			}
		})
	}
}

func TestWholeIsUsedWhereItIsSmaller(t *testing.T) {
	text := bytes.Repeat([]byte("the same line again and again\n"), 10_000)
	pairs := []pair{{text, noise(1, 100_000)}, {noise(2, 5000), nil}, {[]byte{1}, nil}}
	object := encode(t, pairs...)
	check(t, object, pairs...)
	if p, _ := opened(t, object).Piece(sum(text)); p.From != "" {
		t.Errorf("a piece that takes nothing of its base needs %s", p.From)
	}
}

func TestSameFilesSameBytes(t *testing.T) {
	base := noise(1, SegmentBytes+9)
	pairs := []pair{{edited(rand.New(rand.NewPCG(3, 4)), base), base}, {noise(5, 100), nil}}
	first := encode(t, pairs...)
	for range 2 {
		if !bytes.Equal(encode(t, pairs...), first) {
			t.Fatal("other bytes")
		}
	}
}

func TestAnotherBaseIsNoticed(t *testing.T) {
	base := noise(1, 100_000)
	p := pair{edited(rand.New(rand.NewPCG(5, 6)), base), base}
	d := opened(t, encode(t, p))
	piece, _ := d.Piece(sum(p.target))
	err := new(patcher).file(t.Context(), d, piece, io.Discard, bytes.NewReader(base[:len(base)-1]))
	if !errors.Is(err, ErrBase) {
		t.Errorf("a base that is too short: %v", err)
	}
	var made bytes.Buffer
	err = new(patcher).file(t.Context(), d, piece, &made, bytes.NewReader(noise(9, len(base))))
	if err == nil && sum(made.Bytes()) == piece.SHA256 {
		t.Error("another base made the target")
	}
}

func TestErrorsOfOthersArePassedOn(t *testing.T) {
	p := pair{noise(1, 1000), nil}
	d := opened(t, encode(t, p))
	piece, _ := d.Piece(sum(p.target))
	full := errors.New("disk full")
	if err := new(patcher).file(t.Context(), d, piece, writer(func([]byte) (int, error) { return 0, full }), nil); err != full { //nolint:errorlint // as it is
		t.Errorf("%v", err)
	}
	stopped, cancel := context.WithCancelCause(t.Context())
	cancel(full)
	if err := new(patcher).file(stopped, d, piece, io.Discard, nil); err != full { //nolint:errorlint // as it is
		t.Errorf("%v", err)
	}
	files := []File{p.file()}
	if err := Encode(t.Context(), writer(func([]byte) (int, error) { return 0, full }), files, func(int64) {}); !errors.Is(err, full) {
		t.Errorf("encode: %v", err)
	}
	files[0].Open = func() (Reader, error) { return nil, full }
	if err := Encode(t.Context(), io.Discard, files, func(int64) {}); !errors.Is(err, full) {
		t.Errorf("encode: %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// object is a delta with this directory and so many bytes of frames.
func object(t testing.TB, frames int, lines ...string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := z.EncodeAll([]byte(strings.Join(lines, "\n")), nil)
	out := append(make([]byte, frames), packed...)
	return append(binary.BigEndian.AppendUint64(out, uint64(len(packed))), magic...)
}

func TestHostileDirectories(t *testing.T) {
	a, b := sum([]byte("a")), sum([]byte("b"))
	piece := func(sha, rest string) string { return `{"sha256":"` + sha + `",` + rest + `}` }
	fine := piece(a, `"size":5,"segments":[{"packed":9}]`)
	if _, err := Open(bytes.NewReader(object(t, 9, fine)), int64(len(object(t, 9, fine)))); err != nil {
		t.Fatalf("what the others are made from is refused: %v", err)
	}
	for name, data := range map[string][]byte{
		"nothing":                 nil,
		"another magic":           append(object(t, 9, fine), '!'),
		"frames left over":        object(t, 10, fine),
		"frames missing":          object(t, 8, fine),
		"twice":                   object(t, 18, fine, fine),
		"upper case":              object(t, 9, piece(strings.ToUpper(a), `"size":5,"segments":[{"packed":9}]`)),
		"half a hash":             object(t, 9, piece(a[:32], `"size":5,"segments":[{"packed":9}]`)),
		"unknown key":             object(t, 9, piece(a, `"size":5,"path":"x","segments":[{"packed":9}]`)),
		"no size":                 object(t, 9, piece(a, `"size":0,"segments":[]`)),
		"negative size":           object(t, 9, piece(a, `"size":-5,"segments":[{"packed":9}]`)),
		"too few segments":        object(t, 9, piece(a, `"size":2097153,"segments":[{"packed":9}]`)),
		"too many segments":       object(t, 9, piece(a, `"size":5,"segments":[{"packed":4},{"packed":5}]`)),
		"an empty frame":          object(t, 9, piece(a, `"size":5,"segments":[{"packed":0}]`)),
		"a negative frame":        object(t, 9, piece(a, `"size":5,"segments":[{"packed":-9}]`)),
		"a huge frame":            object(t, 9, piece(a, `"size":5,"segments":[{"packed":9223372036854775807}]`)),
		"a window without a base": object(t, 9, piece(a, `"size":5,"segments":[{"packed":9,"window":5}]`)),
		"a huge window":           object(t, 9, piece(a, `"size":5,"from":"`+b+`","segments":[{"packed":9,"window":8388609}]`)),
		"before the base":         object(t, 9, piece(a, `"size":5,"from":"`+b+`","segments":[{"packed":9,"start":-1,"window":5}]`)),
		"a start of nothing":      object(t, 9, piece(a, `"size":5,"from":"`+b+`","segments":[{"packed":9,"start":1}]`)),
		"no zstd":                 append(binary.BigEndian.AppendUint64(make([]byte, 9), 9), magic...),
		"a huge directory":        append(binary.BigEndian.AppendUint64(make([]byte, 9), 1<<63), magic...),
		"a directory before":      append(binary.BigEndian.AppendUint64(make([]byte, 9), 10), magic...),
	} {
		if _, err := Open(bytes.NewReader(data), int64(len(data))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBrokenFrames(t *testing.T) {
	whole := noise(1, 5)
	z, err := newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	frame := z.EncodeAll(whole, nil)
	for size, good := range map[int64]bool{5: true, 4: false, 6: false} {
		got, err := decode(nil, frame, nil, size)
		if good != (err == nil) || good && !bytes.Equal(got, whole) || !good && !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %x, %v", size, got, err)
		}
	}
	bomb := z.EncodeAll(make([]byte, SegmentBytes), nil)
	if _, err := decode(nil, append(bomb, bomb...), nil, SegmentBytes); !errors.Is(err, ErrMalformed) {
		t.Errorf("two frames for one: %v", err)
	}
}

// Whatever the bytes are, they are read or refused, and what is read is made
// within its size or refused.
func FuzzOpen(f *testing.F) {
	base := noise(1, 4000)
	f.Add(encode(f, pair{append([]byte("new"), base...), base}, pair{noise(2, 100), nil}))
	f.Add(object(f, 9, `{"sha256":"`+sum(nil)+`","size":5,"segments":[{"packed":9}]}`))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("neither read nor refused: %v", err)
			}
			return
		}
		var m patcher
		for _, p := range d.pieces {
			var made bytes.Buffer
			err := m.file(t.Context(), d, p, &made, bytes.NewReader(base))
			if int64(made.Len()) > p.Size || err == nil && int64(made.Len()) != p.Size {
				t.Errorf("%d bytes, want %d: %v", made.Len(), p.Size, err)
			}
			if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrBase) {
				t.Errorf("neither made nor refused: %v", err)
			}
		}
	})
}
