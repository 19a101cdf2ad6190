package publish

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"koboshi/artifacts"
)

// limited is the key where it signs at most so many bytes: a stand-in for one that is
// kept elsewhere. Its signatures come from key itself.
func limited(t *testing.T, key artifacts.PrivateKey, most int) artifacts.PrivateKey {
	t.Helper()
	text, err := key.MarshalPEM()
	must(t, err)
	block, _ := pem.Decode(text)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	return artifacts.Remote{Public: key.Public(), Most: most, Sign: func(message []byte) ([]byte, error) {
		if len(message) > most {
			t.Errorf("asked to sign %d bytes", len(message))
		}
		return ed25519.Sign(private.(ed25519.PrivateKey), message), nil //nolint:forcetypeassert // a panic fails the test
	}}.Key()
}

// many is an artifact of one file whose chunks are many.
func (w *world) many(text string, chunks int) *Packed {
	w.Helper()
	p := w.executable(strings.Repeat(text, 100*chunks))
	p.artifact.Chunks = nil
	left := p.artifact.Size
	for i := range chunks {
		size := left / int64(chunks-i)
		data := make([]byte, size)
		if _, err := p.file.ReadAt(data, p.artifact.Size-left); err != nil {
			w.Fatal(err)
		}
		p.artifact.Chunks = append(p.artifact.Chunks, artifacts.Chunk{Size: size, SHA256: artifacts.Sum(data)})
		left -= size
	}
	return p
}

const kms = 4096 // bytes that KMS signs

// A release that is too long for a key gets chunk lists by itself, and is the same
// release as one that has its chunks in the manifest.
func TestChunkLists(t *testing.T) {
	w := newWorld(t)
	packed := w.many("one", 60)
	d := w.draft("1.0", packed)
	d.Keys = []artifacts.PrivateKey{limited(t, w.key, kms)}
	released, err := Release(t.Context(), w.bucket, d)
	must(t, err)
	m := released.Manifest
	if a := m.Artifacts[0]; !a.WantsChunks() || m.MinAgent != artifacts.ChunkListAgent {
		t.Fatalf("%+v", m)
	}
	list := w.bucket.Bytes(m.Artifacts[0].ChunkList.Key)
	full, err := m.Artifacts[0].WithChunks(list)
	must(t, err)
	if len(full.Chunks) != 60 {
		t.Errorf("%d chunks", len(full.Chunks))
	}
	w.promote("1.0")

	for name, again := range map[string]Draft{"with a key that takes all": w.draft("1.0", packed), "in the same way": d} {
		if released, err := Release(t.Context(), w.bucket, again); err != nil || !released.Already || !released.Manifest.Artifacts[0].WantsChunks() {
			t.Errorf("published again %s: %+v, %v", name, released, err)
		}
	}
	_, err = Release(t.Context(), w.bucket, Draft{App: "web", Version: "1.0", Created: noon, Packed: []*Packed{packed}, Keys: d.Keys, MinAgent: "0.3.0"})
	wantIs(t, err, ErrConflict)

	w.bucket.Drop(m.Artifacts[0].ChunkList.Key)
	if _, err := Promote(t.Context(), w.bucket, w.promotion("1.0")); err == nil || !strings.Contains(err.Error(), m.Artifacts[0].ChunkList.Key) {
		t.Errorf("promoted without its chunk list: %v", err)
	}
}

// What no key can sign stores nothing.
func TestTooLongToSign(t *testing.T) {
	w := newWorld(t)
	d := w.draft("1.0", w.many("one", 3))
	for i := range 40 {
		d.Hooks.PreStart = append(d.Hooks.PreStart, fmt.Sprintf("server%0100d", i))
	}
	d.Hooks.PreStart[0] = "web"
	d.Keys = []artifacts.PrivateKey{w.key, limited(t, w.key, kms)}
	_, err := Release(t.Context(), w.bucket, d)
	wantIs(t, err, artifacts.ErrTooLong)
	for object, err := range w.bucket.List(t.Context(), "") {
		t.Errorf("%s was stored (%v)", object.Key, err)
	}
}

// A delta starts from a release with a chunk list, too.
func TestDeltaFromAChunkList(t *testing.T) {
	w := newWorld(t)
	d := w.draft("1.0", w.tree("linux/amd64", "one"))
	d.ChunkLists = true
	_, err := Release(t.Context(), w.bucket, d)
	must(t, err)
	packed := w.tree("linux/amd64", "two")
	made, err := AddDeltas(t.Context(), w.base("1.0"), []*Packed{packed}, Options{})
	must(t, err)
	if len(made) != 1 || made[0].Left != "" {
		t.Errorf("%+v", made)
	}
}
