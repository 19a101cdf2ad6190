package publish

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

func TestReadyArchives(t *testing.T) {
	top := sample(t)
	must(t, os.Remove(filepath.Join(top, "deep", strings.Repeat("long", 40), "ünï")))
	for _, name := range []string{"x.tar.gz", "x.TGZ", "x.tar.zst"} {
		path := filepath.Join(t.TempDir(), name)
		if strings.HasSuffix(name, "zst") {
			p := pack(t, top)
			data, err := io.ReadAll(io.NewSectionReader(p, 0, p.Artifact().Size))
			must(t, err)
			must(t, os.WriteFile(path, data, 0o644))
		} else if out, err := exec.Command("tar", "-czf", path, "-C", top, ".").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		p := pack(t, path)
		a := p.Artifact()
		if a.Framed() || a.Entries != 11 || a.UnpackedBytes != 100+5000+100<<10+10 || len(a.Chunks) != int(a.Size>>22)+1 {
			t.Errorf("%s: packed as %+v", name, a)
		}
		if want := artifacts.Sum(readFile(t, path)); a.SHA256 != want {
			t.Errorf("%s: hash %s, want that of the file, %s", name, a.SHA256, want)
		}
		checkBytes(t, p)
		if index, err := tree.ReadIndex(t.Context(), p.Index(), int(a.Entries)); err != nil || len(index) != int(a.Entries) {
			t.Errorf("%s: index of %d entries and %v", name, len(index), err)
		}
	}
}

func TestExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server")
	must(t, os.WriteFile(path, bytes.Repeat(noise(1<<20), 9), 0o600))
	p := pack(t, path)
	if a := p.Artifact(); a.Format != artifacts.File || a.Entries != 1 || a.UnpackedBytes != 9<<20 || len(a.Chunks) != 3 || p.Index() != nil {
		t.Errorf("packed as %+v", a)
	}
	checkBytes(t, p)
	must(t, os.Truncate(path, 0))
	checkBytes(t, p) // what happens to the original changes nothing
}

func TestFileModifiedWhileCopied(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"touched": func(path string) error { return os.Chtimes(path, time.Now(), time.Unix(1, 0)) },
		"cut":     func(path string) error { return os.Truncate(path, 5<<20) },
		"grown":   func(path string) error { return os.Truncate(path, 10<<20) },
	} {
		path, temp := filepath.Join(t.TempDir(), "server"), t.TempDir()
		must(t, os.WriteFile(path, make([]byte, 9<<20), 0o755))
		var once bool
		_, err := Pack(t.Context(), "linux/amd64", path, Options{TempDir: temp, Progress: func(int64, int64) {
			if !once {
				once = true
				must(t, spoil(path))
			}
		}})
		if !errors.Is(err, ErrModified) {
			t.Errorf("%s: got %v, want %v", name, err, ErrModified)
		}
		wantEmpty(t, temp)
	}
}

func TestRefusedFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, data, 0o644))
		return path
	}
	must(t, syscall.Mkfifo(dir+"/fifo", 0o644))
	must(t, os.Symlink("/etc", dir+"/abs"))
	if out, err := exec.Command("tar", "-czf", dir+"/hostile.tgz", "-C", dir, "abs").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(t, os.Mkdir(dir+"/void", 0o755))
	for path, want := range map[string]error{
		dir + "/hostile.tgz":                  tree.ErrRefused,
		file("torn.tar.gz", noise(100)):       tree.ErrRefused,
		file("torn.tar.zst", noise(100)):      tree.ErrRefused,
		file("empty", nil):                    nil,
		file("app.zip", []byte("PK\x03\x04")): nil,
		file("app.tar", noise(10)):            nil,
		dir + "/fifo":                         nil,
		dir + "/void":                         nil,
		dir + "/missing":                      fs.ErrNotExist,
	} {
		temp := t.TempDir()
		_, err := Pack(t.Context(), "linux/amd64", path, Options{TempDir: temp})
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error that names it, %v", path, err, want)
		}
		wantEmpty(t, temp)
	}
	if _, err := Pack(t.Context(), "linux/amd64", dir+"/fifo", Options{}); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("FIFO: got %v", err)
	}
	for _, platform := range []string{"", "linux", "linux/", "/amd64", "linux/amd64/v3", "Linux/amd64"} {
		if _, err := Pack(t.Context(), platform, file("x", noise(1)), Options{}); err == nil {
			t.Errorf("platform %q was taken", platform)
		}
	}
}
