package artifacts_test

import (
	"errors"
	"strings"
	"testing"

	"koboshi/artifacts"
)

// withList is a manifest whose first artifact has its chunks in a list.
func withList(t testing.TB) (artifacts.Manifest, []byte) {
	t.Helper()
	m := manifest()
	m.MinAgent = artifacts.ChunkListAgent
	a, list, err := m.Artifacts[0].Listed(m.App, m.Version)
	if err != nil || a.ChunkList == nil || len(a.Chunks) > 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	m.Artifacts[0] = a
	return m, list
}

func TestChunkList(t *testing.T) {
	m, list := withList(t)
	key := newKey(t)
	envelope := must(m.Sign(key))
	v, err := trusting(t, 1, key).Manifest(envelope, artifacts.Reference{App: m.App, Version: m.Version})
	if err != nil {
		t.Fatal(err)
	}
	a := v.Manifest().Artifacts[0]
	if !a.WantsChunks() || a.Framed() {
		t.Errorf("%+v", a)
	}
	full, err := a.WithChunks(list)
	if err != nil || full.WantsChunks() || len(full.Chunks) != len(manifest().Artifacts[0].Chunks) || full.Chunks[0] != manifest().Artifacts[0].Chunks[0] {
		t.Errorf("%+v, %v", full, err)
	}
	if _, err := full.WithChunks(list); err == nil {
		t.Error("chunks were taken twice")
	}
	if got, want := a.LaunchBytes(), a.Size+a.Index.Size+int64(len(list)); got != want {
		t.Errorf("a launch fetches %d bytes, want %d", got, want)
	}
	if n := len(a.Blobs()); n != 3+len(a.Deltas) {
		t.Errorf("%d objects", n)
	}
	if got, list, err := (artifacts.Artifact{}).Listed("web", "1"); got.ChunkList != nil || list != nil || err != nil {
		t.Errorf("an artifact without chunks: %+v, %v", got, err)
	}
}

// An agent of the version before does not take the member that it does not know for a
// forgery: min_agent is read first.
func TestChunkListIsForNewerAgents(t *testing.T) {
	m, _ := withList(t)
	key := newKey(t)
	old, err := artifacts.NewTrust("0.1.0", 1, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	_, err = old.Manifest(must(m.Sign(key)), artifacts.Reference{App: m.App, Version: m.Version})
	if !errors.Is(err, artifacts.ErrTooOld) {
		t.Errorf("%v", err)
	}
	m.MinAgent = ""
	if _, err := m.Sign(key); err == nil || !strings.Contains(err.Error(), "a chunk list for linux/amd64 without a min_agent") {
		t.Errorf("%v", err)
	}
}

func TestChunkListsRefused(t *testing.T) {
	for want, spoil := range map[string]func(a *artifacts.Artifact){
		"want one of them":                    func(a *artifacts.Artifact) { a.Chunks = manifest().Artifacts[0].Chunks },
		"chunk_list: key":                     func(a *artifacts.Artifact) { a.ChunkList.Key = "releases/other/x" },
		"chunk_list: size 4194305, want 1 to": func(a *artifacts.Artifact) { a.ChunkList.Size = artifacts.MaxChunkListBytes + 1 },
		"chunk_list: sha256 is missing":       func(a *artifacts.Artifact) { a.ChunkList.SHA256 = artifacts.Digest{} },
	} {
		m, _ := withList(t)
		spoil(&m.Artifacts[0])
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	m, list := withList(t)
	if _, err := m.Artifacts[0].WithChunks(append(list, ' ')); !errors.Is(err, artifacts.ErrIntegrity) {
		t.Errorf("other bytes: %v", err)
	}
	for text, want := range map[string]string{
		"":                 "",
		"[]":               "no chunks",
		"null":             "no chunks",
		"{}":               "",
		string(list) + "x": "",
		strings.Replace(string(list), `"size"`, `"Size"`, 1):                "unknown",
		strings.Replace(string(list), `{`, `{"size":1,`, 1):                 "duplicate",
		strings.Replace(string(list), `{`, `{"more":1,`, 1):                 "unknown",
		`[{"size":1,"sha256":"` + artifacts.Sum(nil).String() + `"}]`:       "chunks are 1 bytes together",
		`[{"size":9000000,"sha256":"` + artifacts.Sum(nil).String() + `"}]`: "want a size of 1 to",
	} {
		a := m.Artifacts[0]
		a.ChunkList = &artifacts.Blob{Key: a.ChunkList.Key, Size: int64(len(text)), SHA256: artifacts.Sum([]byte(text))}
		if _, err := a.WithChunks([]byte(text)); !errors.Is(err, artifacts.ErrUntrusted) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
	images := withImages()
	a := images.Artifacts[len(images.Artifacts)-1]
	a.Chunks[0].Size, a.Chunks[1].Size = a.Chunks[1].Size, a.Chunks[0].Size // no longer the pieces of the image
	listed, list, err := a.Listed("web", "1.4.2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listed.WithChunks(list); !errors.Is(err, artifacts.ErrUntrusted) || !strings.Contains(err.Error(), "image: chunk 0") {
		t.Errorf("%v", err)
	}
}

// What is read of a chunk list covers the artifact, whatever was signed.
func FuzzChunkList(f *testing.F) {
	m, list := withList(f)
	f.Add(list)
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := m.Artifacts[0]
		a.ChunkList = &artifacts.Blob{Key: a.ChunkList.Key, Size: int64(len(data)), SHA256: artifacts.Sum(data)}
		full, err := a.WithChunks(data)
		var total int64
		for _, c := range full.Chunks {
			total += c.Size
		}
		if err == nil && total != a.Size || err != nil && len(full.Chunks) > 0 {
			t.Errorf("%q: %d bytes in chunks of %d, %v", data, total, a.Size, err)
		}
	})
}
