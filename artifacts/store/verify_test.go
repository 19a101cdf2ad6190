package store

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// linked is an artifact with every type of entry.
func linked() Input {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: "bin/web", Mode: 0o755, Size: 4},
		{Typeflag: tar.TypeLink, Name: "bin/web2", Linkname: "bin/web"},
		{Typeflag: tar.TypeSymlink, Name: "run", Linkname: "bin/web"},
		{Typeflag: tar.TypeDir, Name: "empty/", Mode: 0o755},
	} {
		_ = w.WriteHeader(&h)
		_, _ = w.Write([]byte("code")[:h.Size])
	}
	_ = errors.Join(w.Close(), z.Close())
	a := artifacts.Artifact{
		OS: "linux", Arch: "amd64", Format: artifacts.TarGz, Size: int64(out.Len()),
		SHA256: artifacts.Sum(out.Bytes()), UnpackedBytes: 100, Entries: 100,
	}
	return sign("1", a, &content{pieces: slice(out.Bytes(), 50)})
}

// change is something that is done to a tree, and what Verify finds.
type change struct {
	change func(dir string) error
	want   tree.Diff
}

func TestVerifyFindsChanges(t *testing.T) {
	s := open(t)
	changes := map[string]change{
		"nothing":       {func(string) error { return nil }, tree.Diff{}},
		"same length":   {func(d string) error { return os.WriteFile(d+"/bin/web", []byte("evil"), 0o755) }, tree.Diff{Altered: []string{"bin/web", "bin/web2"}}},
		"longer":        {func(d string) error { return os.WriteFile(d+"/bin/web", []byte("codes"), 0o755) }, tree.Diff{Altered: []string{"bin/web", "bin/web2"}}},
		"mode":          {func(d string) error { return os.Chmod(d+"/bin/web", 0o777) }, tree.Diff{Altered: []string{"bin/web", "bin/web2"}}},
		"setuid":        {func(d string) error { return os.Chmod(d+"/bin/web", 0o755|os.ModeSetuid) }, tree.Diff{Altered: []string{"bin/web", "bin/web2"}}},
		"mode of a dir": {func(d string) error { return os.Chmod(d+"/bin", 0o777) }, tree.Diff{Altered: []string{"bin"}}},
		"removed":       {func(d string) error { return os.Remove(d + "/bin/web2") }, tree.Diff{Removed: []string{"bin/web2"}}},
		"dir removed":   {func(d string) error { return os.Remove(d + "/empty") }, tree.Diff{Removed: []string{"empty"}}},
		"tree removed":  {func(d string) error { return os.RemoveAll(d + "/bin") }, tree.Diff{Removed: []string{"bin", "bin/web", "bin/web2"}}},
		"file added":    {func(d string) error { return os.WriteFile(d+"/empty/x", nil, 0o644) }, tree.Diff{Added: []string{"empty/x"}}},
		"tree added":    {func(d string) error { return os.MkdirAll(d+"/a/b/c", 0o755) }, tree.Diff{Added: []string{"a"}}},
		"link retargeted": {func(d string) error {
			return errors.Join(os.Remove(d+"/run"), os.Symlink("/bin/sh", d+"/run"))
		}, tree.Diff{Altered: []string{"run"}}},
		"file now a link": {func(d string) error {
			return errors.Join(os.Remove(d+"/bin/web2"), os.Symlink("web", d+"/bin/web2"))
		}, tree.Diff{Altered: []string{"bin/web2"}}},
		"file now a fifo": {func(d string) error {
			return errors.Join(os.Remove(d+"/bin/web2"), syscall.Mkfifo(d+"/bin/web2", 0o755))
		}, tree.Diff{Altered: []string{"bin/web2"}}},
		"file now a dir": {func(d string) error {
			return errors.Join(os.Remove(d+"/bin/web2"), os.MkdirAll(d+"/bin/web2/x", 0o755))
		}, tree.Diff{Altered: []string{"bin/web2"}}},
		"dir now a file": {func(d string) error {
			return errors.Join(os.Remove(d+"/empty"), os.WriteFile(d+"/empty", nil, 0o644))
		}, tree.Diff{Altered: []string{"empty"}}},
		"dir now a link": {func(d string) error {
			return errors.Join(os.Remove(d+"/empty"), os.Symlink("/etc", d+"/empty"))
		}, tree.Diff{Altered: []string{"empty"}}},
	}
	if os.Geteuid() == 0 { // only root may change an owner
		changes["owner"] = change{func(d string) error { return os.Lchown(d+"/run", 1, -1) }, tree.Diff{Altered: []string{"run"}}}
		changes["owner of all"] = change{func(d string) error { return os.Chown(d, 1, -1) }, tree.Diff{Altered: []string{"."}}}
	}
	for name, tc := range changes {
		t.Run(name, func(t *testing.T) {
			r, err := s.Stage(t.Context(), linked()) // repairs what the case before changed
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.change(r.Dir()); err != nil {
				t.Fatal(err)
			}
			got, err := s.Verify(t.Context(), r)
			if err != nil || !slices.Equal(got.Altered, tc.want.Altered) || !slices.Equal(got.Added, tc.want.Added) || !slices.Equal(got.Removed, tc.want.Removed) {
				t.Errorf("got %+v, %v; want %+v", got, err, tc.want)
			}
			if got.Clean() != (name == "nothing") {
				t.Errorf("clean: %v", got.Clean())
			}
		})
	}
}

// A signed index counts, whatever is written over the one on the disk.
func TestVerifySignedIndex(t *testing.T) {
	s := open(t)
	app := files{"bin/web": "1"}
	data, frames := pack(app, artifacts.TarZst, true)
	var index bytes.Buffer
	err := tree.WriteIndex(&index, []tree.Entry{
		{Path: "bin", Type: tree.TypeDir, Mode: 0o755},
		{Path: "bin/web", Type: tree.TypeFile, Mode: 0o644, Size: 1, SHA256: artifacts.Sum([]byte("1")).String()},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := app.release("1", artifacts.TarZst, true)
	a := in.Artifact
	a.Index = &artifacts.Blob{Key: "releases/1/index", Size: int64(index.Len()), SHA256: artifacts.Sum(index.Bytes())}
	in = sign("1", a, &content{pieces: frames})
	in.Index = index.Bytes()
	if int64(len(data)) != a.Size {
		t.Fatal("the packed tree is not the same twice")
	}
	r, err := s.Stage(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if diff, err := s.Verify(t.Context(), r); err != nil || !diff.Clean() {
		t.Errorf("%+v, %v", diff, err)
	}
	if err := os.WriteFile(filepath.Join(r.Dir(), "bin/web"), []byte("2"), 0o644); err != nil {
		t.Fatal(err)
	}
	if diff, err := s.Verify(t.Context(), r); err != nil || !slices.Equal(diff.Altered, []string{"bin/web"}) {
		t.Errorf("%+v, %v", diff, err)
	}
	if err := os.WriteFile(meta(r, "index"), []byte("forged"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.made.IndexSHA256 = artifacts.Sum([]byte("forged")) // and the marker with it
	if err := s.writeJSON("releases/"+r.ID(), completeFile, r.made); err != nil {
		t.Fatal(err)
	}
	r, _, err = s.Find(in.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	mismatch, ok := errors.AsType[*artifacts.MismatchError](err2(s.Verify(t.Context(), r)))
	if !ok || mismatch.WantSHA != a.Index.SHA256 {
		t.Errorf("a forged index: %v", mismatch)
	}
}

// Without a signed index the marker has the hash of the one on disk.
func TestVerifyOwnIndex(t *testing.T) {
	s := open(t)
	r := stage(t, s, "1")
	name := meta(r, "index")
	if err := os.WriteFile(name, append(must(os.ReadFile(name)), 0), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), r); !errors.Is(err, artifacts.ErrIntegrity) {
		t.Errorf("an index with a byte more: %v", err)
	}
}

func TestVerifyCancelled(t *testing.T) {
	s := open(t)
	r := stage(t, s, "1")
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := s.Verify(ctx, r); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func err2[T any](_ T, err error) error { return err }
