package prune

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/retire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a bucket in memory, with releases made by hand.
type world struct {
	*testing.T
	bucket *buckettest.Memory
	key    artifacts.PrivateKey
}

func newWorld(t *testing.T) *world {
	key, err := artifacts.GenerateKey()
	must(t, err)
	return &world{T: t, bucket: buckettest.NewMemory(), key: key}
}

// release stores a release that was made so long ago, with a delta from each base.
func (w *world) release(version string, age time.Duration, bases ...string) artifacts.Manifest {
	w.Helper()
	data := []byte("bytes of " + version)
	sum := artifacts.Sum(data)
	a := artifacts.Artifact{OS: "linux", Arch: "amd64", Format: artifacts.File, Size: int64(len(data)), SHA256: sum, UnpackedBytes: 100, Entries: 1,
		Key: artifacts.ArtifactKey("web", version, "linux", "amd64", sum, artifacts.File)}
	a.Index = &artifacts.Blob{Key: artifacts.IndexKey("web", version, "linux", "amd64", sum), Size: a.Size, SHA256: sum}
	for _, base := range bases {
		a.Deltas = append(a.Deltas, artifacts.Delta{Base: base, Key: artifacts.DeltaKey("web", version, "linux", "amd64", base, sum), Size: a.Size, SHA256: sum})
	}
	for _, blob := range a.Blobs() {
		w.bucket.Replace(blob.Key, data)
	}
	m := artifacts.Manifest{Schema: artifacts.Schema, App: "web", Version: version, Created: time.Now().Add(-age).UTC().Truncate(time.Second), Artifacts: []artifacts.Artifact{a}}
	envelope, err := m.Sign(w.key)
	must(w.T, err)
	w.bucket.Replace(artifacts.ManifestKey(version), envelope)
	return m
}

func (w *world) promotion(channel, version string) publish.Promotion {
	return publish.Promotion{App: "web", Channel: channel, Version: version, Keys: []artifacts.PrivateKey{w.key}, Now: time.Now()}
}

func (w *world) promote(channel, version string) {
	w.Helper()
	_, err := publish.Promote(w.Context(), w.bucket, w.promotion(channel, version))
	must(w.T, err)
}

// rules keep nothing but what is named.
func rules() Options { return Options{App: "web", Grace: 24 * time.Hour, By: "test"} }

// prune looks and does.
func (w *world) prune(b bucket.Bucket, o Options) (*Plan, error) {
	p, err := Look(w.Context(), b, o)
	if err == nil {
		err = p.Do(w.Context())
	}
	return p, err
}

func (w *world) mustPrune(o Options) *Plan {
	w.Helper()
	p, err := w.prune(w.bucket, o)
	must(w.T, err)
	return p
}

// actions are what a plan does, as VERSION=ACTION.
func actions(p *Plan) string {
	var all []string
	for _, r := range p.Releases {
		all = append(all, r.Version+"="+string(r.Action))
	}
	return strings.Join(all, " ")
}

func (w *world) state(version string) retire.State {
	w.Helper()
	found, err := retire.Read(context.Background(), w.bucket, "web", version)
	must(w.T, err)
	return found.State
}

// broken is what is wrong with what an instance would see, "" if nothing is.
func (w *world) broken() string {
	w.Helper()
	all, err := publish.Pointers(context.Background(), w.bucket, "web", artifacts.Trust{})
	must(w.T, err)
	for _, c := range all {
		if c.Err != nil {
			return c.Name + ": " + c.Err.Error()
		}
		data := w.bucket.Bytes(artifacts.ManifestKey(c.Document.Version))
		if artifacts.Sum(data) != c.Document.ManifestSHA256 {
			return c.Name + " points to " + c.Document.Version + ", whose manifest is gone or another one"
		}
		m, err := publish.ReadManifest(context.Background(), w.bucket, "web", c.Document.Version)
		must(w.T, errors.Join(err, m.Err))
		for _, blob := range blobs(m.Document) {
			if err := artifacts.CheckSum(blob.Key, w.bucket.Bytes(blob.Key), blob.Size, blob.SHA256); err != nil {
				return c.Name + " points to " + c.Document.Version + ": " + err.Error()
			}
		}
	}
	for object, err := range w.bucket.List(context.Background(), "releases/") {
		must(w.T, err)
		version, name, _ := split(object.Key)
		if name == "manifest.json" && w.state(version) == retire.Gone {
			return version + " is gone and has a manifest"
		}
	}
	return ""
}

func (w *world) keys() (all []string) {
	for object, err := range w.bucket.List(context.Background(), "") {
		must(w.T, err)
		all = append(all, object.Key)
	}
	return all
}

// packed is an artifact for a publish.
func packed(t *testing.T, text string) *publish.Packed {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server")
	must(t, os.WriteFile(path, []byte(text), 0o755))
	in, err := publish.Read(t.Context(), path, publish.Options{})
	must(t, err)
	p, err := in.Pack(t.Context(), "linux/amd64")
	must(t, errors.Join(err, in.Close()))
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

var errDead = errors.New("the process has died")

// stopping is a bucket whose calls wait from one of them on, until the process that makes
// them is let go, or killed.
type stopping struct {
	bucket.Bucket
	at int // 0 = never

	mu             sync.Mutex
	n              int
	reached, leave chan struct{}
	dead           bool
}

func stopAt(b bucket.Bucket, at int) *stopping {
	return &stopping{Bucket: b, at: at, reached: make(chan struct{}), leave: make(chan struct{})}
}

func (s *stopping) call() error {
	s.mu.Lock()
	s.n++
	n := s.n
	if n == s.at {
		close(s.reached)
	}
	s.mu.Unlock()
	if s.at == 0 || n < s.at {
		return nil
	}
	<-s.leave
	if s.dead {
		return errDead
	}
	return nil
}

func (s *stopping) letGo(dead bool) {
	s.dead = dead
	close(s.leave)
}

func (s *stopping) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	if err := s.call(); err != nil {
		return nil, bucket.Object{}, err
	}
	return s.Bucket.Get(ctx, key, r)
}

func (s *stopping) Put(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (bucket.Object, error) {
	if err := s.call(); err != nil {
		return bucket.Object{}, err
	}
	return s.Bucket.Put(ctx, key, body, size, when)
}

func (s *stopping) Delete(ctx context.Context, key string) error {
	if err := s.call(); err != nil {
		return err
	}
	return s.Bucket.Delete(ctx, key)
}

func (s *stopping) List(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		if err := s.call(); err != nil {
			yield(bucket.Object{}, err)
			return
		}
		s.Bucket.List(ctx, prefix)(yield)
	}
}

// process runs beside others until one of its calls.
type process struct {
	*stopping
	done chan error
}

// start runs do until its call at, or its end.
func start(b bucket.Bucket, at int, do func(bucket.Bucket) error) process {
	p := process{stopAt(b, at), make(chan error, 1)}
	go func() { p.done <- do(p.stopping) }()
	select {
	case <-p.reached:
	case err := <-p.done:
		p.done <- err
	}
	return p
}

// end lets it go, and waits.
func (p process) end(dead bool) error {
	p.letGo(dead)
	return <-p.done
}

// calls is how many calls do makes.
func calls(b bucket.Bucket, do func(bucket.Bucket) error) int {
	p := start(b, 0, do)
	_ = p.end(false) // whether it succeeds depends on the others
	return p.n
}
