package format

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

func TestOf(t *testing.T) {
	for _, f := range all() {
		if got, err := Of(artifacts.Artifact{Format: f.Info().Name}); err != nil || got.Info().Name != f.Info().Name {
			t.Errorf("%s: %v, %v", f.Info().Name, got, err)
		}
	}
	if _, err := Of(artifacts.Artifact{Format: "later"}); !errors.Is(err, artifacts.ErrTooOld) {
		t.Errorf("a format of a later agent: %v", err)
	}
}

func TestByName(t *testing.T) {
	for name, want := range map[string]artifacts.Format{
		"web": artifacts.File, "web.bin": artifacts.File, "tar.gz": artifacts.File, "web.gz": artifacts.File,
		"web.tar.gz": artifacts.TarGz, "WEB.TGZ": artifacts.TarGz, "web-1.2.tar.zst": artifacts.TarZst,
	} {
		if f := ByName(name); f.Info().Name != want {
			t.Errorf("%s: %v, want %q", name, f, want)
		}
	}
}

func TestKnown(t *testing.T) {
	index := &artifacts.Blob{}
	for name, test := range map[string]struct {
		a    artifacts.Artifact
		want bool
	}{
		"a file":                   {artifacts.Artifact{Format: artifacts.File}, true},
		"an archive":               {artifacts.Artifact{Format: artifacts.TarZst}, false},
		"an archive with an index": {artifacts.Artifact{Format: artifacts.TarGz, Index: index}, true},
		"a delta":                  {artifacts.Delta{}.Object(), false},
	} {
		if Known(test.a) != test.want {
			t.Errorf("%s: %v", name, !test.want)
		}
	}
}

// Bytes that end before the frames do, or frames where there can be none, are
// refused, and every frame is released.
func TestStageRefuses(t *testing.T) {
	zeros := make([]byte, 1024) // the end of a tar
	for name, a := range map[string]artifacts.Artifact{
		"no gzip":          {Format: artifacts.TarGz},
		"no zstd":          {Format: artifacts.TarZst},
		"no frame":         {Format: artifacts.TarZst, Chunks: []artifacts.Chunk{{Plain: 1024}}},
		"more than a file": {Format: artifacts.File, UnpackedBytes: 1023, Entries: 1},
	} {
		dir, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		f, err := Of(a)
		if err != nil {
			t.Fatal(err)
		}
		left := 3
		var lent atomic.Int64
		_, err = f.Stage(t.Context(), Target{App: "web", Artifact: a, Tree: dir}, func(context.Context) (tree.Frame, error) {
			if left--; left < 0 {
				return tree.Frame{}, io.EOF
			}
			lent.Add(1)
			return tree.Frame{Data: zeros, Plain: 1024, Release: func() { lent.Add(-1) }}, nil
		})
		if !errors.Is(err, tree.ErrRefused) || lent.Load() != 0 {
			t.Errorf("%s: %v, %d frames not released", name, err, lent.Load())
		}
		if err := dir.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Only io.EOF of the content means that its hash was verified: a decoder must
// not end before it.
func TestStageWantsTheEnd(t *testing.T) {
	early := archive{open: func(context.Context, Target, *Reader) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(make([]byte, 1024))), nil
	}}
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	_, err = early.Stage(t.Context(), Target{Tree: dir}, func(context.Context) (tree.Frame, error) {
		return tree.Frame{Data: []byte("more")}, nil
	})
	if !errors.Is(err, tree.ErrRefused) {
		t.Errorf("%v", err)
	}
}

func TestGzipHasNoFrames(t *testing.T) {
	framed := artifacts.Artifact{Format: artifacts.TarGz, Chunks: []artifacts.Chunk{{Plain: 1}}}
	if _, err := openGzip(t.Context(), Target{Artifact: framed}, nil); !errors.Is(err, tree.ErrRefused) {
		t.Errorf("%v", err)
	}
}
