package store

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/tree"
)

// framed is the release of the shelf as publish makes it: with an index, in
// frames of 1,000 plain bytes.
func (s shelf) framed(t *testing.T, version string) Input {
	t.Helper()
	in := s.input(t, version)
	data, frames := packFrames(must(zstd.NewWriter(nil)), s.tar())
	a := in.Artifact
	a.Format, a.Size, a.SHA256 = artifacts.TarZst, int64(len(data)), artifacts.Sum(data)
	for _, f := range frames {
		a.Chunks = append(a.Chunks, artifacts.Chunk{Size: int64(len(f.Data)), SHA256: artifacts.Sum(f.Data), Plain: f.Plain})
	}
	out := sign(version, a, &content{pieces: frames})
	out.Index = in.Index
	return out
}

// brings is the content that a source would deliver for the chunks.
func (p *Repair) brings(in Input) *content {
	all := in.Content.(*content).pieces
	c := &content{}
	for _, i := range p.Chunks {
		c.pieces = append(c.pieces, all[i])
	}
	return c
}

var intact = shelf{
	"bin/web": noise[:9_000] + " ", "bin/x": "=> bin/web", "bin/helper": noise[10_000:30_000] + " ", "etc/conf": "a = 1\n",
	"lib/same.so": noise[:300_000], "lib/copy.so": noise[:300_000], "lib/so": "-> same.so", "empty": "",
}

// A repaired tree is what was published, to the last bit, and the repair fetches
// only the chunks that contain what it lacked.
func TestRepair(t *testing.T) {
	whole := intact.framed(t, "1")
	pieces := whole.Content.(*content).pieces
	for name, tc := range map[string]struct {
		change func(dir string) error
		chunks int // at most; the tree has 647 of them
	}{
		"a byte":      {func(d string) error { return os.WriteFile(d+"/bin/helper", []byte(noise[10_001:30_001]), 0o755) }, 22},
		"a hard link": {func(d string) error { return os.WriteFile(d+"/bin/x", []byte("evil"), 0o755) }, 11},
		"a small one": {func(d string) error { return os.WriteFile(d+"/etc/conf", []byte("a = 2\n"), 0o644) }, 1},
		"two files, far from each other": {func(d string) error {
			return errors.Join(os.Remove(d+"/etc/conf"), os.WriteFile(d+"/bin/web", nil, 0o755))
		}, 12},
		"one that is elsewhere too": {func(d string) error { return os.WriteFile(d+"/lib/copy.so", []byte("evil"), 0o644) }, 0},
		"a mode":                    {func(d string) error { return os.Chmod(d+"/etc/conf", 0o777) }, 1},
		"a file too many":           {func(d string) error { return os.WriteFile(d+"/bin/evil", nil, 0o755) }, 0},
		"a link":                    {func(d string) error { return errors.Join(os.Remove(d+"/lib/so"), os.Symlink("/bin/sh", d+"/lib/so")) }, 0},
		"an empty file":             {func(d string) error { return os.Remove(d + "/empty") }, 0},
		"a directory that is a file": {func(d string) error {
			return errors.Join(os.RemoveAll(d+"/bin"), os.WriteFile(d+"/bin", nil, 0o644))
		}, 32},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			whole.Content = &content{pieces: pieces}
			r := must(s.Stage(t.Context(), whole))
			want := picture(t, r.Dir())
			whole.Content = &content{pieces: pieces}
			if err := tc.change(r.Dir()); err != nil {
				t.Fatal(err)
			}
			diff := must(s.Verify(t.Context(), r))
			p, ok, err := s.Repair(t.Context(), r, must(r.Artifact()), diff)
			if err != nil || !ok || len(p.Chunks) > tc.chunks {
				t.Fatalf("%+v: repairable: %v, %d chunks, want at most %d; %v", diff, ok, len(p.Chunks), tc.chunks, err)
			}
			in := Input{Manifest: r.Manifest(), Artifact: p.Artifact, Index: p.Index, Seen: noon, Repair: p}
			c := p.brings(whole)
			if len(p.Chunks) > 0 {
				in.Content = c
			}
			again, err := s.Stage(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if got := picture(t, again.Dir()); !maps.Equal(got, want) {
				t.Errorf("the tree is %v", slices.Sorted(maps.Keys(got)))
			}
			if diff := must(s.Verify(t.Context(), again)); !diff.Clean() || c.lent.Load() != 0 {
				t.Errorf("%+v, %d frames are not released", diff, c.lent.Load())
			}
			if _, ok := again.SeenOn("stable"); !ok {
				t.Error("what channel pointed to it is lost")
			}
			if left := must(fs.Glob(os.DirFS(filepath.Join(s.Dir(), stagingDir)), "repair*")); len(left) > 0 {
				t.Errorf("%q is left", left)
			}
		})
	}
}

// Where a tree cannot be repaired the whole artifact is needed.
func TestRepairIsNotPossible(t *testing.T) {
	for name, in := range map[string]Input{
		"in no frames":     intact.input(t, "1"),
		"without an index": files{"bin/web": "1"}.release("1", artifacts.TarZst, true),
		"one executable":   files{"web": "1"}.release("1", artifacts.File, false),
	} {
		s := open(t)
		r, err := s.Stage(t.Context(), in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p, ok, err := s.Repair(t.Context(), r, must(r.Artifact()), tree.Diff{Altered: []string{"bin/web", "web"}}); ok || err != nil {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	s := open(t)
	r := must(s.Stage(t.Context(), intact.framed(t, "1")))
	if _, ok, err := s.Repair(t.Context(), r, must(r.Artifact()), tree.Diff{Altered: []string{"bin/helper", "bin/web", "lib/copy.so", "lib/same.so"}}); err != nil || ok {
		t.Errorf("to fetch nearly all of it was worth it: %v", err)
	}
	if err := os.WriteFile(meta(r, indexFile), []byte("evil"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Repair(t.Context(), r, must(r.Artifact()), tree.Diff{}); !errors.Is(err, artifacts.ErrIntegrity) {
		t.Errorf("with an altered index: %v", err)
	}
}

// A repair that fails leaves the release as it was.
func TestRepairThatFails(t *testing.T) {
	whole := intact.framed(t, "1")
	pieces := whole.Content.(*content).pieces
	for name, tc := range map[string]struct {
		meanwhile func(dir string, in *Input)
		is        func(error) bool
	}{
		"a file that changes after it was read": {func(d string, _ *Input) { _ = os.WriteFile(d+"/bin/web", []byte(noise[:9_001]), 0o755) }, isBase},
		"other bytes at that place":             {func(_ string, in *Input) { in.Repair.lacks[0].Offset += 5 }, isIntegrity},
		"a source that breaks off":              {func(_ string, in *Input) { in.Content = &content{end: errBroken} }, isBroken},
		"too few chunks":                        {func(_ string, in *Input) { in.Content = &content{} }, func(err error) bool { return err != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			whole.Content = &content{pieces: pieces}
			r := must(s.Stage(t.Context(), whole))
			whole.Content = &content{pieces: pieces}
			if err := os.WriteFile(r.Dir()+"/bin/helper", []byte("evil"), 0o755); err != nil {
				t.Fatal(err)
			}
			p, _, err := s.Repair(t.Context(), r, must(r.Artifact()), must(s.Verify(t.Context(), r)))
			if err != nil {
				t.Fatal(err)
			}
			in := Input{Manifest: r.Manifest(), Artifact: p.Artifact, Index: p.Index, Seen: noon, Repair: p, Content: p.brings(whole)}
			tc.meanwhile(r.Dir(), &in)
			if _, err := s.Stage(t.Context(), in); !tc.is(err) {
				t.Errorf("%v", err)
			}
			if diff := must(s.Verify(t.Context(), r)); !slices.Contains(diff.Altered, "bin/helper") {
				t.Errorf("the release was replaced: %+v", diff)
			}
		})
	}
}

var errBroken = errors.New("reset")

func isBroken(err error) bool    { return errors.Is(err, errBroken) }
func isIntegrity(err error) bool { return errors.Is(err, artifacts.ErrIntegrity) }
func isBase(err error) bool {
	_, ok := errors.AsType[*delta.BaseError](err)
	return ok
}
