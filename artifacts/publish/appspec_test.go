package publish

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

// A bundle is read in every form, and once folders are taken off; what it asks for
// and does not get comes after what is wrong.
func TestAppspec(t *testing.T) {
	top := filepath.Join(t.TempDir(), "bundle")
	must(t, os.MkdirAll(filepath.Join(top, "scripts"), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "appspec.yaml"), []byte(`version: 0.0
os: linux
hooks:
  AfterInstall: [{location: scripts/link}]
`), 0o644))
	must(t, os.WriteFile(filepath.Join(top, "scripts/migrate"), []byte("#!/bin/sh\necho $DEPLOYMENT_ID\n"), 0o755))
	must(t, os.Symlink("migrate", filepath.Join(top, "scripts/link")))
	tarball := filepath.Join(t.TempDir(), "a.tar.gz")
	run(t, "tar", "-czf", tarball, "-C", filepath.Dir(top), "bundle")
	want := artifacts.Hooks{PreStart: []string{"scripts/link"}}
	for path, strip := range map[string]int{top: 0, tarball: 1} {
		in := readInput(t, path, Options{CodeDeploy: true, Strip: strip})
		if !reflect.DeepEqual(in.Hooks(), want) {
			t.Errorf("%s: hooks %+v, want %+v", path, in.Hooks(), want)
		}
		if f := in.Findings(); len(f) != 2 || f[0].Check != lint.CodeDeploy || f[1].Text != "reads DEPLOYMENT_ID, which is not set" {
			t.Errorf("%s: %+v", path, f)
		}
		packed(t, in)
	}
	in := readInput(t, tarball, Options{CodeDeploy: true})
	if f := in.Findings(); len(f) != 2 || f[0].Check != lint.Appspec || f[0].Level != lint.Error || f[1].Check != "top-folder" {
		t.Errorf("in a folder: %+v", f)
	}
	_, err := in.Pack(t.Context(), "linux/amd64")
	wantIs(t, err, tree.ErrRefused)
	_, err = Read(t.Context(), filepath.Join(top, "scripts/migrate"), Options{CodeDeploy: true})
	wantIs(t, err, ErrInput)
}
