package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts/tree"
	"koboshi/artifacts/tree/treetest"
)

// The tree that testdata/make.sh packs, as it must come out.
var packed = map[string]string{
	"bin":             "drwxr-xr-x ",
	"bin/web":         "-rwxr-xr-x #!/bin/sh\necho web\n",
	"bin/web-again":   "-rwxr-xr-x #!/bin/sh\necho web\n",
	"bin/lib":         "-> ../lib/./deep/../libweb.so",
	"lib":             "drwxr-xr-x ",
	"lib/libweb.so":   "-> libweb.so.1",
	"lib/libweb.so.1": "-rw-r--r-- lib\n",
	"lib/deep":        "drwxr-xr-x ",
	"lib/deep/top":    "-> ../../",
	"lib64":           "-> lib",
	"log":             "-> var/missing",
	"empty":           "drwxr-xr-x ",
	"empty-file":      "-rw-r--r-- ",
	"secret":          "-rw-r--r-- private\n",
	"unreadable":      "-r--r--r-- unreadable\n",
	"group-writable":  "-rw-r--r-- group\n",
	"readme":          "-rw-r--r-- lower\n",
	"README":          "-rw-r--r-- upper\n",
	`a\b`:             "-rw-r--r-- backslash\n",
	"with space":      "-rw-r--r-- space\n",
}

func TestPackedByOthers(t *testing.T) {
	fixtures, err := filepath.Glob("testdata/*.tar.gz")
	must(t, err)
	if len(fixtures) != 18 {
		t.Errorf("%d fixtures, want 18", len(fixtures))
	}
	for _, fixture := range fixtures {
		name := strings.TrimSuffix(filepath.Base(fixture), ".tar.gz")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := treetest.NewYard(t)
			index := unpackGzip(t, y, fixture)
			if got, want := y.Tree(t), wanted(name); !maps.Equal(got, want) {
				t.Errorf("unpacked %q\nwant %q", got, want)
			}
			checkIndex(t, y, index)
			y.Check(t)
		})
	}
}

func unpackGzip(t *testing.T, y *treetest.Yard, name string) []tree.Entry {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer func() { must(t, f.Close()) }()
	plain, err := Gzip(f)
	must(t, err)
	defer func() { must(t, plain.Close()) }()
	opt := roomy
	opt.Hash = true
	index, err := Tar(t.Context(), plain, y.Dest, opt)
	must(t, err)
	return index
}

// wanted is the tree of a fixture.
func wanted(fixture string) map[string]string {
	want := map[string]string{}
	if strings.HasSuffix(fixture, "-long") {
		maps.Copy(want, packed)
		name := strings.Repeat("long-name-", 15)
		want[name], want[name+"/"+name] = "drwxr-xr-x ", "drwxr-xr-x "
		want[name+"/"+name+"/file"] = "-rw-r--r-- long\n"
		want["to-long"] = "-> " + name + "/" + name + "/file"
		want["größe-日本"] = "-rw-r--r-- unicode\n"
		return want
	}
	want["app"] = "drwxr-xr-x "
	for path, what := range packed {
		want["app/"+path] = what
	}
	if fixture == "git-archive" { // git knows two modes, and no empty directories
		delete(want, "app/empty")
		delete(want, "app/bin/web-again")
		want["app/secret"] = "-rw-r--r-- private\n"
		want["app/unreadable"] = "-rw-r--r-- unreadable\n"
	}
	return want
}

// checkIndex compares the index with what is on the disk, and checks that it is
// the same after it was written and read.
func checkIndex(t *testing.T, y *treetest.Yard, index []tree.Entry) {
	t.Helper()
	said := map[string]string{}
	for _, e := range index {
		switch e.Type {
		case tree.TypeSymlink:
			said[e.Path] = "-> " + e.Link
		case tree.TypeHardlink:
			sameFile(t, y, e.Path, e.Link)
			said[e.Path] = said[e.Link]
		case tree.TypeDir:
			said[e.Path] = (e.Mode | fs.ModeDir).String() + " "
		case tree.TypeFile:
			data, err := y.Dest.ReadFile(e.Path)
			must(t, err)
			if int64(len(data)) != e.Size || sumOf(data) != e.SHA256 {
				t.Errorf("%s: %d bytes, index %+v", e.Path, len(data), e)
			}
			said[e.Path] = e.Mode.String() + " " + string(data)
		}
	}
	if got := y.Tree(t); !maps.Equal(said, got) {
		t.Errorf("index %q\ntree %q", said, got)
	}
	var written bytes.Buffer
	must(t, tree.WriteIndex(&written, index))
	if read, err := tree.ReadIndex(t.Context(), written.Bytes(), len(index)); err != nil || !slices.Equal(read, index) {
		t.Errorf("read back %v %v", read, err)
	}
}

func sameFile(t *testing.T, y *treetest.Yard, a, b string) {
	t.Helper()
	one, err := y.Dest.Lstat(a)
	must(t, err)
	other, err := y.Dest.Lstat(b)
	must(t, err)
	if !os.SameFile(one, other) {
		t.Errorf("%s is no hard link to %s", a, b)
	}
}

// What archive/tar writes, with what Docker adds: attributes, times with
// fractions, large owners, a parent after its child.
func TestPackedByGo(t *testing.T) {
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		t.Run(format.String(), func(t *testing.T) {
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			put := func(h tar.Header, body string) {
				h.Format, h.Size = format, int64(len(body))
				if format == tar.FormatPAX && h.Typeflag == tar.TypeReg {
					h.ModTime, h.Uid = time.Unix(1, 5), 1<<30
					h.PAXRecords = map[string]string{"SCHILY.xattr.user.x": "\x00\xff", "RHT.security.selinux": "x"}
				}
				must(t, w.WriteHeader(&h))
				_, err := io.WriteString(w, body)
				must(t, err)
			}
			put(tar.Header{Typeflag: tar.TypeReg, Name: "d/e/f", Mode: 0o100777}, "x")
			put(tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o40700}, "")
			put(tar.Header{Typeflag: tar.TypeLink, Name: "d/g", Linkname: "d/e/f", Mode: 0o4755}, "")
			put(tar.Header{Typeflag: tar.TypeSymlink, Name: "s", Linkname: "d/e", Mode: 0o777}, "")
			put(tar.Header{Typeflag: tar.TypeReg, Name: "large", Mode: 0o644}, strings.Repeat("0123456789", bufferSize/5))
			must(t, w.Close())

			y := treetest.NewYard(t)
			opt := roomy
			opt.Hash = true
			index, err := Tar(t.Context(), &archive, y.Dest, opt)
			must(t, err)
			checkIndex(t, y, index)
			if paths := paths(index); !slices.Equal(paths, []string{"d", "d/e", "d/e/f", "d/g", "s", "large"}) {
				t.Errorf("paths %q", paths)
			}
			if f := index[2]; f.Mode != 0o755 {
				t.Errorf("mode %v", f.Mode)
			}
		})
	}
}

func paths(index []tree.Entry) []string {
	var all []string
	for _, e := range index {
		all = append(all, e.Path)
	}
	return all
}

// The offset in the index is that of the file's bytes in the stream.
func TestOffset(t *testing.T) {
	var archive tape
	archive.pax('g', "comment", "x")
	archive.file("a", "first")
	archive.pax('x', "path", "b/c")
	archive.file("x", "second")
	stream := bytes.Clone(archive.Bytes())
	y := treetest.NewYard(t)
	index, err := Tar(t.Context(), &archive, y.Dest, roomy)
	must(t, err)
	for i, want := range map[int]string{0: "first", 2: "second"} {
		e := index[i]
		if got := string(stream[e.Offset:][:e.Size]); got != want || e.SHA256 != "" {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}

// Sizes that only PAX or base-256 can express are accepted: these archives are
// refused for the bytes that are missing, not for the size.
func TestTenGigabytes(t *testing.T) {
	for name, build := range map[string]func(*tape){
		"PAX": func(t *tape) {
			t.pax('x', "size", "10737418240")
			t.block(head{name: "a", field: "00000000000\x00"})
		},
		"base-256": func(t *tape) { t.block(head{name: "a", field: "\x80\x00\x00\x00\x00\x00\x00\x02\x80\x00\x00\x00"}) },
		"both": func(t *tape) {
			t.pax('x', "size", "10737418240")
			t.block(head{name: "a", field: "\x80\x00\x00\x00\x00\x00\x00\x02\x80\x00\x00\x00"})
		},
	} {
		var archive tape
		build(&archive)
		archive.WriteString("not ten gigabytes")
		y := treetest.NewYard(t)
		_, err := Tar(t.Context(), &archive, y.Dest, tree.Options{Limits: tree.Limits{Bytes: 10 << 30, Entries: 1}})
		if !errors.Is(err, tree.ErrRefused) || !strings.HasSuffix(err.Error(), "truncated") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A tree exactly at the limits is allowed.
func TestAtTheLimit(t *testing.T) {
	var archive tape
	archive.file("a/b", strings.Repeat("x", 1000))
	archive.dir("a")
	archive.pax('x', "path", strings.Repeat("d/", tree.MaxDepth-1)+strings.Repeat("n", tree.MaxName))
	archive.file("x", "y")
	for i := range tree.MaxHops {
		archive.symlink("l"+strings.Repeat("l", i), "l"+strings.Repeat("l", i+1))
	}
	stream := archive.Bytes()
	exact := tree.Limits{Bytes: 1001, Entries: 2 + tree.MaxDepth + tree.MaxHops}
	for _, test := range []struct {
		limits tree.Limits
		ok     bool
	}{
		{exact, true},
		{tree.Limits{Bytes: exact.Bytes - 1, Entries: exact.Entries}, false},
		{tree.Limits{Bytes: exact.Bytes, Entries: exact.Entries - 1}, false},
		{tree.Limits{}, false},
		{tree.Limits{Bytes: -1, Entries: -1}, false},
	} {
		_, err := Tar(t.Context(), bytes.NewReader(stream), treetest.NewYard(t).Dest, tree.Options{Limits: test.limits})
		if (err == nil) != test.ok || !test.ok && !errors.Is(err, tree.ErrRefused) {
			t.Errorf("%+v: %v", test.limits, err)
		}
	}
}
