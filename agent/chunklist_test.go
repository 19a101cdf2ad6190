package agent_test

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
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

// A tree that was altered is repaired from a release with a chunk list, too.
func TestChunkListOfARepair(t *testing.T) {
	w := newWorld(t)
	w.version = artifacts.ChunkListAgent
	w.publishListed("1", asItIs)
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	w.alter("1")
	w.rebooted(config.VerifyStart)
	if _, err := w.boot(); err != nil || w.running != "1" {
		t.Errorf("%v, %s runs", err, w.running)
	}
	w.checkStarted(t, "1")
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
