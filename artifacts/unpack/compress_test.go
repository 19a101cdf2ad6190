package unpack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"koboshi/artifacts/tree"
	"koboshi/artifacts/tree/treetest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

type decompressor func(io.Reader) (io.ReadCloser, error)

func gzipped(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(plain)
	must(t, err)
	must(t, z.Close())
	return b.Bytes()
}

// inflate opens, reads and closes.
func inflate(t *testing.T, open decompressor, r io.Reader) ([]byte, error) {
	t.Helper()
	plain, err := open(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(plain)
	must(t, plain.Close())
	return got, err
}

var formats = []struct {
	name string
	open decompressor
	pack func(testing.TB, []byte) []byte
}{
	{"gzip", Gzip, gzipped},
	{"zstd", func(r io.Reader) (io.ReadCloser, error) { return Zstd(r, 0) }, func(t testing.TB, plain []byte) []byte { return zstdFrame(t, plain) }},
}

func TestCompressed(t *testing.T) {
	plain := []byte(strings.Repeat("0123456789", aheadSize/3))
	for _, f := range formats {
		one := f.pack(t, plain)
		for name, test := range map[string]struct {
			stream []byte
			want   []byte
		}{
			"one":     {one, plain},
			"two":     {append(bytes.Clone(one), one...), append(bytes.Clone(plain), plain...)},
			"nothing": {f.pack(t, nil), nil},
		} {
			synctest.Test(t, func(t *testing.T) {
				got, err := inflate(t, f.open, bytes.NewReader(test.stream))
				if err != nil || !bytes.Equal(got, test.want) {
					t.Errorf("%s, %s: %d bytes %v, want %d", f.name, name, len(got), err, len(test.want))
				}
			})
		}
	}
}

func TestCompressedRefused(t *testing.T) {
	plain := []byte(strings.Repeat("koboshi ", 1000))
	for _, f := range formats {
		whole := f.pack(t, plain)
		broken := bytes.Clone(whole)
		broken[len(broken)-5]++ // gzip: in the CRC
		broken[len(broken)-1]++ // zstd: in the checksum
		streams := map[string][]byte{
			"checksum":                    broken,
			"no magic":                    plain,
			"a second stream, cut":        append(bytes.Clone(whole), whole[:len(whole)/2]...),
			"a zero byte after the end":   append(bytes.Clone(whole), 0),
			"a block of zeros at the end": append(bytes.Clone(whole), make([]byte, 512)...),
		}
		for n := range 9 {
			streams[fmt.Sprint(n+1, " bytes after the end")] = append(bytes.Clone(whole), "garbage!!"[:n+1]...)
		}
		for cut := 1; cut < len(whole); cut++ {
			streams[fmt.Sprint("cut at ", cut)] = whole[:cut]
		}
		for name, stream := range streams {
			if _, err := inflate(t, f.open, bytes.NewReader(stream)); !errors.Is(err, tree.ErrRefused) {
				t.Errorf("%s, %s: %v", f.name, name, err)
			}
		}
	}
}

// The errors of the stream below are not the format's fault.
func TestCompressedFails(t *testing.T) {
	for _, f := range formats {
		whole := f.pack(t, []byte(strings.Repeat("koboshi ", 1000)))
		for cut := range len(whole) + 1 {
			for _, cause := range []error{errFetch, fmt.Errorf("body: %w", io.ErrUnexpectedEOF), fmt.Errorf("body: %w", io.EOF)} {
				_, err := inflate(t, f.open, failing(whole[:cut], cause))
				if !errors.Is(err, cause) || errors.Is(err, tree.ErrRefused) {
					t.Errorf("%s, cut at %d: %v, want %v", f.name, cut, err, cause)
				}
			}
		}
	}
}

func TestZstdWindow(t *testing.T) {
	plain := make([]byte, 32<<20)
	for _, test := range []struct {
		window  int
		allowed int64
		ok      bool
	}{{SmallWindow, 0, true}, {2 * SmallWindow, 0, false}, {MaxWindow, MaxWindow, true}, {2 * MaxWindow, MaxWindow, false}, {2 * MaxWindow, 2 * MaxWindow, false}} {
		var b bytes.Buffer
		z, err := zstd.NewWriter(&b, zstd.WithWindowSize(test.window))
		must(t, err)
		_, err = z.Write(plain)
		must(t, err)
		must(t, z.Close())
		if got, err := inflate(t, func(r io.Reader) (io.ReadCloser, error) { return Zstd(r, test.allowed) }, &b); test.ok != (err == nil) || !test.ok && !errors.Is(err, tree.ErrRefused) {
			t.Errorf("window %d of %d: %d bytes, %v", test.window, test.allowed, len(got), err)
		}
		if refused, ok := errors.AsType[*tree.RefusedError](err); ok && (!strings.Contains(refused.Reason, "window") || !strings.Contains(refused.Advice(), "--long")) {
			t.Errorf("window %d of %d: %v, hint %q", test.window, test.allowed, err, refused.Advice())
		}
	}
}

// Bombs end at the limits of the tar in them, whatever their full size.
func TestBombs(t *testing.T) {
	var archive tape
	archive.file("a", "x")
	for _, f := range formats {
		for name, r := range map[string]io.Reader{
			"zeros after the end": &endless{unit: f.pack(t, make([]byte, 1<<20))},
			"archives":            &endless{unit: f.pack(t, archive.Bytes())},
			"empty streams":       io.MultiReader(bytes.NewReader(f.pack(t, nil)), io.LimitReader(&endless{unit: f.pack(t, nil)}, 10<<20)),
		} {
			synctest.Test(t, func(t *testing.T) {
				plain, err := f.open(r)
				must(t, err)
				y := treetest.NewYard(t)
				if _, err := Tar(t.Context(), plain, y.Dest, roomy); !errors.Is(err, tree.ErrRefused) {
					t.Errorf("%s, %s: %v", f.name, name, err)
				}
				must(t, plain.Close())
			})
		}
	}
}

// Close ends a stream that is not read to its end.
func TestCompressedClosed(t *testing.T) {
	for _, f := range formats {
		synctest.Test(t, func(t *testing.T) {
			plain, err := f.open(&endless{unit: f.pack(t, make([]byte, 1<<20))})
			must(t, err)
			_, err = io.ReadFull(plain, make([]byte, 10))
			must(t, err)
			must(t, plain.Close())
		})
	}
}
