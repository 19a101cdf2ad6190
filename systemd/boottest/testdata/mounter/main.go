// Command mounter installs so many releases one after the other, each an image, and keeps
// two of them, as the agent does. Then it reports what is left, in a line of JSON.
//
//	mounter ROOT RELEASES
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"koboshi/agent/mounts"
	"koboshi/artifacts"
	"koboshi/artifacts/image"
	"koboshi/artifacts/store"
	"koboshi/artifacts/tree"
)

// left is how much there is of each, before and after.
type left struct {
	Descriptors int // of this process
	OfPID1      int // descriptors
	Mounts      int
	Units       int // transient ones
	Staging     int
}

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, root, releases string) error {
	many, err := strconv.Atoi(releases)
	if err != nil {
		return err
	}
	key, err := artifacts.GenerateKey()
	if err != nil {
		return err
	}
	trust, err := artifacts.NewTrust("1.0.0", 1, key.Public())
	if err != nil {
		return err
	}
	s, err := store.Open(root, trust)
	if err != nil {
		return err
	}
	var warned []string
	s.Mounts = mounts.New(func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) })
	m := &maker{s, key, trust}
	var seen []left
	for n := range many {
		if err := m.install(ctx, strconv.Itoa(n)); err != nil {
			return fmt.Errorf("release %d: %w", n, err)
		}
		if n == 2 || n == many-1 { // two are kept by then
			seen = append(seen, look(root))
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"Before": seen[0], "After": seen[1], "Warned": warned})
}

type maker struct {
	store *store.Store
	key   artifacts.PrivateKey
	trust artifacts.Trust
}

// install makes a release current that has one file, its version.
func (m *maker) install(ctx context.Context, version string) error {
	in, err := m.release(version)
	if err != nil {
		return err
	}
	r, err := m.store.Stage(ctx, in)
	if err != nil {
		return err
	}
	if err := m.store.Mount(ctx, r); err != nil {
		return err
	}
	if err := m.store.Activate(r); err != nil {
		return err
	}
	if err := m.store.MarkHealthy(r, store.Place{Instance: "i-1"}, time.Unix(1, 0)); err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(m.store.Dir(), "current/VERSION"))
	if err != nil || string(got) != version {
		return fmt.Errorf("VERSION is %q, want %q: %w", got, version, err)
	}
	_, err = m.store.Prune(ctx, 2)
	return err
}

func (m *maker) release(version string) (in store.Input, err error) {
	w, err := image.NewWriter([]tree.Entry{{Path: "VERSION", Type: tree.TypeFile, Mode: 0o644, Size: int64(len(version))}}, time.Unix(1, 0))
	if err != nil {
		return in, err
	}
	var out bytes.Buffer
	if err := w.Write(&out, func(int) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(version)), nil }); err != nil {
		return in, err
	}
	sum, size := artifacts.Sum(out.Bytes()), int64(out.Len())
	a := artifacts.Artifact{
		OS: "linux", Arch: "amd64", Key: artifacts.ArtifactKey("web", version, "linux", "amd64", sum, artifacts.Erofs), Format: artifacts.Erofs, Size: size, SHA256: sum,
		UnpackedBytes: 100, Entries: 1, Chunks: []artifacts.Chunk{{Size: size, SHA256: sum}},
		Image: &artifacts.Image{Size: size, Pieces: artifacts.SumOf([]artifacts.Digest{sum})},
	}
	signed, err := artifacts.Manifest{Schema: 1, App: "web", Version: version, Created: time.Unix(1, 0).UTC(), MinAgent: "0.1.0", Artifacts: []artifacts.Artifact{a}}.Sign(m.key)
	if err != nil {
		return in, err
	}
	manifest, err := m.trust.Manifest(signed, artifacts.Reference{App: "web", Version: version})
	return store.Input{Manifest: manifest, Artifact: a, Seen: time.Unix(1, 0), Content: &whole{out.Bytes()}}, err
}

// whole is content in one piece.
type whole struct{ data []byte }

// Next implements [store.Content].
func (w *whole) Next(context.Context) (tree.Frame, error) {
	if w.data == nil {
		return tree.Frame{}, io.EOF
	}
	f := tree.Frame{Data: w.data}
	w.data = nil
	return f, nil
}

func look(root string) (l left) {
	for pattern, count := range map[string]*int{
		"/proc/self/fd/*": &l.Descriptors, "/proc/1/fd/*": &l.OfPID1, "/run/systemd/transient/*.mount": &l.Units,
	} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			log.Fatal(err)
		}
		*count = len(names)
	}
	staging, err := os.ReadDir(filepath.Join(root, ".staging"))
	if err != nil {
		log.Fatal(err)
	}
	l.Staging = len(staging)
	mounted, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		log.Fatal(err)
	}
	l.Mounts = bytes.Count(mounted, []byte(" erofs "))
	return l
}
