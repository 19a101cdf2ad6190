package publish

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket/buckettest"
)

// programs packs a tree with programs, links to them, and what only looks so.
func (w *world) programs(platform string) *Packed {
	w.Helper()
	top := w.TempDir()
	must(w.T, os.MkdirAll(filepath.Join(top, "usr/bin"), 0o755))
	for name, mode := range map[string]os.FileMode{"usr/bin/migrate": 0o755, "usr/bin/mine": 0o700, "usr/bin/odd": 0o654, "usr/bin/notes": 0o644} {
		must(w.T, os.WriteFile(filepath.Join(top, name), []byte("#!/bin/sh\n"), mode))
	}
	must(w.T, os.Link(filepath.Join(top, "usr/bin/migrate"), filepath.Join(top, "usr/bin/again")))
	for name, target := range map[string]string{"bin": "usr/bin", "usr/first": "bin/migrate", "second": "usr/first", "usr/bin/beside": "migrate"} {
		must(w.T, os.Symlink(target, filepath.Join(top, name)))
	}
	return w.pack(platform, top)
}

func TestCommands(t *testing.T) {
	w := newWorld(t)
	tree := w.programs("linux/amd64")
	for command, want := range map[string]string{
		"usr/bin/migrate": "",
		"usr/bin/again":   "", // a second name
		"bin/migrate":     "", // by way of a link
		"second":          "", // by way of two
		"bin/beside":      "", // to its neighbour
		"usr/bin/mine":    "", // everyone may what its owner may
		"usr/bin/odd":     "mode 0654",
		"usr/bin/notes":   "mode 0644",
		"usr/bin":         "no file",
		"bin":             "no file",
		"bin/none":        "not in the tree",
		"migrate":         "not in the tree",
	} {
		d := w.draft("1.0", tree)
		d.Hooks.PostStart = []string{command, "--now"}
		err := d.checkCommands(t.Context())
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrCommand) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", command, err, want)
		}
	}
}

// A single file is called like its app, whatever it was called before.
func TestCommandOfASingleFile(t *testing.T) {
	w := newWorld(t)
	d := w.draft("1.0", w.executable("1.0"))
	d.Hooks.PreStop = []string{"web", "--drain"}
	if err := d.checkCommands(t.Context()); err != nil {
		t.Error(err)
	}
	d.Hooks.PreStop = []string{"server"}
	if err := d.checkCommands(t.Context()); !errors.Is(err, ErrCommand) {
		t.Errorf("got %v, want ErrCommand", err)
	}
}

// What cannot be run on one platform is not published for any.
func TestReleaseWithoutItsCommand(t *testing.T) {
	for what, name := range map[string]func(*Draft){
		"hooks.pre_start":  func(d *Draft) { d.Hooks.PreStart = []string{"bin/migrate"} },
		"hooks.post_start": func(d *Draft) { d.Hooks.PostStart = []string{"bin/migrate"} },
		"hooks.pre_stop":   func(d *Draft) { d.Hooks.PreStop = []string{"bin/migrate"} },
		"health.command":   func(d *Draft) { d.Health = artifacts.Health{Command: []string{"bin/migrate"}} },
	} {
		w := newWorld(t)
		d := w.draft("1.0", w.programs("linux/amd64"), w.tree("linux/arm64", "1.0"))
		name(&d)
		_, err := Release(t.Context(), w.bucket, d)
		if !errors.Is(err, ErrCommand) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "linux/arm64") {
			t.Errorf("%s: got %v, want ErrCommand for linux/arm64", what, err)
		}
		if n := w.bucket.Calls(buckettest.Put, ""); n != 0 {
			t.Errorf("%s: %d objects were written", what, n)
		}
	}
}
