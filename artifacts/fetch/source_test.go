package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/fetch"
)

// originOf is the app web's.
func originOf(trust artifacts.Trust, sources ...bucket.Reader) *fetch.Origin {
	return fetch.New("web", trust, "seed", sources...)
}

// memory is a source that misbehaves on request.
type memory struct {
	mu       sync.Mutex
	objects  map[string][]byte
	requests []request

	fail func(request) error             // the answer, in place of the object
	body func(request, []byte) io.Reader // what becomes of a body; nil = it comes whole
	lie  func(*bucket.Object)            // alters the head of an answer
	deaf bool                            // ETags of ranges are ignored
}

type request struct {
	n   int // from 0, over all keys
	key string
	bucket.Range
	ctx context.Context
}

func newMemory() *memory { return &memory{objects: map[string][]byte{}} }

func (m *memory) put(key string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = data
}

func (m *memory) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	m.mu.Lock()
	req := request{len(m.requests), key, r, ctx}
	m.requests = append(m.requests, req)
	data, ok := m.objects[key]
	m.mu.Unlock()
	object := bucket.Object{Key: key, Size: int64(len(data)), ETag: artifacts.Sum(data).Short()}
	if m.fail != nil {
		if err := m.fail(req); err != nil {
			return nil, bucket.Object{}, err
		}
	}
	switch {
	case !ok:
		return nil, bucket.Object{}, bucket.ErrNotFound
	case r.ETag != "" && r.ETag != object.ETag && !m.deaf:
		return nil, bucket.Object{}, bucket.ErrChanged
	case r.Unless != "" && r.Unless == object.ETag:
		return nil, bucket.Object{}, bucket.ErrUnchanged
	}
	if m.lie != nil {
		m.lie(&object)
	}
	data = data[r.Offset:]
	if r.Length > 0 {
		data = data[:min(r.Length, int64(len(data)))]
	}
	if m.body == nil {
		return io.NopCloser(bytes.NewReader(data)), object, nil
	}
	return io.NopCloser(m.body(req, data)), object, nil
}

func (m *memory) log() []request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

// asked is the bytes that all requests together asked for.
func (m *memory) asked() (n int64) {
	for _, r := range m.log() {
		n += r.Length
	}
	return n
}

var errReset = errors.New("connection reset by peer")

// cut breaks a body off after n bytes.
func cut(data []byte, n int) io.Reader {
	return io.MultiReader(bytes.NewReader(data[:min(n, len(data))]), errorReader{errReset})
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// trickle delivers one byte a second for as long as its context lasts.
type trickle struct {
	ctx  context.Context
	data []byte
}

func (t *trickle) Read(p []byte) (int, error) {
	if len(t.data) == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(time.Second):
		n := copy(p[:1], t.data)
		t.data = t.data[n:]
		return n, nil
	case <-t.ctx.Done():
		return 0, t.ctx.Err()
	}
}

func noise(seed uint64, n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = r.Read(data)
	return data
}

const key = "releases/1/web-linux-amd64-0"

// artifactOf describes data in chunks of the given size; 0 = none.
func artifactOf(data []byte, chunk int) artifacts.Artifact {
	a := artifacts.Artifact{Key: key, Format: artifacts.TarGz, Size: int64(len(data)), SHA256: artifacts.Sum(data)}
	for rest := data; chunk > 0 && len(rest) > 0; {
		c := rest[:min(chunk, len(rest))]
		rest = rest[len(c):]
		a.Chunks = append(a.Chunks, artifacts.Chunk{Size: int64(len(c)), SHA256: artifacts.Sum(c)})
	}
	return a
}

// drain reads a download to its end and returns what came out before.
func drain(ctx context.Context, d *fetch.Download) ([]byte, error) {
	var out []byte
	for {
		f, err := d.Next(ctx)
		if err != nil {
			return out, err
		}
		out = append(out, f.Data...)
		f.Release()
	}
}

// small has few slots of one page less than two chunks.
var small = fetch.Options{Workers: 4, SlotBytes: 64 << 10}

// download reads a whole artifact and checks what is required in any case: only
// a prefix of the true bytes ever comes out of a chunked artifact. In a
// synctest bubble a goroutine that stays behind fails the test.
func download(t *testing.T, src bucket.Reader, a artifacts.Artifact, want []byte, o fetch.Options, mirrors ...bucket.Reader) ([]byte, error) {
	t.Helper()
	d := originOf(artifacts.Trust{}, append([]bucket.Reader{src}, mirrors...)...).Open(t.Context(), a, o)
	got, err := drain(t.Context(), d)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if e := d.Close(); e != nil {
		t.Errorf("close: %v", e)
	}
	if len(a.Chunks) > 0 && !bytes.HasPrefix(want, got) {
		t.Errorf("unverified bytes came out: %d bytes that are no prefix of the artifact", len(got))
	}
	if err == nil && !bytes.Equal(got, want) {
		t.Errorf("end of file after %d bytes of %d", len(got), len(want))
	}
	return got, err
}

func (r request) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %d+%d %s", r.key, r.Offset, r.Length, r.ETag))
}
