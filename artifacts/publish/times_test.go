package publish

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

var keepTimes = Options{App: "web", KeepTimes: true}

// old is what the files of these tests were modified at.
var old = time.Unix(1_234_567_890, 987_654_321)

// timed is a directory with known times: of the link, its own.
func timed(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	must(t, os.Mkdir(filepath.Join(top, "lib"), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "lib/a.py"), []byte("a = 1\n"), 0o644))
	must(t, os.Link(filepath.Join(top, "lib/a.py"), filepath.Join(top, "twin.py")))
	must(t, os.Symlink("lib", filepath.Join(top, "site")))
	out, err := exec.Command("touch", "--no-dereference", "--date=@1234567890.987654321", top+"/lib/a.py", top+"/site", top+"/lib").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return top
}

// archived writes timed as an archive of entries without their directories.
func archived(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	must(t, err)
	defer func() { must(t, f.Close()) }()
	switch filepath.Ext(name) {
	case ".zip":
		z := zip.NewWriter(f)
		w, err := z.CreateHeader(&zip.FileHeader{Name: "lib/a.py", Modified: old})
		must(t, err)
		_, err = io.WriteString(w, "a = 1\n")
		must(t, err)
		must(t, z.Close())
	case ".tar":
		w := tar.NewWriter(f)
		must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "lib/a.py", Mode: 0o644, Size: 6, ModTime: old, Format: tar.FormatPAX}))
		_, err := io.WriteString(w, "a = 1\n")
		must(t, err)
		must(t, w.Close())
	}
	return path
}

func TestKeepTimes(t *testing.T) {
	gzipped := archived(t, "a.tar")
	must(t, exec.Command("gzip", gzipped).Run())
	single := filepath.Join(t.TempDir(), "server")
	must(t, os.WriteFile(single, []byte("server"), 0o755))
	must(t, os.Chtimes(single, old, old))
	at := old.Unix()
	for name, tt := range map[string]struct {
		path string
		want map[string]int64
	}{
		"a directory":  {timed(t), map[string]int64{"lib": at, "lib/a.py": at, "twin.py": 0, "site": at}},
		"a zip":        {archived(t, "a.zip"), map[string]int64{"lib": 0, "lib/a.py": at}},
		"a tar":        {archived(t, "a.tar"), map[string]int64{"lib": 0, "lib/a.py": at}},
		"a ready tar":  {gzipped + ".gz", map[string]int64{"lib": 0, "lib/a.py": at}},
		"a file alone": {single, map[string]int64{"web": at}},
	} {
		t.Run(name, func(t *testing.T) {
			p := packWith(t, tt.path, keepTimes)
			times := indexed(t, p)
			for path, want := range tt.want {
				if got, found := times[path]; !found || got != want {
					t.Errorf("%s has the time %d in the index (%v), want %d", path, got, found, want)
				}
			}
			unpacked := headers(t, p)
			for path, want := range tt.want {
				if unpacked[path] != want {
					t.Errorf("%s has the time %d when unpacked, want %d", path, unpacked[path], want)
				}
			}
			if a := p.Artifact(); !a.KeepTimes {
				t.Error("the manifest does not say so")
			}
			for path, at := range indexed(t, packWith(t, tt.path, Options{App: "web"})) {
				if at != 0 {
					t.Errorf("without --keep-times %s has the time %d", path, at)
				}
			}
		})
	}
}

func packWith(t *testing.T, path string, opt Options) *Packed {
	t.Helper()
	p, err := Pack(t.Context(), "linux/amd64", path, opt)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

// indexed is the time of each path in the index; none for a file without one.
func indexed(t *testing.T, p *Packed) map[string]int64 {
	t.Helper()
	if p.Index() == nil {
		return nil
	}
	entries, err := tree.ReadIndex(t.Context(), p.Index(), 100)
	must(t, err)
	return timesOf(entries)
}

func timesOf(entries []tree.Entry) map[string]int64 {
	all := map[string]int64{}
	for _, e := range entries {
		all[e.Path] = e.Time
	}
	return all
}

// headers is what an instance unpacks.
func headers(t *testing.T, p *Packed) map[string]int64 {
	t.Helper()
	x, err := extractToTemp(t.Context(), p, p.Artifact(), t.TempDir())
	must(t, err)
	defer func() { must(t, x.Close()) }()
	return timesOf(x.Entries)
}

// With their times, too, the same trees give the same bytes; without, times do
// not count.
func TestTimesAndBytes(t *testing.T) {
	first, second := timed(t), timed(t)
	sums := func(opt Options) (artifacts.Digest, artifacts.Digest) {
		a, b := packWith(t, first, opt), packWith(t, second, opt)
		if a.Artifact().SHA256 == b.Artifact().SHA256 != bytes.Equal(a.Index(), b.Index()) {
			t.Error("the artifact and its index do not agree")
		}
		return a.Artifact().SHA256, b.Artifact().SHA256
	}
	if a, b := sums(keepTimes); a != b {
		t.Error("the same tree twice gave two artifacts")
	}
	must(t, os.Chtimes(filepath.Join(second, "lib/a.py"), old, old.Add(time.Second)))
	if a, b := sums(keepTimes); a == b {
		t.Error("another time gave the same artifact")
	}
	if a, b := sums(Options{}); a != b {
		t.Error("without --keep-times another time gave another artifact")
	}
}

// An agent that does not know what a manifest says must take itself for too old,
// and the manifest for no forgery.
func TestWhatNeedsAnAgent(t *testing.T) {
	w := newWorld(t)
	plain, kept := w.pack("linux/amd64", timed(t)), packWith(t, timed(t), keepTimes)
	for name, tt := range map[string]struct {
		draft Draft
		want  string
	}{
		"nothing":             {w.draft("1", plain), ""},
		"times":               {w.draft("1", kept), "0.1.0"},
		"statuses":            {Draft{Health: artifacts.Health{Status: "204"}}, "0.1.0"},
		"times and a newer":   {Draft{MinAgent: "0.2.0", Packed: []*Packed{kept}}, "0.2.0"},
		"times and an older":  {Draft{MinAgent: "0.0.9", Packed: []*Packed{kept}}, "0.1.0"},
		"only an agent's own": {Draft{MinAgent: "0.0.9"}, "0.0.9"},
		"chunk lists":         {Draft{ChunkLists: true, Packed: []*Packed{kept}}, "0.2.0"},
	} {
		if got := manifestOf(tt.draft).MinAgent; got != tt.want {
			t.Errorf("%s: min_agent %q, want %q", name, got, tt.want)
		}
	}
	released, err := Release(t.Context(), w.bucket, w.draft("1", kept))
	must(t, err)
	if !released.Manifest.Artifacts[0].KeepTimes {
		t.Error("keep_times is not in the manifest")
	}
	_, err = Release(t.Context(), w.bucket, w.draft("1", plain))
	wantIs(t, err, ErrConflict)
}
