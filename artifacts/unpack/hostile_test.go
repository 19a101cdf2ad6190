package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"koboshi/artifacts/tree"
	"koboshi/artifacts/tree/treetest"
)

// Every archive here must be refused for the reason given.
var hostile = []struct {
	name   string
	build  func(*tape)
	reason string
}{
	{"absolute path", func(t *tape) { t.file("/a", "x") }, "absolute"},
	{"absolute path with two slashes", func(t *tape) { t.file("//a", "x") }, "absolute"},
	{"path to the parent", func(t *tape) { t.file("../x", "x") }, `".." in a path`},
	{"path to the parent by way of a directory", func(t *tape) { t.file("a/../../x", "x") }, `".." in a path`},
	{"path that comes back", func(t *tape) { t.file("a/../x", "x") }, `".." in a path`},
	{"the parent", func(t *tape) { t.dir("..") }, `".." in a path`},
	{"sibling with the same prefix", func(t *tape) { t.file("../dest-evil/canary", "x") }, `".." in a path`},
	{"empty name", func(t *tape) { t.file("", "x") }, "empty"},
	{"the top as a file", func(t *tape) { t.file("./.", "x") }, "a file where there is a dir"},
	{"the top as a link", func(t *tape) { t.symlink(".", "..") }, "a symlink where there is a dir"},
	{"NUL in a PAX path", func(t *tape) { t.pax('x', "path", "a\x00b"); t.file("a", "x") }, "malformed header"},
	{"NUL in a PAX link", func(t *tape) { t.pax('x', "linkpath", "a\x00b"); t.symlink("a", "x") }, "malformed header"},
	{"PAX path to the parent", func(t *tape) { t.pax('x', "path", "../x"); t.file("a", "x") }, `".." in a path`},
	{"GNU long name to the parent", func(t *tape) { t.entry(head{flag: 'L', name: "././@LongLink"}, "../x\x00"); t.file("a", "x") }, `".." in a path`},
	{"name that is not UTF-8", func(t *tape) { t.file("a\xff", "x") }, "not UTF-8"},
	{"name too long", func(t *tape) { t.pax('x', "path", strings.Repeat("n", tree.MaxName+1)); t.file("a", "x") }, "a name of 256 bytes"},
	{"path too long", func(t *tape) { t.pax('x', "path", strings.Repeat(strings.Repeat("n", 99)+"/", 39)); t.dir("a") }, "3900 bytes long"},
	{"5000 levels deep", func(t *tape) { t.pax('x', "path", strings.Repeat("a/", 1900)+"a"); t.file("a", "x") }, "levels deep"},
	{"one level too deep", func(t *tape) { t.pax('x', "path", strings.Repeat("a/", tree.MaxDepth)+"a"); t.file("a", "x") }, "levels deep"},
	{"slash after a file", func(t *tape) { t.file("a/", "x") }, "ends in a slash"},
	{"slash after a link", func(t *tape) { t.symlink("a/", "b") }, "ends in a slash"},

	{"link to the root, then through it", func(t *tape) { t.symlink("a", "/"); t.file("a/etc/x", "x") }, "absolute"},
	{"link out", func(t *tape) { t.symlink("a", "..") }, "outside"},
	{"link out by way of a directory", func(t *tape) { t.dir("d"); t.symlink("d/a", "../../dest-evil") }, "outside"},
	{"link out by way of nothing", func(t *tape) { t.symlink("a", "no/../../x") }, "outside"},
	{"link out and back in", func(t *tape) { t.symlink("a", "../dest/b") }, "outside"},
	{"link out, then a file of the same name", func(t *tape) { t.symlink("a", "../canary"); t.file("a", "x") }, "a file where there is a symlink"},
	{"link out, then a file through it", func(t *tape) { t.symlink("a", "../dest-evil"); t.file("a/canary", "x") }, `leads through "a"`},
	{"link inside, then a file through it", func(t *tape) { t.dir("d"); t.symlink("a", "d"); t.file("a/x", "x") }, `leads through "a"`},
	{"link inside, then a directory through it", func(t *tape) { t.dir("d"); t.symlink("a", "d"); t.dir("a/b/c") }, `leads through "a"`},
	{"link inside, then a link through it", func(t *tape) { t.dir("d"); t.symlink("a", "d"); t.symlink("a/x", "y") }, `leads through "a"`},
	{"two hops", func(t *tape) { t.dir("d"); t.symlink("d/up", ".."); t.symlink("out", "d/up/..") }, "outside"},
	{"two hops, the second first", func(t *tape) { t.symlink("out", "d/up/.."); t.dir("d"); t.symlink("d/up", "..") }, "outside"},
	{"chain of cur -> .", func(t *tape) { t.symlink("cur", "."); t.symlink("out", "cur/cur/cur/..") }, "outside"},
	{"link by way of a link to nothing", func(t *tape) { t.symlink("a", "b/.."); t.symlink("b", "x/../../.") }, "outside"},
	{"link to itself", func(t *tape) { t.symlink("a", "a") }, "link loop"},
	{"link below itself", func(t *tape) { t.symlink("a", "a/b") }, "link loop"},
	{"loop of two", func(t *tape) { t.symlink("a", "d/b"); t.symlink("d/b", "../a") }, "link loop"},
	{"chain of links", func(t *tape) { chain(t, tree.MaxHops+1) }, "more than 40 links"},
	{"chain of links, the last first", func(t *tape) { unchain(t, tree.MaxHops+1) }, "more than 40 links"},
	{"links that double", func(t *tape) { doubling(t) }, "more than 40 links"},
	{"link without target", func(t *tape) { t.symlink("a", "") }, "link target: empty"},
	{"link target that is not UTF-8", func(t *tape) { t.symlink("a", "\xff") }, "link target: not UTF-8"},
	{"link target too long", func(t *tape) { t.pax('x', "linkpath", strings.Repeat("a", tree.MaxPath+1)); t.symlink("a", "b") }, "link target: 3841 bytes"},
	{"link target too deep", func(t *tape) { t.pax('x', "linkpath", strings.Repeat("a/", tree.MaxDepth)); t.symlink("a", "b") }, "components"},

	{"hard link to a system file", func(t *tape) { t.hardlink("a", "/etc/shadow") }, "no path in the tree"},
	{"hard link out", func(t *tape) { t.hardlink("a", "../canary") }, "no path in the tree"},
	{"hard link to a sibling prefix", func(t *tape) { t.hardlink("a", "../dest-evil/canary") }, "no path in the tree"},
	{"hard link to a symbolic link", func(t *tape) { t.symlink("l", "d"); t.hardlink("a", "l") }, "no earlier file"},
	{"hard link through a symbolic link", func(t *tape) { t.file("d/f", "x"); t.symlink("l", "d"); t.hardlink("a", "l/f") }, "no earlier file"},
	{"hard link to itself", func(t *tape) { t.hardlink("a", "a") }, "no earlier file"},
	{"hard link to a later file", func(t *tape) { t.hardlink("a", "b"); t.file("b", "x") }, "no earlier file"},
	{"hard link to a directory", func(t *tape) { t.dir("d"); t.hardlink("a", "d") }, "no earlier file"},
	{"hard link to the top", func(t *tape) { t.hardlink("a", ".") }, "no earlier file"},
	{"hard link to a hard link", func(t *tape) { t.file("f", "x"); t.hardlink("a", "f"); t.hardlink("b", "a") }, "no earlier file"},
	{"hard link to a file overwritten later", func(t *tape) { t.file("f", "x"); t.hardlink("a", "f"); t.file("f", "y") }, "a file where there is a file"},
	{"hard link overwritten by a file", func(t *tape) { t.file("f", "x"); t.hardlink("a", "f"); t.file("a", "y") }, "a file where there is a hardlink"},
	{"hard link without target", func(t *tape) { t.file("f", "x"); t.hardlink("a", "") }, "no path in the tree"},

	{"directory replaced by a link", func(t *tape) { t.dir("d"); t.symlink("d", "e") }, "a symlink where there is a dir"},
	{"implied directory replaced by a link", func(t *tape) { t.file("d/f", "x"); t.symlink("d", "e") }, "a symlink where there is a dir"},
	{"link replaced by a directory", func(t *tape) { t.symlink("d", "e"); t.dir("d") }, "a dir where there is a symlink"},
	{"file, then its child", func(t *tape) { t.file("f", "x"); t.file("f/g", "x") }, `leads through "f"`},
	{"file, then a deep child", func(t *tape) { t.file("f", "x"); t.file("f/g/h/i", "x") }, `leads through "f"`},
	{"child, then a file in its parent's place", func(t *tape) { t.file("f/g", "x"); t.file("f", "x") }, "a file where there is a dir"},
	{"file twice", func(t *tape) { t.file("f", "x"); t.file("./f", "x") }, "a file where there is a file"},
	{"directory twice", func(t *tape) { t.dir("d/"); t.dir("d") }, "a dir where there is a dir"},
	{"top twice", func(t *tape) { t.dir("./"); t.dir("./") }, "a dir where there is a dir"},

	{"character device", func(t *tape) { t.block(head{name: "a", flag: tar.TypeChar}) }, "character device"},
	{"block device", func(t *tape) { t.block(head{name: "a", flag: tar.TypeBlock}) }, "block device"},
	{"FIFO", func(t *tape) { t.block(head{name: "a", flag: tar.TypeFifo}) }, "FIFO"},
	{"contiguous file", func(t *tape) { t.block(head{name: "a", flag: tar.TypeCont}) }, "contiguous"},
	{"unknown type", func(t *tape) { t.block(head{name: "a", flag: 'z'}) }, "type 'z'"},
	{"volume label", func(t *tape) { t.block(head{name: "a", flag: 'V', magic: "ustar  \x00"}) }, "type 'V'"},
	{"continued file", func(t *tape) { t.block(head{name: "a", flag: 'M', magic: "ustar  \x00"}) }, "type 'M'"},
	{"setuid file", func(t *tape) { t.entry(head{name: "a", mode: 0o4755}, "x") }, "setuid"},
	{"setgid file", func(t *tape) { t.entry(head{name: "a", mode: 0o2755}, "x") }, "setgid"},
	{"sticky file", func(t *tape) { t.entry(head{name: "a", mode: 0o1755}, "x") }, "sticky"},
	{"file capability", func(t *tape) { t.pax('x', "SCHILY.xattr.security.capability", "\x01"); t.file("a", "x") }, "file capability"},
	{"file capability from libarchive", func(t *tape) { t.pax('x', "LIBARCHIVE.xattr.security.capability", "AQ"); t.file("a", "x") }, "file capability"},
	{"file capability, encoded", func(t *tape) { t.pax('x', "LIBARCHIVE.xattr.security%2Ecapability", "AQ"); t.file("a", "x") }, "file capability"},
	{"attribute with a broken name", func(t *tape) { t.pax('x', "LIBARCHIVE.xattr.security%2", "AQ"); t.file("a", "x") }, "file capability"},

	{"old GNU sparse file", func(t *tape) { t.block(head{name: "a", flag: tar.TypeGNUSparse, magic: "ustar  \x00"}) }, "sparse"},
	{"PAX sparse file 0.0", func(t *tape) {
		t.pax('x', "GNU.sparse.size", "1099511627776", "GNU.sparse.numblocks", "1", "GNU.sparse.offset", "0", "GNU.sparse.numbytes", "1")
		t.file("a", "x")
	}, "sparse"},
	{"PAX sparse file 0.1", func(t *tape) {
		t.pax('x', "GNU.sparse.size", "1099511627776", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "0,1")
		t.file("a", "x")
	}, "sparse"},
	{"PAX sparse file 1.0", func(t *tape) {
		t.pax('x', "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize", "1099511627776")
		t.file("a", "1\n0\n1\n")
	}, "sparse"},
	{"star sparse file", func(t *tape) { t.pax('x', "SCHILY.realsize", "1099511627776"); t.file("a", "x") }, "sparse"},

	{"PAX size other than the header's", func(t *tape) { t.pax('x', "size", "513"); t.file("a", "x") }, "size 513 in PAX and 1 in the header"},
	{"PAX size and none in the header", func(t *tape) { t.pax('x', "size", "1"); t.block(head{name: "a"}) }, "size 1 in PAX and 0"},
	{"negative PAX size", func(t *tape) { t.pax('x', "size", "-1"); t.file("a", "x") }, "malformed header"},
	{"negative size", func(t *tape) { t.block(head{name: "a", field: strings.Repeat("\xff", 12)}) }, "malformed header"},
	{"size that does not fit", func(t *tape) { t.block(head{name: "a", field: "\x80" + strings.Repeat("\xff", 11)}) }, "malformed header"},
	{"size that is no number", func(t *tape) { t.block(head{name: "a", field: "9999999999z"}) }, "malformed header"},
	{"directory with a size", func(t *tape) { t.block(head{name: "a", flag: tar.TypeDir, size: 512}); t.file("b", "x") }, "is no file"},
	{"hard link with a size", func(t *tape) { t.file("f", "x"); t.block(head{name: "a", link: "f", flag: tar.TypeLink, size: 1}) }, "is no file"},
	{"global PAX path", func(t *tape) { t.pax('g', "path", "x"); t.file("a", "x") }, "global PAX path"},
	{"global PAX link", func(t *tape) { t.pax('g', "linkpath", "x"); t.file("a", "x") }, "global PAX linkpath"},
	{"global PAX size", func(t *tape) { t.pax('g', "size", "1"); t.file("a", "x") }, "global PAX size"},
	{"global sparse file", func(t *tape) { t.pax('g', "GNU.sparse.size", "1"); t.file("a", "x") }, "sparse"},
	{"global file capability", func(t *tape) { t.pax('g', "SCHILY.xattr.security.capability", "1"); t.file("a", "x") }, "file capability"},
	{"global header within an entry", func(t *tape) { t.pax('x', "path", "x"); t.pax('g', "comment", "x"); t.file("a", "x") }, "global header between"},
	{"two PAX headers", func(t *tape) { t.pax('x', "path", "x"); t.pax('x', "path", "y"); t.file("a", "x") }, "two headers"},
	{"two long names", func(t *tape) { t.entry(head{flag: 'L'}, "x\x00"); t.entry(head{flag: 'L'}, "y\x00"); t.file("a", "x") }, "two headers"},
	{"two long links", func(t *tape) {
		t.entry(head{flag: 'K'}, "x\x00")
		t.entry(head{flag: 'K'}, "y\x00")
		t.symlink("a", "x")
	}, "two headers"},
	{"huge PAX header", func(t *tape) { t.pax('x', "comment", strings.Repeat("x", MaxMeta)); t.file("a", "x") }, "bytes of header"},
	{"PAX header that claims 8 GiB", func(t *tape) { t.block(head{flag: 'x', size: maxOctal}) }, "bytes of header"},
	{"PAX header with a binary size", func(t *tape) { t.block(head{flag: 'x', field: "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"}) }, "bytes of header"},
	{"huge long name", func(t *tape) { t.entry(head{flag: 'L'}, strings.Repeat("x", MaxMeta+1)); t.file("a", "x") }, "bytes of header"},
	{"PAX record of the wrong length", func(t *tape) { t.entry(head{flag: 'x'}, "99 path=x\n"); t.file("a", "x") }, "malformed header"},
	{"PAX header and no entry", func(t *tape) { t.pax('x', "path", "x") }, "truncated"},
	{"PAX header and the end", func(t *tape) { t.pax('x', "path", "x"); t.end() }, "malformed header"},

	{"bad checksum", func(t *tape) { t.block(head{name: "a", spoil: true}) }, "malformed header"},
	{"bad checksum of a PAX header", func(t *tape) { t.block(head{flag: 'x', spoil: true}); t.file("a", "x") }, "malformed header"},
	{"no archive", func(t *tape) { t.WriteString(strings.Repeat("#!/bin/sh\n", 200)) }, "malformed header"},
	{"nothing", func(*tape) {}, "truncated"},
	{"half a header", func(t *tape) { t.file("a", ""); t.Write(make([]byte, 511)) }, "truncated"},
	{"body missing", func(t *tape) { t.block(head{name: "a", size: 1}) }, "truncated"},
	{"body truncated", func(t *tape) { t.block(head{name: "a", size: 1000}); t.Write(make([]byte, 999)) }, "truncated"},
	{"large body truncated", func(t *tape) { t.block(head{name: "a", size: 3 * bufferSize}); t.Write(make([]byte, 2*bufferSize)) }, "truncated"},
	{"padding truncated", func(t *tape) { t.block(head{name: "a", size: 1}); t.Write(make([]byte, 511)) }, "truncated"},
	{"data after the end", func(t *tape) { t.file("a", "x"); t.end(); t.file("b", "x") }, "data after the end"},
	{"data after one zero block", func(t *tape) { t.file("a", "x"); t.Write(make([]byte, 512)); t.file("b", "x") }, "data after the end"},
	{"a byte after much padding", func(t *tape) { t.file("a", "x"); t.Write(make([]byte, 100<<10)); t.WriteByte(1) }, "data after the end"},

	{"more bytes than the limit", func(t *tape) { t.block(head{name: "a", size: roomyBytes + 1}) }, "more bytes than the limit"},
	{"more bytes than the limit, together", func(t *tape) { t.file("a", "x"); t.block(head{name: "b", size: roomyBytes}) }, "more bytes than the limit"},
	{"more entries than the limit", func(t *tape) { many(t, 1001) }, "more entries than the limit"},
	{"more entries than the limit, implied", func(t *tape) { implied(t, 10) }, "more entries than the limit"},
}

func chain(t *tape, links int) {
	for i := range links {
		t.symlink(fmt.Sprint("l", i), fmt.Sprint("l", i+1))
	}
}

func unchain(t *tape, links int) {
	for i := links; i > 0; i-- {
		t.symlink(fmt.Sprint("l", i-1), fmt.Sprint("l", i))
	}
}

// doubling leads through 2^20 links with 20 of them.
func doubling(t *tape) {
	t.symlink("l0", ".")
	for i := range 20 {
		t.symlink(fmt.Sprint("l", i+1), fmt.Sprintf("l%d/l%d", i, i))
	}
}

func many(t *tape, files int) {
	for i := range files {
		t.file(fmt.Sprint("f", i), "")
	}
}

// implied has files that imply tree.MaxDepth-1 directories each.
func implied(t *tape, files int) {
	for i := range files {
		t.pax('x', "path", fmt.Sprint(i)+strings.Repeat("/d", tree.MaxDepth-1))
		t.file("f", "")
	}
}

func TestHostile(t *testing.T) {
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var archive tape
			test.build(&archive)
			refused(t, &archive, test.reason)
		})
	}
}

// Streams without end, which only a limit can stop.
func TestEndless(t *testing.T) {
	for _, test := range []struct {
		name   string
		build  func(*tape)
		reason string
	}{
		{"zeros", func(t *tape) { t.end() }, "longer than its limits"},
		{"global headers", func(t *tape) { t.pax('g', "comment", "x") }, "longer than its limits"},
		{"large global headers", func(t *tape) { t.pax('g', "comment", strings.Repeat("x", MaxMeta-100)) }, "longer than its limits"},
		{"directories", func(t *tape) { t.dir("d") }, "a dir where there is a dir"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var unit tape
			test.build(&unit)
			refused(t, &endless{unit: unit.Bytes()}, test.reason)
		})
	}
}

// An endless reader repeats unit.
type endless struct {
	unit []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.unit[e.at:])
	e.at = (e.at + n) % len(e.unit)
	return n, nil
}

func refused(t *testing.T, archive io.Reader, reason string) {
	t.Helper()
	y := treetest.NewYard(t)
	index, err := Tar(t.Context(), archive, y.Dest, roomy)
	if !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), reason) {
		t.Errorf("error %v, want one that is refused for %q", err, reason)
	}
	if index != nil {
		t.Errorf("an index of %d entries", len(index))
	}
	y.Check(t)
	for path, what := range y.Tree(t) {
		if strings.Contains(what, "-> ") {
			t.Errorf("a link was made: %s %s", path, what)
		}
	}
}

// An archive may end without zero blocks, but nowhere else.
func TestTruncated(t *testing.T) {
	var archive tape
	archive.dir("d")
	archive.pax('x', "path", "d/file")
	archive.file("a", strings.Repeat("x", 700))
	archive.symlink("l", "d/file")
	archive.end()
	whole := archive.Bytes()
	ends := map[int]bool{512: true, 512 + 1024 + 512 + 1024: true, 3584: true, 3584 + 512: true}
	for cut := range len(whole) + 1 {
		if off := (cut + 1) % 512; off > 2 && off%101 != 0 {
			continue
		}
		y := treetest.NewYard(t)
		_, err := Tar(t.Context(), bytes.NewReader(whole[:cut]), y.Dest, roomy)
		zeros := cut > 3584+512 // any number of them may follow
		if ok := ends[cut] || zeros; ok != (err == nil) || !ok && !errors.Is(err, tree.ErrRefused) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

// Refusing costs no more than the limit: nothing is read after a size that is
// over it.
func TestRefusedBeforeTheBody(t *testing.T) {
	var archive tape
	archive.block(head{name: "a", size: roomyBytes + 1})
	rest := strings.NewReader(strings.Repeat("x", 1<<20))
	refused(t, io.MultiReader(&archive, rest), "more bytes than the limit")
	if rest.Len() != 1<<20 {
		t.Errorf("%d bytes of the body were read", 1<<20-rest.Len())
	}
}
