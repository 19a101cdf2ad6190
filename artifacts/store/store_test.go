package store

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

var (
	key   = must(artifacts.GenerateKey())
	trust = must(artifacts.NewTrust("1.0.0", 1, key.Public()))
	noon  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// noise is a mebibyte that does not compress.
var noise = func() string {
	data := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	return string(data)
}()

// content yields pieces, then end.
type content struct {
	pieces []tree.Frame
	hang   bool         // wait for the context at the end
	end    error        // nil = io.EOF
	lent   atomic.Int64 // pieces not yet released
}

func (c *content) Next(ctx context.Context) (tree.Frame, error) {
	if err := ctx.Err(); err != nil {
		return tree.Frame{}, context.Cause(ctx)
	}
	if len(c.pieces) == 0 {
		if c.hang {
			<-ctx.Done()
			return tree.Frame{}, context.Cause(ctx)
		}
		if c.end != nil {
			return tree.Frame{}, c.end
		}
		return tree.Frame{}, io.EOF
	}
	f := c.pieces[0]
	c.pieces = c.pieces[1:]
	c.lent.Add(1)
	f.Release = func() { c.lent.Add(-1) }
	return f, nil
}

// files is a tree: path to content.
type files map[string]string

func (f files) tar() []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(f[name]))})
		_, _ = io.WriteString(w, f[name])
	}
	_ = w.Close()
	return out.Bytes()
}

// release signs what a publisher would: one artifact of the tree in a format.
// framed cuts a tar.zst into independent frames of 1,000 plain bytes.
func (f files) release(version string, format artifacts.Format, framed bool) Input {
	data, frames := pack(f, format, framed)
	a := artifacts.Artifact{
		OS: "linux", Arch: "amd64", Format: format, Size: int64(len(data)), SHA256: artifacts.Sum(data),
		UnpackedBytes: 4 << 20, Entries: 100,
	}
	if framed {
		for _, frame := range frames {
			a.Chunks = append(a.Chunks, artifacts.Chunk{Size: int64(len(frame.Data)), SHA256: artifacts.Sum(frame.Data), Plain: frame.Plain})
		}
	}
	return sign(version, a, &content{pieces: frames})
}

func sign(version string, a artifacts.Artifact, c *content, change ...func(*artifacts.Manifest)) Input {
	a.Key = artifacts.ArtifactKey("web", version, a.OS, a.Arch, a.SHA256, a.Format)
	m := artifacts.Manifest{Schema: 1, App: "web", Version: version, Created: noon, Artifacts: []artifacts.Artifact{a}}
	for _, f := range change {
		f(&m)
	}
	verified := must(trust.Manifest(must(m.Sign(key)), artifacts.Reference{App: "web", Version: version}))
	return Input{Manifest: verified, Artifact: a, Pointer: pointerTo(verified, "stable", 7), Seen: noon, Content: c}
}

func pointer(m *artifacts.VerifiedManifest, channel string, sequence int64) artifacts.Pointer {
	return artifacts.Pointer{
		Schema: 1, App: "web", Channel: channel, Sequence: sequence,
		Version: m.Manifest().Version, ManifestSHA256: m.SHA256(), Issued: noon,
	}
}

func pointerTo(m *artifacts.VerifiedManifest, channel string, sequence int64) *artifacts.VerifiedPointer {
	p := pointer(m, channel, sequence)
	return must(trust.Pointer(must(p.Sign(key)), "web", channel))
}

func pack(f files, format artifacts.Format, framed bool) ([]byte, []tree.Frame) {
	var out bytes.Buffer
	switch format {
	case artifacts.File:
		out.WriteString(f["web"])
	case artifacts.TarGz:
		w := gzip.NewWriter(&out)
		_, _ = w.Write(f.tar())
		_ = w.Close()
	case artifacts.TarZst:
		enc := must(zstd.NewWriter(nil))
		if framed {
			return packFrames(enc, f.tar())
		}
		out.Write(enc.EncodeAll(f.tar(), nil))
	}
	return out.Bytes(), slice(out.Bytes(), max(100, out.Len()/20))
}

func packFrames(enc *zstd.Encoder, plain []byte) (all []byte, frames []tree.Frame) {
	for part := range slices.Chunk(plain, 1000) {
		frame := enc.EncodeAll(part, nil)
		frames = append(frames, tree.Frame{Data: frame, Plain: int64(len(part))})
		all = append(all, frame...)
	}
	return all, frames
}

func slice(data []byte, n int) (pieces []tree.Frame) {
	var at int64
	for part := range slices.Chunk(data, n) {
		pieces = append(pieces, tree.Frame{Data: part, At: at})
		at += int64(len(part))
	}
	return pieces
}

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "web"), trust)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// stage makes a release of one file with its own version as content.
func stage(t *testing.T, s *Store, version string) Release {
	t.Helper()
	r, err := s.Stage(t.Context(), files{"bin/web": version}.release(version, artifacts.TarZst, true))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// meta is a file of what the store knows of a release.
func meta(r Release, name string) string { return filepath.Join(filepath.Dir(r.Dir()), "meta", name) }

func activate(t *testing.T, s *Store, r Release) {
	t.Helper()
	if err := s.Activate(r); err != nil {
		t.Fatal(err)
	}
}

func healthyNow(t *testing.T, s *Store, r Release, instance string, at time.Time) {
	t.Helper()
	if err := s.MarkHealthy(r, Place{Instance: instance}, at); err != nil {
		t.Fatal(err)
	}
}

// picture is all entries beneath dir: type, permissions and content by path.
func picture(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what += " " + string(data)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			what += " " + target
		}
		name, err := filepath.Rel(dir, path)
		all[name] = what
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func samePicture(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name := range maps.All(want) {
		if got[name] != want[name] {
			t.Errorf("%s: %q, was %q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is new: %q", name, got[name])
		}
	}
}

func ids(releases []Release) (ids []string) {
	for _, r := range releases {
		ids = append(ids, strings.SplitN(r.ID(), "-", 2)[0])
	}
	return ids
}

// gzipTo stores without compressing, since noise does not get smaller.
func gzipTo(w io.Writer) io.WriteCloser { return must(gzip.NewWriterLevel(w, gzip.NoCompression)) }
