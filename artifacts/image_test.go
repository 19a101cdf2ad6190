package artifacts_test

import (
	"errors"
	"strings"
	"testing"

	"koboshi/artifacts"
)

// withImages is a manifest with a tree and two images for one platform.
func withImages() artifacts.Manifest {
	m := manifest()
	m.MinAgent = "0.1.0"
	for i, format := range []artifacts.Format{artifacts.Squashfs, artifacts.Erofs} {
		sum := artifacts.Sum([]byte{byte(i)})
		a := artifacts.Artifact{OS: "linux", Arch: "amd64", Format: format, Size: artifacts.ChunkBytes + 7, SHA256: sum, UnpackedBytes: 100, Entries: 3,
			Key:    artifacts.ArtifactKey("web", "1.4.2", "linux", "amd64", sum, format),
			Chunks: []artifacts.Chunk{{Size: artifacts.ChunkBytes, SHA256: sum}, {Size: 7, SHA256: sum}},
			Image:  &artifacts.Image{Size: artifacts.ChunkBytes + 7, Pieces: sum}}
		m.Artifacts = append(m.Artifacts, a)
	}
	return m
}

func TestImages(t *testing.T) {
	m := withImages()
	key := newKey(t)
	envelope, err := m.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := trusting(t, 1, key).Manifest(envelope, artifacts.Reference{App: "web", Version: "1.4.2"})
	if err != nil {
		t.Fatal(err)
	}
	m = v.Manifest()
	images := m.Images("linux", "amd64")
	if len(images) != 2 || images[0].Format != artifacts.Squashfs || len(m.Images("linux", "arm64")) != 0 {
		t.Errorf("%+v", images)
	}
	if a, err := m.Artifact("linux", "amd64"); err != nil || a.Format != artifacts.TarZst {
		t.Errorf("%+v, %v", a, err)
	}
	if a, found := m.Same(images[1]); !found || a.Format != artifacts.Erofs {
		t.Errorf("%+v, %v", a, found)
	}
	if _, found := m.Same(artifacts.Artifact{OS: "linux", Arch: "arm64", SHA256: images[1].SHA256}); found {
		t.Error("an image of another platform")
	}
	m.Artifacts = m.Artifacts[1:]
	if _, err := m.Artifact("linux", "amd64"); !errors.Is(err, artifacts.ErrNoPlatform) || !strings.Contains(err.Error(), "only images") {
		t.Errorf("%v", err)
	}
}

func TestImagesRefused(t *testing.T) {
	for want, spoil := range map[string]func(m *artifacts.Manifest, a *artifacts.Artifact){
		"min_agent":           func(m *artifacts.Manifest, _ *artifacts.Artifact) { m.MinAgent = "" },
		"two artifacts":       func(m *artifacts.Manifest, a *artifacts.Artifact) { *a = m.Artifacts[1] },
		"size of 1":           func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Image.Size = 0 },
		"hash of its pieces":  func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Image.Pieces = artifacts.Digest{} },
		"chunk 1 has 8":       func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Chunks[1].Size++; a.Size++; a.Image.Size += 2 },
		"chunk 1 has 7":       func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Image.Size-- },
		"chunk 0 has 4194303": func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Chunks[0].Size--; a.Size-- },
		"deltas":              func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Deltas = []artifacts.Delta{{}} },
		"more than its":       func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Chunks = nil },
	} {
		m := withImages()
		spoil(&m, &m.Artifacts[2])
		if _, err := m.Sign(newKey(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
