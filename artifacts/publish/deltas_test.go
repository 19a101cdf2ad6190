package publish

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/tree"
)

// folder is a directory with these files.
func (w *world) folder(files map[string][]byte) string {
	w.Helper()
	top := w.TempDir()
	for name, data := range files {
		must(w.T, os.MkdirAll(filepath.Join(top, filepath.Dir(name)), 0o755))
		must(w.T, os.WriteFile(filepath.Join(top, name), data, 0o644))
	}
	return top
}

// versions are two trees with much in common.
func versions() (before, after map[string][]byte) {
	large := noise(100_000)
	before = map[string][]byte{"same": noise(40_000), "lib-1.0/large.so": large, "gone": []byte("gone"), "empty": nil, "edited": noise(30_000)}
	after = map[string][]byte{
		"renamed": before["same"], "lib-1.1/large.so": slices.Concat(large[:50_000], []byte("a fix"), large[50_000:]),
		"empty": nil, "edited": slices.Concat([]byte("first"), before["edited"]), "copy/edited": slices.Concat([]byte("first"), before["edited"]),
	}
	return before, after
}

func (w *world) base(version string) Base {
	return Base{Bucket: w.bucket, App: "web", Version: version, Keys: []artifacts.PrivateKey{w.key}}
}

// published is version 1 with the tree before, and after packed.
func published(t *testing.T) (*world, *Packed) {
	t.Helper()
	w := newWorld(t)
	before, after := versions()
	_, err := Release(t.Context(), w.bucket, w.draft("1", w.pack("linux/amd64", w.folder(before))))
	must(t, err)
	return w, w.pack("linux/amd64", w.folder(after))
}

func (w *world) addDeltas(p *Packed, from Base) []Outcome {
	w.Helper()
	all, err := AddDeltas(w.Context(), from, []*Packed{p}, Options{TempDir: w.TempDir()})
	must(w.T, err)
	return all
}

// A release with a delta names it, and what it makes is what the index says.
func TestDeltas(t *testing.T) {
	w, p := published(t)
	all := w.addDeltas(p, w.base("1"))
	if len(all) != 1 || all[0].Left != "" || all[0].Size > 2000 || all[0].Base != "1" || all[0].Platform != "linux/amd64" {
		t.Fatalf("outcome %+v", all)
	}
	released, err := Release(t.Context(), w.bucket, w.draft("2", p))
	must(t, err)
	a := released.Manifest.Artifacts[0]
	if len(a.Deltas) != 1 || a.Deltas[0].Size != all[0].Size || !strings.HasPrefix(a.Deltas[0].Key, "releases/2/web-linux-amd64-from-1-"+a.Deltas[0].SHA256.Short()) {
		t.Fatalf("deltas %+v", a.Deltas)
	}
	object := w.bucket.Bytes(a.Deltas[0].Key)
	must(t, artifacts.CheckSum("delta", object, a.Deltas[0].Size, a.Deltas[0].SHA256))
	w.makes(object, w.bucket.Bytes(a.Index.Key))
}

// makes compares what a delta makes from version 1 with an index. Only the
// file that is in version 1 under another name is not in the delta.
func (w *world) makes(object, index []byte) {
	w.Helper()
	d, err := delta.Open(bytes.NewReader(object), int64(len(object)))
	must(w.T, err)
	entries, err := tree.ReadIndex(w.Context(), index, 100)
	must(w.T, err)
	before, _ := versions()
	base := w.pack("linux/amd64", w.folder(before))
	x, err := extractToTemp(w.Context(), base.file, base.artifact, w.TempDir())
	must(w.T, err)
	defer func() { must(w.T, x.Close()) }()
	made, err := os.OpenRoot(w.TempDir())
	must(w.T, err)
	defer func() { must(w.T, made.Close()) }()
	must(w.T, d.Apply(w.Context(), made, entries, x.Tree, tree.Options{Limits: tree.Limits{Bytes: 1 << 20, Entries: 100}}))
	diff, err := tree.Verify(w.Context(), made, tree.AnyOwner, entries)
	must(w.T, err)
	if !diff.Clean() {
		w.Errorf("the delta makes something else: %+v", diff)
	}
	for _, e := range entries {
		_, unchanged := map[string]bool{"renamed": true, "empty": true}[e.Path]
		if p, ok := d.Piece(e.SHA256); e.Type == tree.TypeFile && ok == unchanged || ok && p.From == "" {
			w.Errorf("%s: piece %+v, %v", e.Path, p, ok)
		}
	}
}

// Publishing again is a success with the same bases, however far the first one
// came, and a conflict with others.
func TestDeltasAreImmutable(t *testing.T) {
	w, p := published(t)
	_, after := versions()
	w.addDeltas(p, w.base("1"))
	first, err := Release(t.Context(), w.bucket, w.draft("2", p))
	must(t, err)
	again := w.pack("linux/amd64", w.folder(after))
	w.addDeltas(again, w.base("1"))
	for name, delete := range map[string]bool{"whole": false, "without its manifest": true} {
		if delete {
			w.bucket.Drop(artifacts.ManifestKey("2"))
		}
		released, err := Release(t.Context(), w.bucket, w.draft("2", again))
		must(t, err)
		if released.Already == delete || released.Manifest.Artifacts[0].Deltas[0] != first.Manifest.Artifacts[0].Deltas[0] {
			t.Errorf("%s: %+v", name, released)
		}
	}
	_, err = Release(t.Context(), w.bucket, w.draft("2", w.pack("linux/amd64", w.folder(after))))
	conflict, ok := errors.AsType[*ConflictError](err)
	if !ok || conflict.What != deltas || conflict.Mine != "none" || !strings.HasPrefix(conflict.Published, "1 (linux/amd64, sha256 ") {
		t.Errorf("without a base: %v", err)
	}
}

// A promotion wants every delta to be there.
func TestPromoteLooksForDeltas(t *testing.T) {
	w, p := published(t)
	w.addDeltas(p, w.base("1"))
	released, err := Release(t.Context(), w.bucket, w.draft("2", p))
	must(t, err)
	w.promote("2")
	w.bucket.Drop(released.Manifest.Artifacts[0].Deltas[0].Key)
	_, err = Promote(t.Context(), w.bucket, w.promotion("2"))
	wantIs(t, err, bucket.ErrNotFound)
}

func TestDeltasAcrossFormats(t *testing.T) {
	w := newWorld(t)
	data := noise(50_000)
	single := func(data []byte) *Packed {
		path := filepath.Join(t.TempDir(), "web")
		must(t, os.WriteFile(path, data, 0o755))
		return w.pack("linux/amd64", path)
	}
	_, err := Release(t.Context(), w.bucket, w.draft("1", single(data)))
	must(t, err)
	_, err = Release(t.Context(), w.bucket, w.draft("2", w.pack("linux/amd64", w.folder(map[string][]byte{"bin/web": data}))))
	must(t, err)
	edited := slices.Concat(data, []byte("edited"))
	for name, test := range map[string]struct {
		packed *Packed
		base   string
		small  bool
	}{
		"file from file":            {single(edited), "1", true},
		"tree from file":            {w.pack("linux/amd64", w.folder(map[string][]byte{"bin/server": data})), "1", true},
		"another platform":          {w.pack("linux/arm64", w.folder(map[string][]byte{"bin/web": data})), "1", false},
		"nothing in common":         {single(noise(1 << 16)[1000:]), "2", false},
		"tree with no similar file": {w.pack("linux/amd64", w.folder(map[string][]byte{"else": noise(100_000)[50_000:]})), "2", false},
	} {
		if all := w.addDeltas(test.packed, w.base(test.base)); test.small != (all[0].Left == "" && all[0].Size < 1000) || test.small != (len(test.packed.deltas) == 1) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

// Nothing of a base is used that was not signed.
func TestBasesAreVerified(t *testing.T) {
	stranger := newKey(t)
	for name, test := range map[string]struct {
		spoil func(w *world, from *Base, artifact string)
		want  error
	}{
		"nothing there":        {func(_ *world, from *Base, _ string) { from.Version = "0" }, bucket.ErrNotFound},
		"signed by another":    {func(_ *world, from *Base, _ string) { from.Keys = []artifacts.PrivateKey{stranger} }, artifacts.ErrUntrusted},
		"an altered artifact":  {func(w *world, _ *Base, key string) { w.bucket.Replace(key, noise(len(w.bucket.Bytes(key)))) }, artifacts.ErrIntegrity},
		"a shorter artifact":   {func(w *world, _ *Base, key string) { w.bucket.Replace(key, noise(9)) }, artifacts.ErrIntegrity},
		"an artifact is gone":  {func(w *world, _ *Base, key string) { w.bucket.Drop(key) }, bucket.ErrNotFound},
		"trust says it is not": {func(w *world, from *Base, _ string) { from.Trust, _ = trustIn([]artifacts.PrivateKey{stranger}) }, artifacts.ErrUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := published(t)
			manifest, err := readManifest(t.Context(), w.bucket, w.trust(), "web", "1")
			must(t, err)
			from := w.base("1")
			test.spoil(w, &from, manifest.Manifest().Artifacts[0].Key)
			temp := t.TempDir()
			_, err = AddDeltas(t.Context(), from, []*Packed{p}, Options{TempDir: temp})
			wantIs(t, err, test.want)
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}
