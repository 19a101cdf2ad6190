package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

var errFetch = errors.New("chunk 7: hash differs")

// failing ends with err where its bytes end.
func failing(data []byte, err error) io.Reader {
	return io.MultiReader(bytes.NewReader(data), readerFunc(func([]byte) (int, error) { return 0, err }))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// sample has every kind of entry, and a file of several slabs.
func sample() []byte {
	var archive tape
	archive.dir("d")
	archive.pax('x', "path", "d/small")
	archive.file("a", "small")
	archive.file("large", strings.Repeat("x", 3*slabSize+7))
	archive.symlink("l", "d/small")
	archive.hardlink("h", "d/small")
	archive.end()
	return archive.Bytes()
}

// An error of the stream is that error, wherever it comes, even where the
// archive could end and even if it looks like an end.
func TestStreamFails(t *testing.T) {
	stream := sample()
	for _, cause := range []error{errFetch, io.ErrUnexpectedEOF, fmt.Errorf("body: %w", io.EOF)} {
		for _, cut := range []int{0, 100, 512, 700, 1024, 1536, 1541, 2000, 2048, 2560, slabSize, 2*slabSize + 5, len(stream) - 2048, len(stream) - 1024, len(stream) - 1, len(stream)} {
			synctest.Test(t, func(t *testing.T) { // fails if a goroutine stays behind
				y := newYard(t)
				_, err := Tar(t.Context(), failing(stream[:cut], cause), y.dest, roomy)
				if !errors.Is(err, cause) || errors.Is(err, ErrRefused) {
					t.Errorf("cut at %d: %v, want %v", cut, err, cause)
				}
				y.check(t)
			})
		}
	}
}

func TestCancelled(t *testing.T) {
	stream := sample()
	for _, after := range []int{0, 512, 1541, 2*slabSize + 5, len(stream)} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			end := readerFunc(func([]byte) (int, error) { cancel(errFetch); return 0, io.EOF })
			r := io.MultiReader(bytes.NewReader(stream[:after]), end, bytes.NewReader(stream[after:]))
			if _, err := Tar(ctx, r, newYard(t).dest, roomy); !errors.Is(err, errFetch) || errors.Is(err, ErrRefused) {
				t.Errorf("after %d: %v", after, err)
			}
		})
	}
}

// Cancelling ends an archive that gives the writers nothing to do.
func TestCancelledBetweenDirectories(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	dirs := &numbered{flag: tar.TypeDir, then: func(n int) {
		if n == 100 {
			cancel(errFetch)
		}
	}}
	if _, err := Tar(ctx, dirs, newYard(t).dest, roomy); !errors.Is(err, errFetch) || dirs.next > 101 {
		t.Errorf("%v after %d", err, dirs.next)
	}
}

// However an unpacking ends, it leaves no descriptor open.
func TestDescriptors(t *testing.T) {
	stream := sample()
	for _, end := range []int{len(stream), len(stream) / 2, 2000} {
		before := descriptors(t)
		y := newYard(t)
		_, err := Tar(t.Context(), bytes.NewReader(stream[:end]), y.dest, roomy)
		if (err == nil) != (end == len(stream)) {
			t.Fatal(err)
		}
		must(t, y.dest.Close())
		if after := descriptors(t); after != before {
			t.Errorf("cut at %d: %d descriptors, %d before", end, after, before)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(open)
}

// What the disk says is never the archive's fault, and keeps its errno.
func TestDiskFails(t *testing.T) {
	stream := sample()
	for _, taken := range []string{"d", "large", "l", "h"} {
		synctest.Test(t, func(t *testing.T) {
			y := newYard(t)
			must(t, y.dest.WriteFile(taken, nil, 0o600))
			_, err := Tar(t.Context(), bytes.NewReader(stream), y.dest, roomy)
			if !errors.Is(err, unix.EEXIST) || errors.Is(err, ErrRefused) {
				t.Errorf("%s: %v", taken, err)
			}
		})
	}
}

// A write that fails in one writer stops all, even while the stream goes on.
func TestDiskFull(t *testing.T) {
	if !inChild(t, "") {
		return
	}
	signal.Ignore(unix.SIGXFSZ)
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}))

	var small tape
	small.file("a", strings.Repeat("x", 100<<10))
	endlessFiles := io.MultiReader(&small, &numbered{})
	var large tape
	large.block(head{name: "a", size: 5 << 30})
	endlessFile := io.MultiReader(&large, &endless{unit: make([]byte, 512)})
	for name, r := range map[string]io.Reader{"small files": endlessFiles, "one large file": endlessFile} {
		synctest.Test(t, func(t *testing.T) {
			_, err := Tar(t.Context(), r, newYard(t).dest, Options{Limits: Limits{Bytes: 8 << 30, Entries: MaxEntries}})
			if !errors.Is(err, unix.EFBIG) || errors.Is(err, ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	pieces := cut(make([]byte, 100<<10), 70<<10) // the last write fails, and nobody asks for another
	err := File(t.Context(), pieces, newYard(t).dest, "web", Options{Limits: Limits{Bytes: 1 << 20, Entries: 1}})
	if !errors.Is(err, unix.EFBIG) || errors.Is(err, ErrRefused) {
		t.Errorf("one executable: %v", err)
	}
}

// numbered is a stream of empty files, or what flag says, without end.
type numbered struct {
	next int
	flag byte
	then func(int)
	tape tape
}

func (n *numbered) Read(p []byte) (int, error) {
	if n.tape.Len() == 0 {
		n.next++
		n.tape.block(head{name: fmt.Sprint("f", n.next), flag: n.flag})
		if n.then != nil {
			n.then(n.next)
		}
	}
	return n.tape.Read(p)
}

// Files of every length come out whole, however they are written, and File
// gives back what it reserved and did not need.
func TestLargeFile(t *testing.T) {
	whole := bytes.Repeat([]byte("0123456789abcdef"), (directMin+3*slabSize)/16)
	for _, size := range []int{0, 1, slabSize, directMin, directMin + slabSize, directMin + 777, directMin + slabSize + 4096} {
		y := newYard(t)
		opt := Options{Limits: Limits{Bytes: int64(len(whole)), Entries: 2}, Hash: true}
		must(t, File(t.Context(), cut(whole[:size], slabSize+size%2), y.dest, "web", opt))
		index := []Entry{{Path: "web", Type: TypeFile, Mode: 0o755, Size: int64(size), SHA256: sumOf(whole[:size])}}
		archive := tape{}
		archive.block(head{name: "web2", size: int64(size)})
		archive.Write(whole[:size])
		archive.Write(make([]byte, -size&511))
		more, err := Tar(t.Context(), &archive, y.dest, opt)
		must(t, err)
		checkIndex(t, y, append(index, more...))
		if want := sumOf(whole[:size]); more[0].SHA256 != want || more[0].Size != int64(size) {
			t.Errorf("%d bytes: %+v", size, more)
		}
	}
}

// Every piece is given back once, written or not, and what ended the pieces is
// the error.
func TestFilePieces(t *testing.T) {
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
		y, whole := newYard(t), bytes.Repeat([]byte{1}, 20<<20)
		next := cut(whole, slabSize)
		err := File(t.Context(), func(ctx context.Context) (Frame, error) {
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
		}, y.dest, "web", Options{Limits: Limits{Bytes: test.limit, Entries: 1}})
		if !errors.Is(err, test.want) || test.want == nil && err != nil || lent.Load() != back.Load() || lent.Load() < 18 {
			t.Errorf("%s: %v, %d lent, %d given back", name, err, lent.Load(), back.Load())
		}
		if got, err := y.dest.ReadFile("web"); test.want == nil && (err != nil || bytes.Count(got, []byte{1}) != len(whole)) {
			t.Errorf("%s: %v, or pieces that were taken back before they were written", name, err)
		}
	}
}

// The umask of the process must not decide what the app may read.
func TestUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	y := newYard(t)
	_, err := Tar(t.Context(), bytes.NewReader(sample()), y.dest, roomy)
	must(t, err)
	for path, want := range map[string]os.FileMode{"d": os.ModeDir | 0o755, "d/small": 0o644, "large": 0o644} {
		if info, err := y.dest.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
		}
	}
}
