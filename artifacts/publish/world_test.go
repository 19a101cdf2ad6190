package publish

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket/buckettest"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world is a bucket in memory, a publisher's key, and something to publish.
type world struct {
	*testing.T
	bucket *buckettest.Memory
	key    artifacts.PrivateKey
}

func newWorld(t *testing.T) *world {
	return &world{T: t, bucket: buckettest.NewMemory(), key: newKey(t)}
}

func newKey(t *testing.T) artifacts.PrivateKey {
	t.Helper()
	key, err := artifacts.GenerateKey()
	must(t, err)
	return key
}

// tree packs a directory with one file of the given text, and a big one.
func (w *world) tree(platform, text string) *Packed {
	w.Helper()
	top := w.TempDir()
	must(w.T, os.WriteFile(filepath.Join(top, "file"), []byte(text), 0o644))
	must(w.T, os.WriteFile(filepath.Join(top, "big"), noise(64<<10), 0o644))
	return w.pack(platform, top)
}

// executable packs one file: that is quicker.
func (w *world) executable(text string) *Packed {
	w.Helper()
	path := filepath.Join(w.TempDir(), "server")
	must(w.T, os.WriteFile(path, []byte(text), 0o755))
	return w.pack("linux/amd64", path)
}

func (w *world) pack(platform, path string) *Packed {
	w.Helper()
	p, err := Pack(w.Context(), platform, path, Options{})
	must(w.T, err)
	w.Cleanup(func() { must(w.T, p.Close()) })
	return p
}

func (w *world) draft(version string, packed ...*Packed) Draft {
	return Draft{App: "web", Version: version, Created: noon, Packed: packed, Keys: []artifacts.PrivateKey{w.key}}
}

// release publishes a version with an artifact of its own.
func (w *world) release(version string) Released {
	w.Helper()
	released, err := Release(w.Context(), w.bucket, w.draft(version, w.executable(version)))
	must(w.T, err)
	return released
}

func (w *world) promotion(version string) Promotion {
	return Promotion{App: "web", Channel: "stable", Version: version, Keys: []artifacts.PrivateKey{w.key}, Now: noon}
}

func (w *world) promote(version string) Promoted {
	w.Helper()
	promoted, err := Promote(w.Context(), w.bucket, w.promotion(version))
	must(w.T, err)
	return promoted
}

// trust is the trust of an instance with this key.
func (w *world) trust(keys ...artifacts.PrivateKey) artifacts.Trust {
	w.Helper()
	trust, err := trustIn(append(keys, w.key))
	must(w.T, err)
	return trust
}

// stored is the channel's pointer, and its release, as an instance sees them.
func (w *world) stored() (artifacts.Pointer, artifacts.Manifest) {
	w.Helper()
	pointer, err := w.trust().Pointer(w.bucket.Bytes(artifacts.PointerKey("stable")), "web", "stable")
	must(w.T, err)
	manifest, err := w.trust().Manifest(w.bucket.Bytes(artifacts.ManifestKey(pointer.Pointer().Version)), pointer.Choose(""))
	must(w.T, err)
	return pointer.Pointer(), manifest.Manifest()
}

// complete holds every object of a manifest against its hash.
func (w *world) complete(m artifacts.Manifest) {
	w.Helper()
	for _, a := range m.Artifacts {
		must(w.T, artifacts.CheckSum(a.Key, w.bucket.Bytes(a.Key), a.Size, a.SHA256))
		if a.Index != nil {
			must(w.T, artifacts.CheckSum(a.Index.Key, w.bucket.Bytes(a.Index.Key), a.Index.Size, a.Index.SHA256))
		}
	}
}

func TestDocumentsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.bucket.Replace("ten", noise(10))
	if d, err := readDocument(t.Context(), w.bucket, "ten", 10); err != nil || len(d.data) != 10 || d.etag == "" {
		t.Errorf("ten of ten bytes: got %d and %v", len(d.data), err)
	}
	_, err := readDocument(t.Context(), w.bucket, "ten", 9)
	wantIs(t, err, artifacts.ErrUntrusted)
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func flip(data []byte) []byte {
	data = bytes.Clone(data)
	data[len(data)/2] ^= 1
	return data
}

// Pack reads what is at path and makes the artifact for platform of it.
func Pack(ctx context.Context, platform, path string, opt Options) (p *Packed, err error) {
	in, err := Read(ctx, path, opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return in.Pack(ctx, platform)
}

// manifestOf is the manifest of a draft.
func manifestOf(d Draft) artifacts.Manifest {
	m, err := d.manifest()
	if err != nil {
		panic(err)
	}
	return m
}
