package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
	"koboshi/artifacts/unpack"
)

// keeping is the same release with the times of the shelf.
func (s shelf) keeping(t *testing.T, in Input) Input {
	t.Helper()
	root := must(os.OpenRoot(t.TempDir()))
	defer func() { _ = root.Close() }()
	opt := tree.Options{Limits: tree.Limits{Bytes: 64 << 20, Entries: 1000}, Hash: true, KeepTimes: true}
	entries := must(unpack.Tar(t.Context(), bytes.NewReader(s.tar()), root, opt))
	var index bytes.Buffer
	if err := tree.WriteIndex(&index, entries); err != nil {
		t.Fatal(err)
	}
	a := in.Artifact
	a.KeepTimes = true
	a.Index = &artifacts.Blob{Key: in.Artifact.Index.Key, Size: int64(index.Len()), SHA256: artifacts.Sum(index.Bytes())}
	out := sign(in.Manifest.Manifest().Version, a, in.Content.(*content))
	out.Index, out.Delta = index.Bytes(), in.Delta
	return out
}

// checkTimes compares the time of everything in a tree, in which only the paths
// of want may have times of their own.
func checkTimes(t *testing.T, r Release, want map[string]time.Time) {
	t.Helper()
	err := filepath.WalkDir(r.Dir(), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		path := must(filepath.Rel(r.Dir(), name))
		at, own := want[path]
		if !own {
			at = noon
		}
		if !info.ModTime().Equal(at) {
			t.Errorf("%s has the time %v, want %v", path, info.ModTime().UTC(), at.UTC())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// times are those of a shelf: a hard link has the time of its file.
func (s shelf) times() map[string]time.Time {
	all := map[string]time.Time{}
	for name := range s {
		all[name] = timeOf(name)
		if target, ok := s.linked(name); ok {
			all[name] = timeOf(target)
		}
	}
	return all
}

func (s shelf) linked(name string) (string, bool) {
	target := s[name]
	if len(target) < 3 || target[:3] != "=> " {
		return "", false
	}
	return target[3:], true
}

// Every way to make a release gives its files the same times: those of its
// manifest, or with KeepTimes their own.
func TestTimes(t *testing.T) {
	ways := map[string]func(t *testing.T, s *Store, made func(Input) Input) Release{
		"frames": func(t *testing.T, s *Store, made func(Input) Input) Release {
			return must(s.Stage(t.Context(), made(after.framed(t, "2"))))
		},
		"tar.gz": func(t *testing.T, s *Store, made func(Input) Input) Release {
			return must(s.Stage(t.Context(), made(after.input(t, "2"))))
		},
		"a delta": func(t *testing.T, s *Store, made func(Input) Input) Release {
			base := must(s.Stage(t.Context(), before.input(t, "1")))
			return must(s.Stage(t.Context(), made(after.fromDelta(t, "2", before, base))))
		},
		"a repair": func(t *testing.T, s *Store, made func(Input) Input) Release {
			whole := after.framed(t, "2")
			pieces := whole.Content.(*content).pieces
			r := must(s.Stage(t.Context(), made(whole)))
			err := errors.Join(os.Remove(r.Dir()+"/etc/conf"), os.Remove(r.Dir()+"/lib/so"), os.Remove(r.Dir()+"/empty"), os.Chmod(r.Dir()+"/mode", 0o700))
			if err != nil {
				t.Fatal(err)
			}
			p, ok, err := s.Repair(t.Context(), r, must(r.Artifact()), must(s.Verify(t.Context(), r)))
			if !ok || err != nil || len(p.Chunks) == 0 {
				t.Fatalf("repairable: %v, %v", ok, err)
			}
			whole.Content = &content{pieces: pieces}
			return must(s.Stage(t.Context(), Input{Manifest: r.Manifest(), Artifact: p.Artifact, Index: p.Index, Seen: noon, Repair: p, Content: p.brings(whole)}))
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			checkTimes(t, way(t, open(t), func(in Input) Input { return in }), nil)
			r := way(t, open(t), func(in Input) Input { return after.keeping(t, in) })
			checkTimes(t, r, after.times())
		})
	}
	t.Run("one file", func(t *testing.T) {
		checkTimes(t, must(open(t).Stage(t.Context(), files{"web": noise + noise}.release("1", artifacts.File, false))), nil)
	})
	t.Run("without an index", func(t *testing.T) {
		in := files{"bin/web": "1", "large": noise + noise}.release("1", artifacts.TarZst, true)
		checkTimes(t, must(open(t).Stage(t.Context(), in)), nil)
	})
}
