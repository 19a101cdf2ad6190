package agent_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/delta"
)

// bulky is a larger app that differs between versions in one line only.
func bulky(version string) []byte {
	data := make([]byte, 50_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // never fails
	return append(data, version...)
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// releaseFrom publishes a bulky version with deltas from others, and promotes
// it. It returns the keys of the artifact and of the deltas.
func (w *world) releaseFrom(version string, bases ...string) (key string, deltas []string) {
	w.t.Helper()
	data := bulky(version)
	a := artifacts.Artifact{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Format: artifacts.File, SHA256: artifacts.Sum(data), Size: int64(len(data)),
		UnpackedBytes: int64(len(data)), Entries: 1,
	}
	a.Key = artifacts.ArtifactKey("web", version, a.OS, a.Arch, a.SHA256, a.Format)
	for _, base := range bases {
		object := w.deltaFrom(bulky(base), data)
		d := artifacts.Delta{Base: base, Size: int64(len(object)), SHA256: artifacts.Sum(object)}
		d.Key = artifacts.DeltaKey("web", version, a.OS, a.Arch, base, d.SHA256)
		a.Deltas, deltas = append(a.Deltas, d), append(deltas, d.Key)
		w.contents[d.Key] = object
	}
	m := artifacts.Manifest{Schema: 1, App: "web", Version: version, Created: w.now, Artifacts: []artifacts.Artifact{a}}
	w.manifests[version], w.contents[a.Key] = w.must(m.Sign(w.key)), data
	w.promote(version, w.now.AddDate(1, 0, 0))
	return a.Key, deltas
}

func (w *world) deltaFrom(base, data []byte) []byte {
	w.t.Helper()
	sum := func(data []byte) string { s := sha256.Sum256(data); return hex.EncodeToString(s[:]) }
	open := func(data []byte) func() (delta.Reader, error) {
		return func() (delta.Reader, error) { return memory{bytes.NewReader(data)}, nil }
	}
	var object bytes.Buffer
	err := delta.Encode(w.t.Context(), &object, []delta.File{{
		SHA256: sum(data), Size: int64(len(data)), Open: open(data), From: sum(base), FromSize: int64(len(base)), OpenFrom: open(base),
	}}, func(int64) {})
	return w.must(object.Bytes(), err)
}

// onVersionOne is a machine that runs the bulky version 1.
func onVersionOne(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.releaseFrom("1")
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	w.asked = nil
	return w
}

func stepNamed(r report.Report, name string) (report.Step, bool) {
	i := slices.IndexFunc(r.Steps, func(s report.Step) bool { return s.Name == name })
	if i < 0 {
		return report.Step{}, false
	}
	return r.Steps[i], true
}

func TestSyncUsesDelta(t *testing.T) {
	w := onVersionOne(t)
	_, deltas := w.releaseFrom("2", "0", "1")
	a := w.agent()
	plan, err := a.Plan(t.Context(), agent.SyncOptions{})
	if err != nil || plan.DeltaFrom != "1" || plan.Fetch != int64(len(w.contents[deltas[1]])) {
		t.Errorf("plan: %+v, %v", plan, err)
	}
	r, err := w.sync()
	if err != nil || r.Verdict != report.Fresh || w.running != "2" {
		t.Fatalf("%s, running %s: %v", r.Verdict, w.running, err)
	}
	if !slices.Equal(w.asked, deltas[1:]) {
		t.Errorf("asked for %q", w.asked)
	}
	step, ok := stepNamed(r, "delta")
	if _, whole := stepNamed(r, "install"); !ok || whole || step.Bytes != plan.Fetch || step.Note != "from 1" {
		t.Errorf("steps %+v", r.Steps)
	}
	data, err := os.ReadFile(filepath.Join(w.dir, "opt/current/web"))
	if err != nil || !bytes.Equal(data, bulky("2")) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// The delta from the running release is used, even where another is smaller.
func TestDeltaPrefersTheRunningRelease(t *testing.T) {
	w := onVersionOne(t)
	w.releaseFrom("2")
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	w.asked = nil
	_, deltas := w.releaseFrom("3", "1", "2")
	if _, err := w.sync(); err != nil || !slices.Equal(w.asked, deltas[1:]) {
		t.Errorf("asked for %q, %v", w.asked, err)
	}
}

// Without a delta from the running release, one from another installed one is used.
func TestDeltaFromAnotherRelease(t *testing.T) {
	w := onVersionOne(t)
	w.releaseFrom("2")
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	w.asked = nil
	_, deltas := w.releaseFrom("3", "0", "1")
	if _, err := w.sync(); err != nil || !slices.Equal(w.asked, deltas[1:]) {
		t.Errorf("asked for %q, %v", w.asked, err)
	}
}

// Whatever is wrong with a delta update, the same run fetches the artifact, and
// reports why.
func TestDeltaThatFailsIsNone(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(w *world, key string)
		warns string
	}{
		"the base was altered": {func(w *world, _ string) {
			data := bulky("1")
			data[100]++
			w.must(nil, os.WriteFile(filepath.Join(w.dir, "opt/current/web"), data, 0o755))
		}, "web of the base is not what was published"},
		"the delta is altered": {func(w *world, key string) { w.contents[key] = []byte("something else") }, "malformed delta"},
		"the delta is missing": {func(w *world, key string) { delete(w.contents, key) }, "malformed delta"},
		"the transport fails":  {func(w *world, key string) { w.failing = map[string]error{key: cutOff} }, "could not be fetched"},
		"the hash differs":     {func(w *world, key string) { w.failing = map[string]error{key: altered} }, "chunk 0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := onVersionOne(t)
			key, deltas := w.releaseFrom("2", "1")
			tc.spoil(w, deltas[0])
			r, err := w.sync()
			if err != nil || r.Verdict != report.Fresh || w.running != "2" {
				t.Fatalf("%s, running %s: %v", r.Verdict, w.running, err)
			}
			if want := append(deltas, key); !slices.Equal(w.asked, want) {
				t.Errorf("asked for %q, want %q", w.asked, want)
			}
			if !slices.ContainsFunc(r.Warnings, func(s string) bool {
				return strings.Contains(s, "no delta update from 1") && strings.Contains(s, tc.warns)
			}) {
				t.Errorf("warnings %q", r.Warnings)
			}
			step, _ := stepNamed(r, "delta")
			if _, whole := stepNamed(r, "install"); step.Error == "" || !whole {
				t.Errorf("steps %+v", r.Steps)
			}
		})
	}
}

// Where the disk fails during a delta update the artifact is not fetched either,
// and a run that was interrupted ends.
func TestDeltaThatEndsTheRun(t *testing.T) {
	for name, cause := range map[string]error{"disk": full, "deadline": failure.ErrDeadline} {
		t.Run(name, func(t *testing.T) {
			w := onVersionOne(t)
			_, deltas := w.releaseFrom("2", "1")
			w.failing = map[string]error{deltas[0]: cause}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if errors.Is(cause, failure.ErrDeadline) {
				w.onFetch = func() { cancel(cause) }
			}
			_, err := w.run(ctx, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
				return a.Sync(ctx, agent.SyncOptions{})
			})
			if !errors.Is(err, cause) || w.running != "1" {
				t.Errorf("running %s: %v", w.running, err)
			}
			if !slices.Equal(w.asked, deltas) {
				t.Errorf("asked for %q", w.asked)
			}
		})
	}
}

func TestWhenDeltasAreUsed(t *testing.T) {
	for name, tc := range map[string]struct {
		when       string
		boot, sync bool
	}{
		"default": {"", false, true}, "sync": {config.DeltaSync, false, true},
		"always": {config.DeltaAlways, true, true}, "never": {config.DeltaNever, false, false},
	} {
		for command, want := range map[string]bool{"boot": tc.boot, "sync": tc.sync} {
			t.Run(name+" "+command, func(t *testing.T) {
				w := onVersionOne(t)
				w.delta = tc.when
				key, deltas := w.releaseFrom("2", "1")
				do, expect := w.sync, []string{key}
				if command == "boot" {
					do = w.boot
				}
				if want {
					expect = deltas
				}
				if _, err := do(); err != nil || w.running != "2" {
					t.Fatalf("running %s: %v", w.running, err)
				}
				if !slices.Equal(w.asked, expect) {
					t.Errorf("asked for %q, want %q", w.asked, expect)
				}
			})
		}
	}
}

// Without an index the tree of an archive is unknown, so no delta update is made.
func TestNoDeltaWithoutAnIndex(t *testing.T) {
	w := onVersionOne(t)
	a := artifacts.Artifact{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Format: artifacts.TarGz, SHA256: artifacts.Sum(nil), Size: 50, UnpackedBytes: 40, Entries: 4,
		Key:    "releases/2/web.tar.gz",
		Deltas: []artifacts.Delta{{Base: "1", Key: "releases/2/d", Size: 4, SHA256: artifacts.Sum(nil)}},
	}
	m := artifacts.Manifest{Schema: 1, App: "web", Version: "2", Created: w.now, Artifacts: []artifacts.Artifact{a}}
	w.manifests["2"] = w.must(m.Sign(w.key))
	w.promote("2", w.now.AddDate(1, 0, 0))
	if _, err := w.sync(); err == nil || !slices.Equal(w.asked, []string{a.Key}) {
		t.Errorf("asked for %q, %v", w.asked, err)
	}
}

// A delta that is as large as the artifact is not used.
func TestDeltaAsLargeAsTheArtifact(t *testing.T) {
	w := onVersionOne(t)
	data := []byte("tiny")
	a := artifacts.Artifact{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Format: artifacts.File, SHA256: artifacts.Sum(data), Size: 4, UnpackedBytes: 4, Entries: 1,
		Key:    "releases/2/web",
		Deltas: []artifacts.Delta{{Base: "1", Key: "releases/2/d", Size: 4, SHA256: artifacts.Sum(data)}},
	}
	m := artifacts.Manifest{Schema: 1, App: "web", Version: "2", Created: w.now, Artifacts: []artifacts.Artifact{a}}
	w.manifests["2"], w.contents[a.Key] = w.must(m.Sign(w.key)), data
	w.promote("2", w.now.AddDate(1, 0, 0))
	if _, err := w.sync(); err != nil || !slices.Equal(w.asked, []string{a.Key}) {
		t.Errorf("asked for %q, %v", w.asked, err)
	}
}
