//go:build e2e

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/failure"
	"koboshi/artifacts"
)

// TestE2EHostileArchives signs archives that publish would refuse, and boots an
// instance whose AMI has version 1 baked in. The archive is refused whole: the
// baked tree, and everything around it, is as before.
func TestE2EHostileArchives(t *testing.T) {
	l := newLab(t)
	trees := map[string]string{"1": l.release("1", 0)}
	for _, test := range []struct {
		name    string
		entries []tar.Header
		says    string
	}{
		{name: "path to the parent", entries: []tar.Header{{Name: "../../../canary", Mode: 0o644, Size: 1}}, says: `".." in a path`},
		{name: "absolute path", entries: []tar.Header{{Name: "/CANARY", Mode: 0o644, Size: 1}}, says: "absolute"},
		{name: "through a link", entries: []tar.Header{
			{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "../../.."}, {Name: "out/canary", Mode: 0o644, Size: 1}}, says: "leads through"},
		{name: "through a link inside", entries: []tar.Header{
			{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "in", Typeflag: tar.TypeSymlink, Linkname: "d"}, {Name: "in/x", Mode: 0o644, Size: 1}}, says: "leads through"},
		{name: "hard link out", entries: []tar.Header{{Name: "a", Typeflag: tar.TypeLink, Linkname: "../../../canary"}}, says: "no path in the tree"},
		{name: "set-uid", entries: []tar.Header{{Name: "a", Mode: 0o4755, Size: 1}}, says: "setuid"},
		{name: "file capability", entries: []tar.Header{{Name: "a", Mode: 0o755, Size: 1, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "x"}}}, says: "capability"},
		{name: "device", entries: []tar.Header{{Name: "a", Typeflag: tar.TypeBlock, Mode: 0o666, Devmajor: 259}}, says: "block device"},
		{name: "FIFO", entries: []tar.Header{{Name: "a", Typeflag: tar.TypeFifo, Mode: 0o666}}, says: "FIFO"},
		{name: "bomb", entries: []tar.Header{{Name: "a", Mode: 0o644, Size: 32 << 20}}, says: "1048576"},
		{name: "one good file, then a bad one", entries: []tar.Header{{Name: "VERSION", Mode: 0o644, Size: 1}, {Name: "../x", Mode: 0o644, Size: 1}}, says: `".." in a path`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := l.on(t).launch(autoscaling.LaunchOptions{})
			b.exits(0, "boot")
			b.relaunch(autoscaling.LaunchOptions{Tags: map[string]string{"koboshi:channel": "canary"}})
			must(t, os.WriteFile(b.path("canary"), []byte("sings"), 0o600))
			dir := newSealed(b)
			dir.sign("canary", archive(t, test.entries))
			before := snapshot(t, b.path("opt"))

			r := b.run("boot")
			r.want(t, failure.Archive)
			r.says(t, test.says, "from a clean tree")
			b.told("ABANDON")
			if diff := difference(before, snapshot(t, b.path("opt"))); diff != "" {
				t.Errorf("beneath the root has changed:\n%s", diff)
			}
			if data, err := os.ReadFile(b.path("canary")); string(data) != "sings" || err != nil {
				t.Errorf("the canary: %q, %v", data, err)
			}
			if _, err := os.Lstat("/CANARY"); err == nil {
				t.Error("/CANARY is there")
			}
			b.verifies("1")
			b.whole(trees)
			b.tidy()
		})
	}
}

// sealed signs releases that publish would refuse, for a bucket of the box's own.
type sealed struct {
	*box
	bucket string
}

// newSealed points the box at a bucket of its own.
func newSealed(b *box) sealed {
	s := sealed{b, strings.ToLower(b.instance.ID())}
	b.override("20-source", "source = \"s3://"+s.bucket+"/apps\"\n")
	return s
}

// sign makes an archive the release that a channel points to.
func (s sealed) sign(channel string, data []byte) {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.lab.dir, "release.key"))
	must(s.T, err)
	key, err := artifacts.ParsePrivateKey(text)
	must(s.T, err)
	now := time.Now().UTC()
	sum := artifacts.Sum(data)
	a := artifacts.Artifact{
		OS: "linux", Arch: "amd64", Key: artifacts.ArtifactKey("web", "2", "linux", "amd64", sum, artifacts.TarGz),
		Format: artifacts.TarGz, Size: int64(len(data)), SHA256: sum, UnpackedBytes: 1 << 20, Entries: 100,
	}
	manifest, err := artifacts.Manifest{Schema: artifacts.Schema, App: "web", Version: "2", Created: now, Artifacts: []artifacts.Artifact{a}}.Sign(key)
	must(s.T, err)
	pointer, err := artifacts.Pointer{
		Schema: artifacts.Schema, App: "web", Channel: channel, Sequence: now.Unix(), Version: "2", ManifestSHA256: artifacts.Sum(manifest), Issued: now,
	}.Sign(key)
	must(s.T, err)
	for name, object := range map[string][]byte{a.Key: data, artifacts.ManifestKey("2"): manifest, artifacts.PointerKey(channel): pointer} {
		s.lab.aws.S3().Put(s.bucket, "apps/web/"+name, object)
	}
}

// archive is a tar.gz of the entries, with zeros in the files.
func archive(t *testing.T, entries []tar.Header) []byte {
	t.Helper()
	var data bytes.Buffer
	zip := gzip.NewWriter(&data)
	w := tar.NewWriter(zip)
	for _, header := range entries {
		must(t, w.WriteHeader(&header))
		_, err := io.CopyN(w, zeros{}, header.Size)
		must(t, err)
	}
	must(t, w.Close())
	must(t, zip.Close())
	return data.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
