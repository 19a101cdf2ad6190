package dir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/durable"
)

func TestConforms(t *testing.T) {
	buckettest.Conformance(t, func(t *testing.T) bucket.Bucket { return New(t.TempDir(), "apps/web/") })
}

// A second Bucket shares nothing with the first but the directory, as another
// process would.
func TestWritersOfTwoProcesses(t *testing.T) {
	root := t.TempDir()
	buckettest.Races(t, &alternating{New(root, "web"), New(root, "web")})
}

type alternating struct {
	*Bucket
	other *Bucket
}

func (a *alternating) Put(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (bucket.Object, error) {
	data, err := io.ReadAll(io.NewSectionReader(body, 0, size))
	if err == nil && len(data)%2 == 0 {
		return a.other.Put(ctx, key, body, size, when)
	}
	return a.Bucket.Put(ctx, key, body, size, when)
}

func TestNothingLeadsOut(t *testing.T) {
	top := t.TempDir()
	root := filepath.Join(top, "bucket")
	must(t, os.Mkdir(root, 0o755))
	must(t, os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o600))
	must(t, os.Symlink("../secret", filepath.Join(root, "link")))
	must(t, os.Symlink("..", filepath.Join(root, "up")))
	b := New(root, "")
	for _, key := range []string{"link", "up/secret", "../secret", "/etc/passwd", "a/../../secret", "", ".", "a//b", "a/", lockName, durable.TempPrefix + "x"} {
		if _, _, err := b.Get(t.Context(), key, bucket.Range{}); err == nil {
			t.Errorf("get %q: want an error", key)
		}
		if _, err := b.Put(t.Context(), key, strings.NewReader("x"), 1, bucket.Condition{}); err == nil && key != "link" {
			t.Errorf("put %q: want an error", key)
		}
	}
	if got, err := os.ReadFile(filepath.Join(top, "secret")); err != nil || string(got) != "secret" {
		t.Errorf("outside the bucket: got %q and %v", got, err)
	}
}

func TestWhatIsNoObject(t *testing.T) {
	root := t.TempDir()
	must(t, os.Mkdir(filepath.Join(root, "directory"), 0o755))
	must(t, syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	for _, name := range []string{"file", durable.TempPrefix + "left by a crash", lockName} {
		must(t, os.WriteFile(filepath.Join(root, name), []byte("x"), 0o644))
	}
	b := New(root, "")
	for _, key := range []string{"directory", "fifo", "file/below"} {
		if _, _, err := b.Get(t.Context(), key, bucket.Range{}); !errors.Is(err, bucket.ErrNotFound) {
			t.Errorf("get %s: got %v, want %v", key, err, bucket.ErrNotFound)
		}
	}
	var listed []string
	for object, err := range b.List(t.Context(), "") {
		must(t, err)
		listed = append(listed, object.Key)
	}
	if strings.Join(listed, " ") != "file" {
		t.Errorf("listed %q, want the file alone", listed)
	}
}

// Writes within one tick of the kernel's clock, to one inode after the other: the
// kernel's own time of a file may lie a tick before the call.
func TestEveryWriteHasItsETag(t *testing.T) {
	b := New(t.TempDir(), "")
	seen := map[string]bool{}
	for range 200 {
		before := time.Now()
		object, err := b.Put(t.Context(), "k", strings.NewReader("same size"), 9, bucket.Condition{})
		must(t, err)
		if object.Modified.Before(before) {
			t.Fatalf("a write at %v is of %v", before, object.Modified)
		}
		if seen[object.ETag] {
			t.Fatalf("the ETag %s came twice", object.ETag)
		}
		seen[object.ETag] = true
	}
}

func TestRefusedWriteLeavesNothing(t *testing.T) {
	root := t.TempDir()
	b := New(root, "")
	_, err := b.Put(t.Context(), "k", strings.NewReader("x"), 1, bucket.Condition{Absent: true})
	must(t, err)
	if _, err := b.Put(t.Context(), "k", strings.NewReader("y"), 1, bucket.Condition{Absent: true}); !errors.Is(err, bucket.ErrExists) {
		t.Fatalf("got %v, want %v", err, bucket.ErrExists)
	}
	entries, err := os.ReadDir(root)
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("left behind %v, want the object and the lock", entries)
	}
}

func TestMissingDirectory(t *testing.T) {
	b := New(filepath.Join(t.TempDir(), "none"), "web")
	if _, err := b.Put(t.Context(), "k", strings.NewReader("x"), 1, bucket.Condition{}); !errors.Is(err, bucket.ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("put: got %v, want %v", err, bucket.ErrNotFound)
	}
	for _, err := range b.List(t.Context(), "") {
		if !errors.Is(err, bucket.ErrNotFound) {
			t.Errorf("list: got %v, want %v", err, bucket.ErrNotFound)
		}
	}
}

func TestEditInPlaceIsSeen(t *testing.T) {
	root := t.TempDir()
	b := New(root, "")
	object, err := b.Put(t.Context(), "k", strings.NewReader("0123456789"), 10, bucket.Condition{})
	must(t, err)
	body, _, err := b.Get(t.Context(), "k", bucket.Range{ETag: object.ETag})
	must(t, err)
	must(t, os.Truncate(filepath.Join(root, "k"), 4))
	if got, err := io.ReadAll(body); string(got) != "0123" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut under a reader: got %q and %v, want 4 bytes and an unexpected end", got, err)
	}
	must(t, body.Close())
	if _, _, err := b.Get(t.Context(), "k", bucket.Range{ETag: object.ETag}); !errors.Is(err, bucket.ErrChanged) {
		t.Errorf("after the edit: got %v, want %v", err, bucket.ErrChanged)
	}
}

func TestLockObeysContext(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	must(t, err)
	release, err := lock(t.Context(), root)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, root); !errors.Is(err, context.Canceled) {
		t.Errorf("while another holds it: got %v, want %v", err, context.Canceled)
	}
	release()
	again, err := lock(t.Context(), root)
	must(t, err)
	again()
}

func TestCancelledWriteLeavesNothing(t *testing.T) {
	path := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := New(path, "").Put(ctx, "k", cancelAtEnd{cancel}, 1, bucket.Condition{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	entries, err := os.ReadDir(path)
	must(t, err)
	if len(entries) != 0 {
		t.Errorf("left behind %v, want nothing", entries)
	}
}

// cancelAtEnd is one byte, and the end of the context once it was read.
type cancelAtEnd struct{ cancel func() }

func (c cancelAtEnd) ReadAt(p []byte, _ int64) (int, error) {
	p[0] = 'x'
	c.cancel()
	return 1, nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
