package agent_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"koboshi/agent/config"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/tree"
)

// publishListed publishes a version whose chunks are in a list, promotes it, and
// returns the list's key.
func (w *world) publishListed(version string, spoil func(list []byte) []byte) string {
	w.t.Helper()
	w.publish(version)
	key := w.artifact(version)
	data := w.contents[key]
	sum := artifacts.Sum(data)
	a, list, err := artifacts.Artifact{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Format: artifacts.File, Key: key, SHA256: sum, Size: int64(len(data)), UnpackedBytes: int64(len(data)), Entries: 1,
		Chunks: []artifacts.Chunk{{Size: int64(len(data)), SHA256: sum}},
	}.Listed("web", version)
	if err != nil {
		w.t.Fatal(err)
	}
	if list = spoil(list); list != nil {
		a.ChunkList.Size, a.ChunkList.SHA256 = int64(len(list)), artifacts.Sum(list)
		w.contents[a.ChunkList.Key] = list
	}
	w.manifests[version] = w.must(artifacts.Manifest{Schema: 1, App: "web", Version: version, Created: w.now, MinAgent: artifacts.ChunkListAgent,
		Artifacts: []artifacts.Artifact{a}}.Sign(w.key))
	w.promote(version, time.Time{})
	return a.ChunkList.Key
}

func asItIs(list []byte) []byte { return list }

// A chunk list costs one round trip of a launch, before the artifact is asked for.
func TestChunkListOfALaunch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.version = artifacts.ChunkListAgent
		w.publishListed("2", asItIs)
		w.latency = time.Second
		began, took := time.Now(), time.Duration(0)
		w.onFetch = func() { took = time.Since(began) }
		if rep, err := w.boot(); err != nil || w.running != "2" || rep.Verdict != report.Fresh {
			t.Fatalf("%v, %s runs", err, w.running)
		}
		if took != 5*w.latency {
			t.Errorf("%s until the artifact was asked for, want 5 round trips of %s", took, w.latency)
		}
	})
}

// A chunk list that is missing, altered or none ends a launch as the same fault of a
// manifest or an artifact does; the agent of before is too old for it.
func TestChunkListsThatAreWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		version string
		spoil   func([]byte) []byte
		alter   bool
		want    error
	}{
		"missing":           {artifacts.ChunkListAgent, func([]byte) []byte { return nil }, false, bucket.ErrNotFound},
		"altered":           {artifacts.ChunkListAgent, asItIs, true, artifacts.ErrIntegrity},
		"no list":           {artifacts.ChunkListAgent, func([]byte) []byte { return []byte("{}") }, false, artifacts.ErrUntrusted},
		"of other bytes":    {artifacts.ChunkListAgent, func(list []byte) []byte { return append(list[:len(list)-1], append([]byte(","), list[1:]...)...) }, false, artifacts.ErrUntrusted},
		"for a newer agent": {"0.1.0", asItIs, false, artifacts.ErrTooOld},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.version = tt.version
			key := w.publishListed("2", tt.spoil)
			if tt.alter {
				w.contents[key] = append([]byte(" "), w.contents[key][1:]...)
			}
			_, err := w.boot()
			if !errors.Is(err, tt.want) || w.running != "" || w.fetches > 0 {
				t.Errorf("%v, want %v; %s runs after %d downloads", err, tt.want, w.running, w.fetches)
			}
		})
	}
}

// publishFramed publishes a version as publish makes one, a large file before the app, in
// small frames that a chunk list has. It returns the artifact, and the app's bytes.
func (w *world) publishFramed(version string) (artifacts.Artifact, string) {
	w.t.Helper()
	noise := make([]byte, 20_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	app := "#!/bin/sh\necho " + version + "\n"
	var plain, index bytes.Buffer
	var entries []tree.Entry
	archive := tar.NewWriter(&plain)
	for _, file := range []struct{ path, text string }{{"noise", string(noise)}, {"web", app}} {
		err := archive.WriteHeader(&tar.Header{Name: file.path, Mode: 0o755, Size: int64(len(file.text))})
		entries = append(entries, tree.Entry{Path: file.path, Type: tree.TypeFile, Mode: 0o755, Size: int64(len(file.text)),
			SHA256: artifacts.Sum([]byte(file.text)).String(), Offset: int64(plain.Len())})
		_, writeErr := archive.Write([]byte(file.text))
		if err := errors.Join(err, writeErr, archive.Flush()); err != nil {
			w.t.Fatal(err)
		}
	}
	encoder, err := zstd.NewWriter(nil)
	if err := errors.Join(err, archive.Close(), tree.WriteIndex(&index, entries)); err != nil {
		w.t.Fatal(err)
	}
	var data []byte
	var chunks []artifacts.Chunk
	for part := range slices.Chunk(plain.Bytes(), 1000) {
		frame := encoder.EncodeAll(part, nil)
		data = append(data, frame...)
		chunks = append(chunks, artifacts.Chunk{Size: int64(len(frame)), SHA256: artifacts.Sum(frame), Plain: int64(len(part))})
	}
	sum := artifacts.Sum(data)
	key := artifacts.ArtifactKey("web", version, runtime.GOOS, runtime.GOARCH, sum, artifacts.TarZst)
	blob := artifacts.Blob{Key: artifacts.IndexKey("web", version, runtime.GOOS, runtime.GOARCH, sum), Size: int64(index.Len()), SHA256: artifacts.Sum(index.Bytes())}
	a, list, err := artifacts.Artifact{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Format: artifacts.TarZst, Key: key, SHA256: sum, Size: int64(len(data)), UnpackedBytes: 1 << 20, Entries: 2,
		Chunks: chunks, Index: &blob,
	}.Listed("web", version)
	if err != nil {
		w.t.Fatal(err)
	}
	w.contents[key], w.contents[blob.Key], w.contents[a.ChunkList.Key] = data, index.Bytes(), list
	w.manifests[version] = w.must(artifacts.Manifest{Schema: 1, App: "web", Version: version, Created: w.now, MinAgent: artifacts.ChunkListAgent,
		Artifacts: []artifacts.Artifact{a}}.Sign(w.key))
	w.promote(version, time.Time{})
	return a, app
}

// A tree that was altered is repaired by the chunk list of its release: only the chunks
// of what was altered are fetched. Without the list all of it is.
func TestChunkListOfARepair(t *testing.T) {
	for name, lost := range map[string]bool{"with the list": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.version = artifacts.ChunkListAgent
			a, app := w.publishFramed("3")
			if _, err := w.sync(); err != nil {
				t.Fatal(err)
			}
			if lost {
				delete(w.contents, a.ChunkList.Key)
			}
			w.rebooted(config.VerifyStart)
			w.asked = nil
			rep, err := w.boot()
			i := slices.IndexFunc(rep.Steps, func(s report.Step) bool { return s.Name == "repair" })
			if lost {
				if w.running == "3" || i >= 0 {
					t.Errorf("%v, %s runs, step %d is the repair", err, w.running, i)
				}
				return
			}
			if err != nil || w.running != "3" || w.app(t) != app || i < 0 {
				t.Fatalf("%v, %s runs, step %d is the repair", err, w.running, i)
			}
			if got := rep.Steps[i].Bytes; got == 0 || got > a.Size/10 || !slices.Equal(w.asked, []string{a.Key}) {
				t.Errorf("%d bytes of %d were fetched, of %q", got, a.Size, w.asked)
			}
		})
	}
}

// An image is fetched by its chunk list, too.
func TestChunkListOfAnImage(t *testing.T) {
	w := withImages(t)
	w.version = artifacts.ChunkListAgent
	verified, err := w.trust().Manifest(w.manifests["2"], artifacts.Reference{App: "web", Version: "2"})
	if err != nil {
		t.Fatal(err)
	}
	m := verified.Manifest()
	m.MinAgent = artifacts.ChunkListAgent
	for i, a := range m.Artifacts {
		listed, list, err := a.Listed("web", "2")
		if err != nil {
			t.Fatal(err)
		}
		if list != nil {
			w.contents[listed.ChunkList.Key], m.Artifacts[i] = list, listed
		}
	}
	if !m.Artifacts[1].WantsChunks() {
		t.Fatalf("%+v", m.Artifacts[1])
	}
	w.manifests["2"] = w.must(m.Sign(w.key))
	w.promote("2", time.Time{})
	rep, err := w.boot()
	w.wantRun(t, err, rep, "2", "image", "")
}
