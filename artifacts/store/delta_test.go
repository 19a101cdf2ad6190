package store

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/tree"
	"koboshi/artifacts/unpack"
)

// shelf is a tree with every kind of entry: path to content. "-> x" is a
// symbolic link, "=> x" a hard link, "x " an executable.
type shelf map[string]string

func (s shelf) tar() []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(s)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: timeOf(name)}
		data := s[name]
		if target, ok := strings.CutPrefix(data, "-> "); ok {
			h.Typeflag, h.Linkname, data = tar.TypeSymlink, target, ""
		} else if target, ok := strings.CutPrefix(data, "=> "); ok {
			h.Typeflag, h.Linkname, data = tar.TypeLink, target, ""
		} else if strings.HasSuffix(data, " ") {
			h.Mode = 0o755
		}
		h.Size = int64(len(data))
		_ = w.WriteHeader(h)
		_, _ = io.WriteString(w, data)
	}
	_ = w.Close()
	return out.Bytes()
}

// timeOf is the time of a path of a shelf.
func timeOf(name string) time.Time { return time.Unix(1_000_000_000+int64(len(name)), 0) }

// input is the release of the shelf with its index, as publish makes it.
func (s shelf) input(t *testing.T, version string) Input {
	t.Helper()
	root := must(os.OpenRoot(t.TempDir()))
	defer func() { _ = root.Close() }()
	limits := tree.Limits{Bytes: 64 << 20, Entries: 1000}
	plain := s.tar()
	entries := must(unpack.Tar(t.Context(), bytes.NewReader(plain), root, tree.Options{Limits: limits, Hash: true}))
	var index bytes.Buffer
	if err := tree.WriteIndex(&index, entries); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := gzipTo(&packed)
	_, _ = w.Write(plain)
	_ = w.Close()
	a := artifacts.Artifact{
		OS: "linux", Arch: "amd64", Format: artifacts.TarGz, Size: int64(packed.Len()), SHA256: artifacts.Sum(packed.Bytes()),
		UnpackedBytes: limits.Bytes, Entries: limits.Entries,
		Index: &artifacts.Blob{Key: "releases/" + version + "/index", Size: int64(index.Len()), SHA256: artifacts.Sum(index.Bytes())},
	}
	in := sign(version, a, &content{pieces: slice(packed.Bytes(), 1<<20)})
	in.Index = index.Bytes()
	return in
}

type memory struct{ *strings.Reader }

func (memory) Close() error { return nil }

func sumOf(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

// sinceBefore is what most tests need: to encode takes time.
var sinceBefore = sync.OnceValue(func() []byte { return after.encode(before) })

// since is the delta that makes s from base.
func (s shelf) since(base shelf) []byte {
	if maps.Equal(s, after) && maps.Equal(base, before) {
		return sinceBefore()
	}
	return s.encode(base)
}

func (s shelf) encode(base shelf) []byte {
	have, made := map[string]bool{}, map[string]bool{}
	for _, data := range base {
		have[sumOf(data)] = true
	}
	opener := func(data string) func() (delta.Reader, error) {
		return func() (delta.Reader, error) { return memory{strings.NewReader(data)}, nil }
	}
	var changed []delta.File
	for _, name := range slices.Sorted(maps.Keys(s)) {
		data, sum := s[name], sumOf(s[name])
		if data == "" || strings.HasPrefix(data, "-> ") || strings.HasPrefix(data, "=> ") || have[sum] || made[sum] {
			continue
		}
		made[sum] = true
		f := delta.File{SHA256: sum, Size: int64(len(data)), Open: opener(data)}
		if old := base[name]; old != "" {
			f.From, f.FromSize, f.OpenFrom = sumOf(old), int64(len(old)), opener(old)
		}
		changed = append(changed, f)
	}
	var object bytes.Buffer
	if err := delta.Encode(context.Background(), &object, changed, func(int64) {}); err != nil {
		panic(err)
	}
	return object.Bytes()
}

// delta is the release of the shelf as a delta from base, which is installed.
func (s shelf) fromDelta(t *testing.T, version string, base shelf, installed Release) Input {
	t.Helper()
	in, object := s.input(t, version), s.since(base)
	in.Content = &content{pieces: slice(object, 1000)}
	in.Delta = &DeltaUpdate{Base: installed, Delta: artifacts.Delta{
		Base: installed.Version(), Key: "releases/" + version + "/delta", Size: int64(len(object)), SHA256: artifacts.Sum(object),
	}}
	return in
}

var (
	before = shelf{
		"bin/web": noise[:300_000] + " ", "bin/helper": noise[300_000:400_000] + " ", "bin/x": "=> bin/helper",
		"etc/conf": "a = 1\n", "lib/same.so": noise[:70_000], "lib/so": "-> same.so", "lib/gone": "gone", "empty": "", "mode": "now executable ",
	}
	after = shelf{
		"bin/web": noise[:150_000] + "a fix" + noise[150_000:300_000] + " ", "bin/helper": noise[300_000:400_000] + " ", "bin/x": "=> bin/web",
		"etc/conf": "a = 2\n", "etc/conf.new": "b = 1\n", "etc/twice": "b = 1\n", "share/moved.so": noise[:70_000], "lib/so": "-> ../share/moved.so",
		"empty": "", "also/empty": "", "mode": "now executable ",
	}
)

// A delta update makes the same tree as the whole artifact, to the last bit.
func TestDelta(t *testing.T) {
	for name, tc := range map[string]struct{ before, after shelf }{
		"everything at once": {before, after},
		"back again":         {after, before},
		"nothing changed":    {before, before},
		"nothing in common":  {shelf{"a": "1"}, shelf{"b": noise}},
	} {
		t.Run(name, func(t *testing.T) {
			old := unix.Umask(0o077)
			defer unix.Umask(old)
			s, other := open(t), open(t)
			base := must(s.Stage(t.Context(), tc.before.input(t, "1")))
			was := picture(t, base.Dir())
			in := tc.after.fromDelta(t, "2", tc.before, base)
			if full := tc.after.input(t, "2").Artifact.Size; name == "everything at once" && in.Delta.Delta.Size > full/20 {
				t.Errorf("the delta has %d bytes, the artifact %d", in.Delta.Delta.Size, full)
			}
			r, err := s.Stage(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			whole := in
			whole.Delta, whole.Content = nil, tc.after.input(t, "2").Content
			want := must(other.Stage(t.Context(), whole))
			samePicture(t, picture(t, r.Dir()), picture(t, want.Dir()))
			samePicture(t, picture(t, base.Dir()), was)
			if diff, err := s.Verify(t.Context(), r); err != nil || !diff.Clean() {
				t.Errorf("verify: %+v, %v", diff, err)
			}
			if left := must(os.ReadDir(filepath.Join(s.Dir(), ".staging"))); len(left) != 0 {
				t.Errorf("left in .staging: %v", left)
			}
			if lent := in.Content.(*content).lent.Load(); lent != 0 {
				t.Errorf("%d pieces not released", lent)
			}
		})
	}
}

// The releases share nothing that could be written.
func TestDeltaSharesNoFile(t *testing.T) {
	s := open(t)
	base := must(s.Stage(t.Context(), before.input(t, "1")))
	r := must(s.Stage(t.Context(), after.fromDelta(t, "2", before, base)))
	name := filepath.Join(base.Dir(), "bin/helper")
	f := must(os.OpenFile(name, os.O_WRONLY, 0))
	_, err := f.WriteAt([]byte("altered later"), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if diff, err := s.Verify(t.Context(), r); err != nil || !diff.Clean() {
		t.Errorf("verify: %+v, %v", diff, err)
	}
}

func TestDeltaOfASingleFile(t *testing.T) {
	s := open(t)
	single := func(version, data string) Input {
		return files{"web": data}.release(version, artifacts.File, false)
	}
	was, is := noise[:200_000], noise[:100_000]+"!"+noise[100_000:200_000]
	base := must(s.Stage(t.Context(), single("1", was)))
	in := single("2", is)
	object := shelf{"web": is}.since(shelf{"web": was})
	in.Content = &content{pieces: slice(object, 500)}
	in.Delta = &DeltaUpdate{Base: base, Delta: artifacts.Delta{Size: int64(len(object))}}
	r, err := s.Stage(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	checkTree(t, r.Dir(), files{"web": is})
	if info := must(os.Stat(filepath.Join(r.Dir(), "web"))); info.Mode() != 0o755 {
		t.Errorf("mode %s", info.Mode())
	}
}

// Where the base was altered, the error has its path, and no release is made.
func TestDeltaFromAnAlteredBase(t *testing.T) {
	for name, tc := range map[string]struct {
		path  string
		alter func(name string) error
	}{
		"a byte of a file to reuse": {"bin/helper", flip},
		"a byte of a file to patch": {"bin/web", flip},
		"cut":                       {"bin/helper", func(name string) error { return os.Truncate(name, 5) }},
		"gone":                      {"lib/same.so", os.Remove},
		"a FIFO":                    {"bin/web", func(name string) error { return replace(name, func() error { return unix.Mkfifo(name, 0o600) }) }},
		"a link to the truth": {"lib/same.so", func(name string) error {
			return replace(name, func() error { return os.Symlink("../bin/web", name) })
		}},
		"a directory":   {"bin/helper", func(name string) error { return replace(name, func() error { return os.Mkdir(name, 0o755) }) }},
		"another index": {"index", func(name string) error { return flip(filepath.Join(filepath.Dir(name), "../meta/index")) }},
		"no index":      {"index", func(name string) error { return os.Remove(filepath.Join(filepath.Dir(name), "../meta/index")) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			base := must(s.Stage(t.Context(), before.input(t, "1")))
			if err := tc.alter(filepath.Join(base.Dir(), tc.path)); err != nil {
				t.Fatal(err)
			}
			in := after.fromDelta(t, "2", before, base)
			_, err := s.Stage(t.Context(), in)
			altered, ok := errors.AsType[*delta.BaseError](err)
			if !ok || altered.Path != tc.path || errors.Is(err, ErrDisk) {
				t.Errorf("%v", err)
			}
			checkNothing(t, s, in)
		})
	}
}

func flip(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	data[len(data)/3] ^= 1
	return os.WriteFile(name, data, 0o644)
}

func replace(name string, make func() error) error {
	return errors.Join(os.Remove(name), make())
}

func checkNothing(t *testing.T, s *Store, in Input) {
	t.Helper()
	if _, found, err := s.Find(in.Manifest); found || err != nil {
		t.Errorf("found: %v, %v", found, err)
	}
	if left := must(os.ReadDir(filepath.Join(s.Dir(), ".staging"))); len(left) != 0 {
		t.Errorf("left in .staging: %v", left)
	}
}

func TestDeltaFails(t *testing.T) {
	broken := errors.New("broken off")
	for name, tc := range map[string]struct {
		spoil func(in *Input)
		want  error
	}{
		"the bytes are not the signed ones": {func(in *Input) { in.Content.(*content).end = broken }, broken},
		"no delta":                          {func(in *Input) { in.Content = &content{pieces: slice([]byte("no delta at all, whatever its hash"), 9)} }, delta.ErrMalformed},
		"a delta of something else": {func(in *Input) {
			in.Content = &content{pieces: slice(shelf{"x": "y"}.since(before), 900)}
		}, delta.ErrMalformed},
		"a delta from something else": {func(in *Input) {
			in.Content = &content{pieces: slice(after.since(shelf{"bin/web": noise[100_000:400_000]}), 90_000)}
		}, delta.ErrBase},
		"more than the limits allow": {func(in *Input) { in.Artifact.Entries = 3 }, tree.ErrRefused},
		"more bytes than allowed":    {func(in *Input) { in.Artifact.UnpackedBytes = 100_000 }, tree.ErrRefused},
		"another index":              {func(in *Input) { in.Index = slices.Concat(in.Index, in.Index) }, artifacts.ErrIntegrity},
		"no index":                   {func(in *Input) { in.Artifact.Index = nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			base := must(s.Stage(t.Context(), before.input(t, "1")))
			in := after.fromDelta(t, "2", before, base)
			tc.spoil(&in)
			_, err := s.Stage(t.Context(), in)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || tc.want != ErrDisk && errors.Is(err, ErrDisk) { //nolint:errorlint // the sentinel of the table
				t.Errorf("got %v, want %v", err, tc.want)
			}
			checkNothing(t, s, in)
		})
	}
}

func TestDeltaEndsWithItsContext(t *testing.T) {
	s := open(t)
	base := must(s.Stage(t.Context(), before.input(t, "1")))
	in := after.fromDelta(t, "2", before, base)
	in.Content.(*content).hang = true
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(stopped)
	if _, err := s.Stage(ctx, in); !errors.Is(err, stopped) || errors.Is(err, ErrDisk) {
		t.Errorf("%v", err)
	}
	checkNothing(t, s, in)
}

// Whatever step of a delta update fails, the base is as it was, and the next one
// succeeds.
func TestDeltaFailsAtEveryStep(t *testing.T) {
	steps := 0
	for at := 1; ; at++ {
		s := open(t)
		base := must(s.Stage(t.Context(), before.input(t, "1")))
		was := picture(t, s.Dir())
		step := 0
		s.before = func(name string) error {
			if step++; step == at {
				return fmt.Errorf("%s: %w", name, unix.EIO)
			}
			return nil
		}
		in := after.fromDelta(t, "2", before, base)
		_, err := s.Stage(t.Context(), in)
		s.before = nil
		if err == nil {
			break
		}
		steps++
		if !errors.Is(err, ErrDisk) {
			t.Errorf("step %d: %v", at, err)
		}
		samePicture(t, picture(t, s.Dir()), was)
		must(s.Stage(t.Context(), after.fromDelta(t, "2", before, base)))
	}
	if steps < 5 {
		t.Errorf("failed %d times: the steps are not announced any more", steps)
	}
}
