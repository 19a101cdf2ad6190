package convert

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"koboshi/artifacts/tree"
)

// sample is a small archive of a kind, as people make it: the same in every
// kind. The one of bzip2 is a file, since Go writes none.
func sample(t testing.TB, kind Kind) []byte {
	t.Helper()
	var b bytes.Buffer
	switch kind {
	case Zip:
		z := zip.NewWriter(&b)
		for _, e := range []struct {
			name, body string
			mode       fs.FileMode
		}{{"web/", "", fs.ModeDir | 0o755}, {"web/run", "#!/bin/sh\n", 0o755}, {"web/link", "run", fs.ModeSymlink | 0o777}} {
			zipped(t, z, e.name, e.body, e.mode)
		}
		must(t, z.Close())
	case TarBz2:
		data, err := os.ReadFile("testdata/web.tar.bz2")
		must(t, err)
		return data
	default:
		w := tar.NewWriter(&b)
		must(t, w.WriteHeader(&tar.Header{Name: "web/", Typeflag: tar.TypeDir, Mode: 0o755}))
		must(t, w.WriteHeader(&tar.Header{Name: "web/run", Typeflag: tar.TypeReg, Mode: 0o755, Size: 10}))
		_, err := w.Write([]byte("#!/bin/sh\n"))
		must(t, err)
		must(t, w.WriteHeader(&tar.Header{Name: "web/link", Typeflag: tar.TypeSymlink, Linkname: "run", Mode: 0o777}))
		must(t, w.Close())
	}
	return compress(t, kind, b.Bytes())
}

func zipped(t testing.TB, z *zip.Writer, name, body string, mode fs.FileMode) {
	t.Helper()
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	header.SetMode(mode)
	w, err := z.CreateHeader(header)
	must(t, err)
	_, err = w.Write([]byte(body))
	must(t, err)
}

func compress(t testing.TB, kind Kind, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch kind {
	case TarGz:
		w = gzip.NewWriter(&b)
	case TarXz:
		w, err = xz.NewWriter(&b)
	case TarZst:
		w, err = zstd.NewWriter(&b)
	default:
		return data
	}
	must(t, err)
	_, err = w.Write(data)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

var kinds = []Kind{Tar, TarGz, TarXz, TarBz2, TarZst, Zip}

func TestRead(t *testing.T) {
	for _, kind := range kinds {
		data := sample(t, kind)
		var spool bytes.Buffer
		var done, total int64
		a, err := Read(t.Context(), kind, bytes.NewReader(data), int64(len(data)), &spool, Options{Progress: func(d, t int64) { done, total = d, t }})
		must(t, err)
		var got strings.Builder
		for _, i := range a.Items {
			fmt.Fprintf(&got, "%s %s %d %s\n", i.Name, i.Was, i.Size, i.Link)
		}
		if want := "web/ drwxr-xr-x 0 \nweb/run -rwxr-xr-x 10 \nweb/link Lrwxrwxrwx 0 run\n"; got.String() != want || a.NoModes {
			t.Errorf("%s: got\n%swant\n%s", kind, got.String(), want)
		}
		if spool.String() != "#!/bin/sh\n" {
			t.Errorf("%s: spooled %q", kind, spool.String())
		}
		if total != int64(len(data)) || done == 0 || done > total {
			t.Errorf("%s: progress %d of %d", kind, done, total)
		}
	}
}

func TestKindOf(t *testing.T) {
	for name, want := range map[string]Kind{
		"web.tar": Tar, "web.tar.gz": TarGz, "WEB.TGZ": TarGz, "web-1.2.tar.xz": TarXz, "w.txz": TarXz, "w.tar.bz2": TarBz2, "w.tbz2": TarBz2,
		"w.tar.zst": TarZst, "w.zip": Zip, "web": "", "web.jar": "", "web.gz": "", ".tar": "", "model.bin": "",
	} {
		if kind, err := KindOf(name); err != nil || kind != want {
			t.Errorf("%s: %q and %v, want %q", name, kind, err, want)
		}
	}
	if _, err := KindOf("web.7z"); err == nil {
		t.Error("a .7z was taken")
	}
}

// A broken archive is refused wherever it breaks.
func TestTruncated(t *testing.T) {
	for _, kind := range kinds {
		data := sample(t, kind)
		end := len(data) - 1
		if kind == Tar {
			end = 1800 // a tar without its last zeros is whole
		}
		for n := 1; n <= end; n += 1 + end/97 {
			if _, err := read(t, kind, data[:n]); !errors.Is(err, tree.ErrRefused) {
				t.Errorf("%s: %d of %d bytes: %v", kind, n, len(data), err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	one := func(header *tar.Header) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		must(t, w.WriteHeader(header))
		must(t, w.Close())
		return b.Bytes()
	}
	zip := func(name string, alter func(data []byte)) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		zipped(t, z, name, strings.Repeat("text", 100), 0o644)
		must(t, z.Close())
		alter(b.Bytes())
		return b.Bytes()
	}
	same := func([]byte) {}
	central := func(data []byte) int { return bytes.Index(data, []byte("PK\x01\x02")) }
	for name, c := range map[string]struct {
		kind Kind
		data []byte
		want string
	}{
		"two tars":      {Tar, append(sample(t, Tar), sample(t, Tar)...), "data after the end"},
		"a volume name": {Tar, one(&tar.Header{Name: "x", Typeflag: 'V'}), "type 'V'"},
		"no tar":        {Tar, bytes.Repeat([]byte("text"), 1000), "cannot be read"},
		"no zip":        {Zip, bytes.Repeat([]byte("text"), 1000), "cannot be read"},
		"backslash":     {Zip, zip(`a\b`, same), "backslash"},
		"encrypted":     {Zip, zip("a", func(data []byte) { data[central(data)+8] |= encrypted }), "is encrypted"},
		"checksum":      {Zip, zip("a", func(data []byte) { data[central(data)+16] ^= 1 }), "checksum"},
		"method":        {Zip, zip("a", func(data []byte) { data[central(data)+10] = 99 }), "algorithm"},
	} {
		if _, err := read(t, c.kind, c.data); !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// A decompression bomb ends at the limit, whether it is in files or in headers.
func TestBombs(t *testing.T) {
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	must(t, w.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o644, Size: 4 << 20}))
	_, err := w.Write(make([]byte, 4<<20))
	must(t, err)
	must(t, w.Close())
	headers := bytes.Repeat(sample(t, Tar)[:512], 8<<10) // "web/" again and again
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	zippedZeros, err := z.Create("zeros")
	must(t, err)
	_, err = zippedZeros.Write(make([]byte, 4<<20))
	must(t, err)
	must(t, z.Close())
	for name, c := range map[string]struct {
		kind Kind
		data []byte
	}{
		"gzip": {TarGz, compress(t, TarGz, plain.Bytes())}, "xz": {TarXz, compress(t, TarXz, plain.Bytes())}, "zstd": {TarZst, compress(t, TarZst, plain.Bytes())},
		"headers": {TarGz, compress(t, TarGz, headers)}, "zip": {Zip, zipped.Bytes()},
	} {
		var spool counter
		r := &reader{ctx: t.Context(), src: bytes.NewReader(c.data), size: int64(len(c.data)), spool: &spool, left: 1 << 20}
		if err := r.read(c.kind); !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), "unpacks to more than") || spool > 1<<20 {
			t.Errorf("%s: %d bytes and %v", name, spool, err)
		}
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// An xz file says how large a dictionary its decoder makes.
func TestXzDictionaries(t *testing.T) {
	grow := func(data []byte, bits byte) []byte {
		data = bytes.Clone(data)
		header := data[12 : 12+(int(data[12])+1)*4]
		at := bytes.Index(header, []byte{lzma2, 1})
		header[at+2] = bits
		binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
		return data
	}
	data := sample(t, TarXz)
	if _, err := read(t, TarXz, grow(data, 28)); err != nil {
		t.Errorf("64 MiB, as xz -9: %v", err)
	}
	if _, err := read(t, TarXz, grow(data, 31)); !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), "dictionary of 201326592 bytes") {
		t.Errorf("192 MiB: %v", err)
	}
	many := bytes.Repeat(grow(data, 30), 300) // streams
	if _, err := read(t, TarXz, many); !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), "too many") {
		t.Errorf("300 of 128 MiB: %v", err)
	}
	padded := slices.Concat(data, make([]byte, 8))
	if _, err := read(t, TarXz, padded); err != nil {
		t.Errorf("with padding: %v", err)
	}
}

// Errors of the disk are no fault of the archive.
func TestErrorsOfTheDisk(t *testing.T) {
	full := errors.New("full")
	for _, kind := range kinds {
		data := sample(t, kind)
		if _, err := Read(t.Context(), kind, bytes.NewReader(data), int64(len(data)), failing{full}, Options{}); !errors.Is(err, full) || errors.Is(err, tree.ErrRefused) {
			t.Errorf("%s: writing: %v", kind, err)
		}
		if _, err := Read(t.Context(), kind, failing{full}, int64(len(data)), io.Discard, Options{}); !errors.Is(err, full) || errors.Is(err, tree.ErrRefused) {
			t.Errorf("%s: reading: %v", kind, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Read(ctx, kind, bytes.NewReader(data), int64(len(data)), io.Discard, Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", kind, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error)         { return 0, f.err }
func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestWhatTarSays(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "of git"}}))
	must(t, w.WriteHeader(&tar.Header{Name: "su", Typeflag: tar.TypeReg, Mode: 0o4755,
		PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "x", "LIBARCHIVE.xattr.user.a%2Fb": "x", "SCHILY.acl.access": "x"}}))
	must(t, w.WriteHeader(&tar.Header{Name: "../hard", Typeflag: tar.TypeLink, Linkname: "su"}))
	must(t, w.WriteHeader(&tar.Header{Name: "fifo", Typeflag: tar.TypeFifo, Mode: 0o644}))
	must(t, w.Close())
	a, err := read(t, Tar, b.Bytes())
	must(t, err)
	if len(a.Items) != 3 {
		t.Fatalf("items %+v", a.Items)
	}
	su, hard, fifo := a.Items[0], a.Items[1], a.Items[2]
	if su.Was != fs.ModeSetuid|0o755 || !slices.Equal(su.Attributes, []string{"security.capability", "system.posix_acl_access", "user.a/b"}) {
		t.Errorf("su is %+v", su)
	}
	if hard.Name != "../hard" || !hard.Hard || hard.Link != "su" {
		t.Errorf("hard is %+v", hard)
	}
	if fifo.Was&fs.ModeNamedPipe == 0 {
		t.Errorf("fifo is %+v", fifo)
	}
}

// A zip that was made on Windows has no permissions.
func TestZipWithoutModes(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	_, err := z.Create("run.sh")
	must(t, err)
	must(t, z.Close())
	a, err := read(t, Zip, b.Bytes())
	must(t, err)
	if !a.NoModes {
		t.Error("it has permissions")
	}
}

func read(t testing.TB, kind Kind, data []byte) (*Archive, error) {
	return Read(t.Context(), kind, bytes.NewReader(data), int64(len(data)), io.Discard, Options{})
}

// Whatever the bytes, they are read or refused.
func FuzzRead(f *testing.F) {
	for i, kind := range kinds {
		f.Add(uint8(i), sample(f, kind))
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		var spool counter
		r := &reader{ctx: t.Context(), src: bytes.NewReader(data), size: int64(len(data)), spool: &spool, left: 1 << 20}
		if err := r.read(kinds[int(kind)%len(kinds)]); err != nil {
			if !errors.Is(err, tree.ErrRefused) {
				t.Fatal(err)
			}
			return
		}
		var sum int64
		for _, i := range r.archive.Items {
			sum += i.Size
		}
		if sum != int64(spool) || sum > 1<<20 {
			t.Fatalf("%d bytes in items, %d in the spool", sum, spool)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
