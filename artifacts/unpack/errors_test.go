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
	"testing"
	"testing/synctest"

	"koboshi/artifacts/tree"
	"koboshi/artifacts/tree/treetest"

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

// sample has every kind of entry, and a file of several buffers.
func sample() []byte {
	var archive tape
	archive.dir("d")
	archive.pax('x', "path", "d/small")
	archive.file("a", "small")
	archive.file("large", strings.Repeat("x", 3*bufferSize+7))
	archive.symlink("l", "d/small")
	archive.hardlink("h", "d/small")
	archive.end()
	return archive.Bytes()
}

// An error of the stream is passed on, wherever it comes, even where the archive
// could end and even if it looks like an end.
func TestStreamFails(t *testing.T) {
	stream := sample()
	for _, cause := range []error{errFetch, io.ErrUnexpectedEOF, fmt.Errorf("body: %w", io.EOF)} {
		for _, cut := range []int{0, 100, 512, 700, 1024, 1536, 1541, 2000, 2048, 2560, bufferSize, 2*bufferSize + 5, len(stream) - 2048, len(stream) - 1024, len(stream) - 1, len(stream)} {
			synctest.Test(t, func(t *testing.T) { // fails if a goroutine stays behind
				y := treetest.NewYard(t)
				_, err := Tar(t.Context(), failing(stream[:cut], cause), y.Dest, roomy)
				if !errors.Is(err, cause) || errors.Is(err, tree.ErrRefused) {
					t.Errorf("cut at %d: %v, want %v", cut, err, cause)
				}
				y.Check(t)
			})
		}
	}
}

func TestCancelled(t *testing.T) {
	stream := sample()
	for _, after := range []int{0, 512, 1541, 2*bufferSize + 5, len(stream)} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			end := readerFunc(func([]byte) (int, error) { cancel(errFetch); return 0, io.EOF })
			r := io.MultiReader(bytes.NewReader(stream[:after]), end, bytes.NewReader(stream[after:]))
			if _, err := Tar(ctx, r, treetest.NewYard(t).Dest, roomy); !errors.Is(err, errFetch) || errors.Is(err, tree.ErrRefused) {
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
	if _, err := Tar(ctx, dirs, treetest.NewYard(t).Dest, roomy); !errors.Is(err, errFetch) || dirs.next > 101 {
		t.Errorf("%v after %d", err, dirs.next)
	}
}

// However unpacking ends, it leaves no descriptor open.
func TestDescriptors(t *testing.T) {
	stream := sample()
	for _, end := range []int{len(stream), len(stream) / 2, 2000} {
		before := descriptors(t)
		y := treetest.NewYard(t)
		_, err := Tar(t.Context(), bytes.NewReader(stream[:end]), y.Dest, roomy)
		if (err == nil) != (end == len(stream)) {
			t.Fatal(err)
		}
		must(t, y.Dest.Close())
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

// An error of the disk is never reported as one of the archive, and keeps its errno.
func TestDiskFails(t *testing.T) {
	stream := sample()
	for _, taken := range []string{"d", "large", "l", "h"} {
		synctest.Test(t, func(t *testing.T) {
			y := treetest.NewYard(t)
			must(t, y.Dest.WriteFile(taken, nil, 0o600))
			_, err := Tar(t.Context(), bytes.NewReader(stream), y.Dest, roomy)
			if !errors.Is(err, unix.EEXIST) || errors.Is(err, tree.ErrRefused) {
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
			_, err := Tar(t.Context(), r, treetest.NewYard(t).Dest, tree.Options{Limits: tree.Limits{Bytes: 8 << 30, Entries: tree.MaxEntries}})
			if !errors.Is(err, unix.EFBIG) || errors.Is(err, tree.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	pieces := []int{70 << 10, 30 << 10} // the last write fails, and there is no other
	var at int64
	err := tree.WriteSingle(t.Context(), treetest.NewYard(t).Dest, "web", tree.Options{Limits: tree.Limits{Bytes: 1 << 20, Entries: 1}}, func(context.Context) (tree.Frame, error) {
		if len(pieces) == 0 {
			return tree.Frame{}, io.EOF
		}
		piece := tree.Frame{Data: make([]byte, pieces[0]), At: at}
		pieces, at = pieces[1:], at+int64(pieces[0])
		return piece, nil
	})
	if !errors.Is(err, unix.EFBIG) || errors.Is(err, tree.ErrRefused) {
		t.Errorf("one executable: %v", err)
	}
}

// numbered is an endless stream of empty files, or of entries with another flag.
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

// The umask of the process must not decide what the app may read.
func TestUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	y := treetest.NewYard(t)
	_, err := Tar(t.Context(), bytes.NewReader(sample()), y.Dest, roomy)
	must(t, err)
	for path, want := range map[string]os.FileMode{"d": os.ModeDir | 0o755, "d/small": 0o644, "large": 0o644} {
		if info, err := y.Dest.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
		}
	}
}
