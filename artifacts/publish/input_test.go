package publish

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

// An archive gives the bytes that its directory gives.
func TestArchivesAreConverted(t *testing.T) {
	top := sample(t)
	want := pack(t, top).Artifact().SHA256
	dir := t.TempDir()
	for _, how := range []string{"cf x.tar", "czf x.tar.gz", "cJf x.tar.xz", "cjf x.tar.bz2"} {
		flags, name, _ := strings.Cut(how, " ")
		path := filepath.Join(dir, name)
		run(t, "tar", "--sort=none", "-"+flags, path, "-C", top, ".")
		in := readInput(t, path, Options{})
		in.ready = "" // a tar.gz could stay as it is
		if got := packed(t, in).Artifact(); got.SHA256 != want || !got.Framed() {
			t.Errorf("%s: %s in %s, want %s", name, got.SHA256, got.Format, want)
		}
		wantEmpty(t, in.opt.TempDir)
	}
	must(t, os.Remove(filepath.Join(top, "twin"))) // a zip has no hard links
	want = pack(t, top).Artifact().SHA256
	path := filepath.Join(dir, "x.zip")
	zipTree(t, path, top)
	if got := packed(t, readInput(t, path, Options{})).Artifact(); got.SHA256 != want {
		t.Errorf("zip: %s, want %s", got.SHA256, want)
	}
}

func run(t *testing.T, command ...string) {
	t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", command, err, out)
	}
}

// zipTree names no directory that is not empty, as many tools do.
func zipTree(t *testing.T, path, top string) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	must(t, filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		must(t, err)
		relative, err := filepath.Rel(top, name)
		must(t, err)
		header, err := zip.FileInfoHeader(info)
		must(t, err)
		header.Name = relative
		var body []byte
		switch {
		case d.IsDir():
			if relative != "hollow" {
				return nil
			}
			header.Name += "/"
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			must(t, err)
			body = []byte(target)
		default:
			body = readFile(t, name)
		}
		w, err := z.CreateHeader(header)
		must(t, err)
		_, err = w.Write(body)
		return err
	}))
	must(t, z.Close())
	must(t, os.WriteFile(path, b.Bytes(), 0o644))
}

func readInput(t *testing.T, path string, opt Options) *Input {
	t.Helper()
	if opt.TempDir == "" {
		opt.TempDir = t.TempDir()
	}
	in, err := Read(t.Context(), path, opt)
	must(t, err)
	t.Cleanup(func() { must(t, in.Close()) })
	return in
}

func packed(t *testing.T, in *Input) *Packed {
	t.Helper()
	p, err := in.Pack(t.Context(), "linux/amd64")
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

// tarOf writes an archive; the body of a file is its name.
func tarOf(t *testing.T, headers ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		body := ""
		if h.Typeflag == tar.TypeReg {
			body = h.Name
		}
		h.Size = int64(len(body))
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		must(t, w.WriteHeader(&h))
		_, err := io.WriteString(w, body)
		must(t, err)
	}
	must(t, w.Close())
	path := filepath.Join(t.TempDir(), "x.tar")
	must(t, os.WriteFile(path, b.Bytes(), 0o644))
	return path
}

func file(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }

func hard(name, to string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}
}

// contents is what an artifact holds: "path" of a directory, "path=bytes" of a
// file, "path>target" of a link.
func contentsOf(t *testing.T, p *Packed) (all []string) {
	t.Helper()
	dir, entries := unpackFrames(t, p)
	for _, e := range entries {
		switch e.Type {
		case tree.TypeFile:
			all = append(all, e.Path+"="+string(readFile(t, filepath.Join(dir, e.Path))))
		case tree.TypeDir:
			all = append(all, e.Path)
		default:
			all = append(all, e.Path+">"+e.Link)
		}
	}
	return all
}

// What archives leave out is added, and their order is that of a tree: the first
// name of a file with several is the file.
func TestOrderOfArchives(t *testing.T) {
	path := tarOf(t, file("./z/late"), hard("a", "z/late"), hard("b/link", "./a"), file("a.b"), tar.Header{Name: "z/", Typeflag: tar.TypeDir})
	got := contentsOf(t, packed(t, readInput(t, path, Options{})))
	if want := []string{"a=./z/late", "a.b=a.b", "b", "b/link>a", "z", "z/late>a"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Nothing in an archive is written by its name, and every bad one is reported.
func TestHostileArchives(t *testing.T) {
	path := tarOf(t, file("../up"), file("/abs"), file("a/../../b"), file("good"), file("good"), file("d"), file("d/in-file"), hard("h", "nothing"),
		tar.Header{Name: "s", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, tar.Header{Name: "fifo", Typeflag: tar.TypeFifo})
	in := readInput(t, path, Options{})
	var got []string
	for _, f := range in.Findings() {
		if f.Level == lint.Error {
			got = append(got, f.Check+" "+f.Path)
		}
		if f.Path == "good" && f.Text != "a file where there is a file already" {
			t.Errorf("a file twice: %s", f.Text)
		}
	}
	slices.Sort(got)
	want := []string{"link s", "name ../up", "name /abs", "name a/../../b", "name d", "name d/in-file", "name good", "name h", "special fifo"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if _, err := in.Pack(t.Context(), "linux/amd64"); !errors.Is(err, tree.ErrRefused) {
		t.Errorf("packed all the same: %v", err)
	}
	wantEmpty(t, in.opt.TempDir)
}

func TestHostileZip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.zip")
	f, err := os.Create(path)
	must(t, err)
	z := zip.NewWriter(f)
	for _, name := range []string{"../up", "/abs", "a/../../b", "good", "d", "d/in-file"} {
		_, err := z.Create(name)
		must(t, err)
	}
	must(t, errors.Join(z.Close(), f.Close()))
	in := readInput(t, path, Options{})
	var got []string
	for _, f := range in.Findings() {
		if f.Level == lint.Error {
			got = append(got, f.Check+" "+f.Path)
		}
	}
	slices.Sort(got)
	if want := []string{"name ../up", "name /abs", "name a/../../b", "name d", "name d/in-file"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if _, err := in.Pack(t.Context(), "linux/amd64"); !errors.Is(err, tree.ErrRefused) {
		t.Errorf("packed all the same: %v", err)
	}
}

func TestStripAndExclude(t *testing.T) {
	for _, test := range []struct {
		name  string
		files []tar.Header
		opt   Options
		want  []string
	}{
		{"a name", []tar.Header{file("a"), file("d/a"), file("d/b")}, Options{Exclude: []string{"a"}}, []string{"d", "d/b=d/b"}},
		{"a path", []tar.Header{file("a"), file("d/a")}, Options{Exclude: []string{"/a"}}, []string{"d", "d/a=d/a"}},
		{"a directory", []tar.Header{file("d/a"), file("e/d"), file("f")}, Options{Exclude: []string{"d/"}}, []string{"e", "e/d=e/d", "f=f"}},
		{"globs", []tar.Header{file("a.pyc"), file("x/b.pyc"), file("x/c.py"), file("x/y/z/t.md")}, Options{Exclude: []string{"*.pyc", "x/**/*.md"}},
			[]string{"x", "x/c.py=x/c.py", "x/y", "x/y/z"}},
		{"a folder off", []tar.Header{file("web-1/a"), file("web-1/d/b"), file("other/c")}, Options{Strip: 1}, []string{"a=web-1/a", "c=other/c", "d", "d/b=web-1/d/b"}},
		{"folders that meet", []tar.Header{file("x/lib/a"), file("y/lib/b")}, Options{Strip: 1}, []string{"lib", "lib/a=x/lib/a", "lib/b=y/lib/b"}},
		{"a stray file left out", []tar.Header{file("README"), file("web/a")}, Options{Strip: 1, Exclude: []string{"README"}}, []string{"a=web/a"}},
		{"hard links", []tar.Header{file("a"), hard("b", "a"), hard("c", "a"), file("d")}, Options{Exclude: []string{"a"}}, []string{"b=a", "c>b", "d=d"}},
		{"hard links and a folder off", []tar.Header{file("x/z"), hard("y/a", "x/z")}, Options{Strip: 1}, []string{"a=x/z", "z>a"}},
	} {
		if got := contentsOf(t, packed(t, readInput(t, tarOf(t, test.files...), test.opt))); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// The ignore file works in a directory as in an archive, and is left out.
func TestIgnoreFile(t *testing.T) {
	top := t.TempDir()
	for name, text := range map[string]string{
		IgnoreFile: "# not for instances\n\nnode_modules/\r\n/docs\n*.md\n", "app.js": "x", "README.md": "x", "node_modules/dep/index.js": "x", "docs/a": "x", "src/docs/b": "x",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(top, name), []byte(text), 0o644))
	}
	must(t, os.Symlink("/etc", filepath.Join(top, "node_modules/abs"))) // what is left out is not checked
	want := []string{"app.js=x", "src", "src/docs", "src/docs/b=x"}
	in := readInput(t, top, Options{})
	if got := contentsOf(t, packed(t, in)); !slices.Equal(got, want) {
		t.Errorf("directory: got %q, want %q", got, want)
	}
	path := filepath.Join(t.TempDir(), "x.tar.gz")
	run(t, "tar", "-czf", path, "-C", filepath.Dir(top), filepath.Base(top))
	if got := contentsOf(t, packed(t, readInput(t, path, Options{Strip: 1}))); !slices.Equal(got, want) {
		t.Errorf("archive: got %q, want %q", got, want)
	}
	// What is left out may change meanwhile, what is published may not.
	in = readInput(t, top, Options{})
	must(t, os.WriteFile(filepath.Join(top, "node_modules/dep/new"), nil, 0o644))
	packed(t, in)
	must(t, os.WriteFile(filepath.Join(top, "src/new"), nil, 0o644))
	if _, err := in.Pack(t.Context(), "linux/amd64"); !errors.Is(err, ErrModified) {
		t.Errorf("a new file: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(top, IgnoreFile), []byte("*\n"), 0o644))
	if _, err := readInput(t, top, Options{}).Pack(t.Context(), "linux/amd64"); !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), "nothing is in it") {
		t.Errorf("nothing left: %v", err)
	}
}

func TestBadInputs(t *testing.T) {
	top := sample(t)
	ignoring := func(text string) string {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, IgnoreFile), []byte(text), 0o644))
		return dir
	}
	for name, c := range map[string]struct {
		path string
		opt  Options
		want error
		text string
	}{
		"a glob":             {top, Options{Exclude: []string{"[a"}}, ErrPattern, `"[a"`},
		"upwards":            {top, Options{Exclude: []string{"../x"}}, ErrPattern, `"../x"`},
		"an exception":       {ignoring("a\n!b\n"), Options{}, ErrPattern, ".koboshiignore, line 2"},
		"a long ignore file": {ignoring(strings.Repeat("#", maxIgnore+1)), Options{}, nil, "at most"},
		"too few folders":    {top, Options{Strip: 1}, ErrStrip, `"big"`},
		"a name":             {top, Options{Name: "x"}, ErrInput, "no single file"},
		"a name for a tar":   {tarOf(t, file("a")), Options{Name: "x"}, ErrInput, "no single file"},
		"a path as a name":   {filepath.Join(top, "big"), Options{Name: "bin/x"}, ErrInput, `"bin/x"`},
		"folders of a file":  {filepath.Join(top, "big"), Options{Strip: 1}, ErrInput, "one file"},
	} {
		temp := t.TempDir()
		c.opt.TempDir = temp
		if _, err := Read(t.Context(), c.path, c.opt); err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v", name, err)
		}
		wantEmpty(t, temp)
	}
}

// A single file becomes a tree where that saves more than 5 %, or where it has
// another name.
func TestSingleFiles(t *testing.T) {
	half := append(noise(300<<10), make([]byte, 100<<10)...)
	for _, c := range []struct {
		data   []byte
		opt    Options
		format artifacts.Format
		as     string
	}{
		{noise(300 << 10), Options{App: "web"}, artifacts.File, "web"},
		{half, Options{App: "web"}, artifacts.TarZst, "web"},
		{half, Options{}, artifacts.File, "model.jar"},
		{noise(300 << 10), Options{App: "web", Name: "web.jar"}, artifacts.TarZst, "web.jar"},
		{noise(300 << 10), Options{App: "web", Name: "web"}, artifacts.File, "web"},
	} {
		path := filepath.Join(t.TempDir(), "model.jar")
		must(t, os.WriteFile(path, c.data, 0o600))
		p := packed(t, readInput(t, path, c.opt))
		if p.Artifact().Format != c.format || p.Single() != c.as {
			t.Errorf("%+v: %s as %s, want %s as %s", c.opt, p.Artifact().Format, p.Single(), c.format, c.as)
		}
		if c.format == artifacts.TarZst {
			dir, entries := unpackFrames(t, p)
			if len(entries) != 1 || entries[0].Path != c.as || entries[0].Mode != 0o755 || !bytes.Equal(readFile(t, filepath.Join(dir, c.as)), c.data) {
				t.Errorf("%+v: unpacked to %+v", c.opt, entries)
			}
		}
	}
	if p := pack(t, sample(t)); p.Single() != "" {
		t.Errorf("a directory is called %q", p.Single())
	}
}

// A ready archive that instances would refuse is converted, where it can be.
func TestSparseArchive(t *testing.T) {
	top := t.TempDir()
	must(t, os.WriteFile(filepath.Join(top, "holes"), []byte("x"), 0o644))
	must(t, os.Truncate(filepath.Join(top, "holes"), 4<<20))
	path := filepath.Join(t.TempDir(), "x.tar.gz")
	run(t, "tar", "-S", "-czf", path, "-C", top, ".")
	in := readInput(t, path, Options{})
	if f := in.Findings(); len(f) != 1 || f[0].Check != "sparse" {
		t.Errorf("found %+v", f)
	}
	if a := packed(t, in).Artifact(); a.Format != artifacts.TarZst || a.UnpackedBytes != 4<<20 {
		t.Errorf("packed as %+v", a)
	}
}

func TestZipWithoutModes(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	_, err := z.Create("run.sh")
	must(t, err)
	must(t, z.Close())
	path := filepath.Join(t.TempDir(), "x.zip")
	must(t, os.WriteFile(path, b.Bytes(), 0o644))
	if f := readInput(t, path, Options{}).Findings(); fmt.Sprint(f) != fmt.Sprint([]lint.Finding{lint.NoModes()}) {
		t.Errorf("found %+v", f)
	}
}
