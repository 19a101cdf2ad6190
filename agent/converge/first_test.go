package converge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
	"koboshi/artifacts/tree"
)

// app is a service that is up, or that fails in one way.
type app struct {
	Service
	unusable, ill error

	mu    sync.Mutex
	story []string
}

func (a *app) tell(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.story = append(a.story, what)
}

func (a *app) told() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprint(a.story)
}

func (a *app) Check(context.Context) error { return a.unusable }

func (a *app) Restart(context.Context, []string) (service.Gate, error) {
	a.tell("start")
	return func(context.Context, artifacts.Health) (health.Report, error) {
		a.tell("gate")
		return health.Report{}, a.ill
	}, nil
}

func (a *app) Stop(context.Context) error {
	a.tell("stop")
	return nil
}

// slow is a release for which the disk takes as long as before does.
type slow struct {
	*store.Staged
	before func() error
}

func (s slow) Settle() (store.Release, error) {
	err := s.before()
	rel, settled := s.Staged.Settle()
	if err != nil {
		return store.Release{}, err
	}
	return rel, settled
}

// bytesOf is the content of an artifact.
type bytesOf struct{ data []byte }

func (b *bytesOf) Next(context.Context) (tree.Frame, error) {
	if b.data == nil {
		return tree.Frame{}, io.EOF
	}
	f := tree.Frame{Data: b.data}
	b.data = nil
	return f, nil
}

// firstRun is a launch of a machine on which nothing ever ran, and the release that
// it has just unpacked.
func firstRun(t *testing.T, a *app) (*Run, *store.Staged) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := artifacts.GenerateKey()
	must(err)
	trust, err := artifacts.NewTrust("0.1.0", 1, key.Public())
	must(err)
	data := []byte("#!/bin/sh\n")
	file := artifacts.Artifact{OS: runtime.GOOS, Arch: runtime.GOARCH, Format: artifacts.File, Size: int64(len(data)), SHA256: artifacts.Sum(data), UnpackedBytes: int64(len(data)), Entries: 1}
	file.Key = artifacts.ArtifactKey("web", "1", file.OS, file.Arch, file.SHA256, file.Format)
	envelope, err := artifacts.Manifest{Schema: 1, App: "web", Version: "1", Created: time.Unix(1e9, 0).UTC(), Artifacts: []artifacts.Artifact{file}}.Sign(key)
	must(err)
	m, err := trust.Manifest(envelope, artifacts.Reference{App: "web", Version: "1"})
	must(err)
	s, err := store.Open(filepath.Join(t.TempDir(), "opt"), trust)
	must(err)
	t.Cleanup(func() { _ = s.Close() })
	made, err := s.StageFirst(t.Context(), store.Input{Manifest: m, Artifact: file, Content: &bytesOf{data}})
	must(err)
	dir, err := os.OpenRoot(t.TempDir())
	must(err)
	t.Cleanup(func() { _ = dir.Close() })
	return &Run{
		Config: &config.Config{App: "web", Channel: "stable"}, Instance: instance.Identity{ID: "i-1"}, Service: a, Store: s, RunDir: dir,
		Steps: report.NewTimeline(nil), Now: time.Now, Warn: func(format string, args ...any) { t.Errorf(format, args...) },
	}, made
}

// The app starts and passes its gate while the disk is written to. Until that is
// done there is no release, and none that was healthy.
func TestTheFirstReleaseDoesNotWaitForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &app{}
		r, made := firstRun(t, a)
		var seen string
		err := r.bringUp(t.Context(), slow{made, func() error {
			<-time.After(time.Minute)
			seen = a.told()
			if _, found, err := r.Store.Find(made.Manifest()); found || err != nil {
				t.Errorf("a release before it was on the disk: %v, %v", found, err)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if seen != "[start gate]" {
			t.Errorf("while the disk was busy: %s", seen)
		}
		current, found, err := r.Store.Current()
		if !found || err != nil || !current.HealthyOn("i-1") || !r.Up(current) {
			t.Errorf("current %v, healthy %v, up %v, %v", found, current.HealthyOn("i-1"), r.Up(current), err)
		}
	})
}

// Whatever fails, it is told, and what is left is what would have been left of any
// other release.
func TestTheFirstReleaseFails(t *testing.T) {
	ill, unusable := errors.New("ill"), errors.New("unusable")
	broken := &store.DiskError{Op: "sync the tree", Err: unix.EIO}
	for _, tt := range []struct {
		name          string
		ill, unusable error
		disk          error
		want          error
		story         string
		current       bool
	}{
		{"the disk", nil, nil, broken, store.ErrDisk, "[start gate stop]", false},
		{"the disk and the app", ill, nil, broken, store.ErrDisk, "[start gate stop]", false},
		{"the app", ill, nil, nil, ill, "[start gate]", true},
		{"the service", nil, unusable, nil, unusable, "[]", false},
		{"the service and the disk", nil, unusable, broken, store.ErrDisk, "[]", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &app{ill: tt.ill, unusable: tt.unusable}
			r, made := firstRun(t, a)
			if err := r.bringUp(t.Context(), slow{made, func() error { return tt.disk }}); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if got := a.told(); got != tt.story {
				t.Errorf("%s, want %s", got, tt.story)
			}
			current, found, err := r.Store.Current()
			if err != nil || found != tt.current || current.HealthyOn("i-1") {
				t.Errorf("current %v, healthy %v, %v", found, current.HealthyOn("i-1"), err)
			}
		})
	}
}
