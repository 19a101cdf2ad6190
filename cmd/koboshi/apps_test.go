package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A link does not make two directories of one, whether or not all of it exists.
func TestExisting(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "volume"), 0o755), os.Symlink("volume", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"link": "volume", "link/web/releases": "volume/web/releases", "volume/web": "volume/web", "nowhere/web": "nowhere/web"} {
		if got := existing(filepath.Join(dir, path)); got != filepath.Join(dir, want) {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if got := existing("/"); got != "/" {
		t.Errorf("/ is %s", got)
	}
}

// The order of the apps is that of who runs, and only files that a unit can name
// are apps.
func TestAppsIn(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"web.toml", "koboshi.toml", "api.toml", "old.toml.bak", "a b.toml", ".hidden.toml", "environment", "-x.toml"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, file := range appsIn(dir) {
		names = append(names, filepath.Base(file))
	}
	if want := []string{"koboshi.toml", "api.toml", "web.toml"}; !slices.Equal(names, want) {
		t.Errorf("the apps are %q, want %q", names, want)
	}
	if got := appsIn(filepath.Join(dir, "nowhere")); len(got) != 0 {
		t.Errorf("a directory that is not there has %q", got)
	}
}
