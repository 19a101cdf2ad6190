//go:build e2e

package publish

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"koboshi/artifacts/image"
	"koboshi/artifacts/tree"
)

// The programs of Debian make images with the same tree, twice the same bytes.
func TestE2ETools(t *testing.T) {
	top := imageTree(t)
	must(t, os.WriteFile(filepath.Join(top, "numbers"), numbers(3<<20), 0o644))
	for kind := range tools() {
		before := e2eImage(t, top, kind)
		p := e2eImage(t, top, kind)
		if before.artifact.SHA256 != p.artifact.SHA256 {
			t.Errorf("%s: two images of one tree differ", kind)
		}
		entries, _ := stageImage(t, p)
		index, err := tree.ReadIndex(t.Context(), p.index, tree.MaxEntries)
		must(t, err)
		if diff := tree.Difference(withoutHashes(index), entries); !diff.Clean() || len(entries) != 8 || string(p.artifact.Format) != kind {
			t.Errorf("%s: %+v, %d entries, %s", kind, diff, len(entries), p.artifact.Format)
		}
	}
}

func e2eImage(t *testing.T, top, kind string) *Packed {
	t.Helper()
	in, err := Read(t.Context(), top, Options{TempDir: t.TempDir()})
	must(t, err)
	p, err := in.PackImage(t.Context(), "linux/amd64", kind)
	must(t, err)
	must(t, in.Close())
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

// The samples that an instance tries were made by these programs: nothing else is in
// them.
func TestE2ESamples(t *testing.T) {
	top := t.TempDir()
	text := bytes.Repeat([]byte("a sample of an image, with a text that is compressed\n"), 300)[:12288]
	must(t, os.WriteFile(filepath.Join(top, "sample"), text, 0o644))
	must(t, os.Chtimes(filepath.Join(top, "sample"), imageTime, imageTime))
	must(t, os.Chtimes(top, imageTime, imageTime))
	made := map[string][]byte{}
	for _, kind := range ImageKinds() {
		_, made[kind] = stageImage(t, e2eImage(t, top, kind))
	}
	gzip := filepath.Join(t.TempDir(), "image")
	out, err := exec.Command("mksquashfs", top, gzip, "-noappend", "-quiet", "-no-progress", "-comp", "gzip", "-b", "128K", "-all-root", "-no-xattrs", "-mkfs-time", "1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made["squashfs-gzip"] = readFile(t, gzip)
	for kind, data := range made {
		if sample, err := image.Sample(kind); err != nil || !bytes.Equal(sample, data) {
			t.Errorf("%s: %v, the sample has %d bytes, one that is made now %d", kind, err, len(sample), len(data))
		}
	}
}

// fsck.erofs of the same version unpacks an image with zstd to the tree that it was
// made of, and so does this kernel.
func TestE2EErofsZstd(t *testing.T) {
	top := imageTree(t)
	for _, name := range []string{"numbers", "again"} { // mkfs.erofs stores equal files once, the second one with a full map
		must(t, os.WriteFile(filepath.Join(top, name), numbers(3<<20+1001), 0o644))
	}
	_, data := stageImage(t, e2eImage(t, top, "erofs-zstd"))
	dir := t.TempDir()
	path, unpacked, mounted := filepath.Join(dir, "image"), filepath.Join(dir, "unpacked"), filepath.Join(dir, "mounted")
	must(t, os.WriteFile(path, data, 0o644))
	must(t, os.Mkdir(mounted, 0o755))
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Errorf("%s %q: %v: %s", name, args, err, out)
		}
	}
	run("fsck.erofs", "--extract="+unpacked, path)
	run("diff", "-r", top, unpacked)
	run("mount", "-o", "loop,ro", path, mounted)
	run("diff", "-r", top, mounted)
	run("umount", mounted)
}

// numbers is text that is compressed to about a third.
func numbers(size int) (b []byte) {
	for i := 0; len(b) < size; i++ {
		b = append(strconv.AppendInt(b, int64(i)*7919, 10), '\n')
	}
	return b[:size]
}
