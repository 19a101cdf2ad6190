package image

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"koboshi/artifacts/tree"
)

var le = binary.LittleEndian

// erofsImage is an image that a test damages.
type erofsImage struct {
	t      *testing.T
	writer *Writer
	bytes  []byte
}

// small is a tree with one of everything, each within one block.
func small(t *testing.T) *erofsImage {
	t.Helper()
	entries := []tree.Entry{
		{Path: "a", Type: tree.TypeDir, Mode: tree.DirMode},
		{Path: "a/b", Type: tree.TypeDir, Mode: tree.DirMode},
		{Path: "file", Type: tree.TypeFile, Mode: 0o644, Size: 10},
		{Path: "large", Type: tree.TypeFile, Mode: 0o644, Size: 5000},
		{Path: "link", Type: tree.TypeSymlink, Link: "file"},
	}
	contents := map[string]string{"file": "0123456789", "large": strings.Repeat("x", 5000)}
	w, err := NewWriter(entries, created)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := w.Write(&out, opened(entries, contents)); err != nil {
		t.Fatal(err)
	}
	return &erofsImage{t, w, out.Bytes()}
}

func (i *erofsImage) super() []byte { return i.bytes[erofsSuperAt:] }

func (i *erofsImage) inode(path string) []byte { return i.bytes[i.writer.byPath[path].at:] }

// dirent is the entry of a name in a directory that is behind its inode.
func (i *erofsImage) dirent(dir, name string) []byte {
	i.t.Helper()
	n := i.writer.byPath[dir]
	b := i.bytes[n.at+erofsExtended:]
	for j, d := range n.names {
		if d.name == name {
			return b[j*erofsDirentSize:]
		}
	}
	i.t.Fatalf("%s has no %s", dir, name)
	return nil
}

// rename replaces a name by another of the same length.
func (i *erofsImage) rename(dir, name, to string) {
	d := i.dirent(dir, name)
	copy(i.bytes[i.writer.byPath[dir].at+erofsExtended+int64(le.Uint16(d[8:])):], to[:len(name)])
}

func TestErofsRefuses(t *testing.T) {
	mode := func(path string, mode uint16) func(*erofsImage) {
		return func(i *erofsImage) { le.PutUint16(i.inode(path)[4:], mode) }
	}
	for name, test := range map[string]struct {
		damage func(*erofsImage)
		want   string
	}{
		"another magic":           {func(i *erofsImage) { i.super()[0]++ }, "no erofs"},
		"nothing":                 {func(i *erofsImage) { i.bytes = nil }, "the image has 0"},
		"half a superblock":       {func(i *erofsImage) { i.bytes = i.bytes[:1100] }, "the image has 1100"},
		"small blocks":            {func(i *erofsImage) { i.super()[12] = 9 }, "2^9"},
		"huge blocks":             {func(i *erofsImage) { i.super()[12] = 255 }, "2^255"},
		"a longer superblock":     {func(i *erofsImage) { i.super()[13] = 1 }, "longer superblock"},
		"more devices":            {func(i *erofsImage) { i.super()[86] = 1 }, "other devices"},
		"larger directory blocks": {func(i *erofsImage) { i.super()[90] = 1 }, "directory blocks"},
		"prefixes of attributes":  {func(i *erofsImage) { i.super()[91] = 1 }, "prefixes"},
		"chunks":                  {func(i *erofsImage) { i.super()[80] = 4 }, "features 0x4"},
		"a device table":          {func(i *erofsImage) { i.super()[80] = 8 }, "features 0x8"},
		"ends in the inodes":      {func(i *erofsImage) { i.super()[80] = 0x10 }, "features 0x10"},
		"a packed file unsaid":    {func(i *erofsImage) { i.super()[96] = 40 }, "no feature says so"},
		"inodes elsewhere":        {func(i *erofsImage) { le.PutUint32(i.super()[80:], 0x100) }, "features 0x100"},
		"a feature of the future": {func(i *erofsImage) { le.PutUint32(i.super()[80:], 1<<31) }, "features 0x80000000"},
		"more blocks than bytes":  {func(i *erofsImage) { i.super()[36]++ }, "blocks of 4096"},
		"fewer blocks than bytes": {func(i *erofsImage) { i.super()[36]-- }, "blocks of 4096"},
		"no blocks":               {func(i *erofsImage) { le.PutUint32(i.super()[36:], 0) }, "0 blocks"},
		"truncated":               {func(i *erofsImage) { i.bytes = i.bytes[:len(i.bytes)-1] }, "blocks of 4096"},
		"grown":                   {func(i *erofsImage) { i.bytes = append(i.bytes, make([]byte, 4096)...) }, "blocks of 4096"},
		"inodes outside":          {func(i *erofsImage) { le.PutUint32(i.super()[40:], 1<<31) }, "inodes from block"},
		"a root outside":          {func(i *erofsImage) { le.PutUint16(i.super()[14:], 1<<15) }, "outside"},
		"a root that is a file":   {func(i *erofsImage) { le.PutUint16(i.super()[14:], uint16(i.writer.byPath["file"].at/erofsSlot)) }, "top is no directory"},
		"an inode outside":        {func(i *erofsImage) { le.PutUint64(i.dirent(".", "file"), 1<<62) }, "outside"},
		"an inode across blocks": {func(i *erofsImage) {
			le.PutUint64(i.dirent(".", "file"), (2*erofsBlock-erofsSlot)/erofsSlot)
			i.bytes[2*erofsBlock-erofsSlot] = 1
		}, "across blocks"},
		"an inode of a new format":  {func(i *erofsImage) { i.inode("file")[0] |= 0x10 }, "unknown format"},
		"attributes":                {func(i *erofsImage) { i.inode("file")[2] = 1 }, "extended attributes"},
		"attributes of a directory": {func(i *erofsImage) { i.inode("a")[2] = 1 }, "extended attributes"},
		"chunked content":           {func(i *erofsImage) { i.inode("file")[0] = 1 | 4<<1 }, "layout 4"},
		"content of a new layout":   {func(i *erofsImage) { i.inode("file")[0] = 1 | 7<<1 }, "layout 7"},
		"a compressed directory":    {func(i *erofsImage) { i.inode("a")[0] = 1 | 1<<1 }, "directory of layout 1"},
		"a compressed link":         {func(i *erofsImage) { i.inode("link")[0] = 1 | 3<<1 }, "link of layout 3"},
		"content outside":           {func(i *erofsImage) { le.PutUint32(i.inode("large")[16:], 1<<31) }, "the image has"},
		"content longer than that":  {func(i *erofsImage) { le.PutUint64(i.inode("large")[8:], 9<<20) }, "the image has"},
		"an absurd size":            {func(i *erofsImage) { le.PutUint64(i.inode("large")[8:], 1<<63) }, "a size of"},
		"an absurd compressed size": {func(i *erofsImage) {
			i.super()[80] = 1
			i.inode("large")[0] = 1 | 3<<1
			le.PutUint64(i.inode("large")[8:], 63<<20)
		}, "more than the limit"},
		"compressed, unsaid":     {func(i *erofsImage) { i.inode("large")[0] = 1 | 3<<1 }, "no feature says so"},
		"a tail across blocks":   {func(i *erofsImage) { le.PutUint64(i.inode("file")[8:], 4095) }, "across blocks"},
		"a huge directory":       {func(i *erofsImage) { le.PutUint64(i.inode("a")[8:], erofsMaxDir+1) }, ""},
		"a device":               {mode("file", 0o060644), "neither a file"},
		"a character device":     {mode("file", 0o020644), "neither a file"},
		"a FIFO":                 {mode("file", 0o010644), "neither a file"},
		"a socket":               {mode("file", 0o140644), "neither a file"},
		"set-uid":                {mode("file", 0o104755), "setuid"},
		"set-gid":                {mode("file", 0o102755), "setuid"},
		"a sticky directory":     {mode("a", 0o041777), "sticky"},
		"a set-gid top":          {mode(".", 0o042755), "setgid"},
		"a device by its name":   {func(i *erofsImage) { i.dirent(".", "file")[10] = 4 }, "type 4"},
		"a type that is another": {func(i *erofsImage) { i.dirent(".", "file")[10] = 7 }, "calls a symlink"},
		"a directory with two names": {func(i *erofsImage) {
			copy(i.dirent(".", "file")[:8], i.dirent(".", "a")[:8])
			i.dirent(".", "file")[10] = 2
		}, "second name"},
		"a directory in itself": {func(i *erofsImage) { copy(i.dirent("a", "b")[:8], i.dirent(".", "a")[:8]) }, "second name"},
		"the top in the tree":   {func(i *erofsImage) { copy(i.dirent("a", "b")[:8], i.dirent("a", "..")[:8]) }, "second name"},
		"a link with two names": {func(i *erofsImage) {
			copy(i.dirent(".", "large")[:8], i.dirent(".", "link")[:8])
			i.dirent(".", "large")[10] = 7
		}, "second name"},
		"a parent that is another":   {func(i *erofsImage) { copy(i.dirent("a/b", "..")[:8], i.dirent(".", ".")[:8]) }, "something else"},
		"a dot that is another":      {func(i *erofsImage) { copy(i.dirent("a", ".")[:8], i.dirent(".", ".")[:8]) }, "something else"},
		"no parent":                  {func(i *erofsImage) { i.rename("a/b", "..", "zz") }, ""},
		"a slash in a name":          {func(i *erofsImage) { i.rename(".", "file", "fi/e") }, "is no name"},
		"a NUL in a name":            {func(i *erofsImage) { i.rename(".", "file", "fi\x00e") }, "is no name"},
		"a name that is not UTF-8":   {func(i *erofsImage) { i.rename(".", "file", "fi\xffe") }, "not UTF-8"},
		"names that are not sorted":  {func(i *erofsImage) { i.rename(".", "file", "zile") }, "sorted"},
		"a name twice":               {func(i *erofsImage) { i.rename(".", "large", "link\x00") }, ""},
		"a name before the names":    {func(i *erofsImage) { le.PutUint16(i.dirent(".", "file")[8:], 0) }, "a name from"},
		"a name after the block":     {func(i *erofsImage) { le.PutUint16(i.dirent(".", "link")[8:], 5000) }, "a name from"},
		"names from nowhere":         {func(i *erofsImage) { le.PutUint16(i.dirent("a", ".")[8:], 1) }, "names from"},
		"no names":                   {func(i *erofsImage) { le.PutUint16(i.dirent("a", ".")[8:], 0) }, "names from"},
		"a directory of one byte":    {func(i *erofsImage) { le.PutUint64(i.inode("a/b")[8:], 1) }, "block of 1 bytes"},
		"an empty directory":         {func(i *erofsImage) { le.PutUint64(i.inode("a/b")[8:], 0) }, "each once"},
		"a link that leads out":      {func(i *erofsImage) { copy(i.inode("link")[erofsExtended:], "../x") }, "outside"},
		"an absolute link":           {func(i *erofsImage) { copy(i.inode("link")[erofsExtended:], "/etc") }, "absolute"},
		"a link to itself":           {func(i *erofsImage) { copy(i.inode("link")[erofsExtended:], "link") }, "loop"},
		"a link with a NUL":          {func(i *erofsImage) { copy(i.inode("link")[erofsExtended:], "a\x00b") }, "NUL"},
		"a link to nothing at all":   {func(i *erofsImage) { le.PutUint64(i.inode("link")[8:], 0) }, "0 bytes long"},
		"a link that is too long":    {func(i *erofsImage) { le.PutUint64(i.inode("link")[8:], tree.MaxPath+1) }, "bytes long"},
		"a target across two blocks": {func(i *erofsImage) { le.PutUint64(i.inode("link")[8:], tree.MaxPath) }, "across blocks"},
	} {
		i := small(t)
		test.damage(i)
		_, err := ReadErofs(t.Context(), bytes.NewReader(i.bytes), int64(len(i.bytes)), tenMiB)
		if !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// squash is a squashfs image that a test makes: a directory and what is in it.
type squash struct {
	super   func([]byte)
	names   []squashName
	zlib    bool
	rawDir  func([]byte) []byte // changes the directory's bytes
	dirSize int                 // more than there are
	top     []byte              // an inode in place of the top's
}

type squashName struct {
	name  string
	kind  uint16
	inode []byte // from its type on
	same  int    // it is the inode of that name, counted from 1
}

func squashHead(kind, mode uint16) []byte {
	b := make([]byte, 16)
	le.PutUint16(b, kind)
	le.PutUint16(b[2:], mode)
	return b
}

func squashRegular(mode uint16, size uint32) []byte {
	b := append(squashHead(squashFile, mode), make([]byte, 16)...)
	le.PutUint32(b[16+4:], 1<<32-1)
	le.PutUint32(b[16+12:], size)
	return b
}

func squashLink(target string) []byte {
	b := append(squashHead(squashSymlink, 0o777), make([]byte, 8)...)
	le.PutUint32(b[16+4:], uint32(len(target)))
	return append(b, target...)
}

func squashSub(kind uint16, start uint32, offset, size uint16) []byte {
	b := append(squashHead(kind, 0o755), make([]byte, 16)...)
	le.PutUint32(b[16:], start)
	le.PutUint16(b[16+8:], size)
	le.PutUint16(b[16+10:], offset)
	return b
}

func metablocks(plain []byte, compress bool) []byte {
	if !compress {
		return append(le.AppendUint16(nil, uint16(len(plain))|squashPlain), plain...)
	}
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write(plain)
	_ = z.Close()
	return append(le.AppendUint16(nil, uint16(packed.Len())), packed.Bytes()...)
}

func (s squash) bytes() []byte {
	var inodes, dir []byte
	var at []int
	dir = append(le.AppendUint32(nil, uint32(max(len(s.names), 1)-1)), make([]byte, 8)...)
	for _, n := range s.names {
		where := len(inodes)
		if n.same > 0 {
			where = at[n.same-1]
		}
		at = append(at, where)
		inodes = append(inodes, n.inode...)
		dir = le.AppendUint16(dir, uint16(where))
		dir = le.AppendUint16(dir, 0)
		dir = le.AppendUint16(dir, n.kind)
		dir = le.AppendUint16(dir, uint16(len(n.name)-1))
		dir = append(dir, n.name...)
	}
	if s.rawDir != nil {
		dir = s.rawDir(dir)
	}
	root := len(inodes)
	if s.top == nil {
		s.top = squashSub(squashDir, 0, 0, uint16(len(dir)+3+s.dirSize))
	}
	inodes = append(inodes, s.top...)
	b := make([]byte, squashSuper)
	le.PutUint32(b, squashMagic)
	le.PutUint32(b[4:], uint32(len(s.names)+1))
	le.PutUint32(b[12:], squashMaxBlock)
	le.PutUint16(b[20:], squashGzip)
	le.PutUint16(b[22:], 17)
	le.PutUint16(b[28:], 4)
	le.PutUint64(b[32:], uint64(root))
	le.PutUint64(b[56:], squashNone)
	le.PutUint64(b[64:], squashSuper)
	b = append(b, metablocks(inodes, s.zlib)...)
	le.PutUint64(b[72:], uint64(len(b)))
	le.PutUint64(b[80:], squashNone)
	b = append(b, metablocks(dir, s.zlib)...)
	le.PutUint64(b[40:], uint64(len(b)))
	if s.super != nil {
		s.super(b)
	}
	return b
}

func readSquash(ctx context.Context, b []byte) ([]tree.Entry, error) {
	return ReadSquashfs(ctx, bytes.NewReader(b), int64(len(b)), tenMiB)
}

func TestSquashfs(t *testing.T) {
	names := []squashName{
		{name: "a", kind: squashFile, inode: squashRegular(0o755, 0)},
		{name: "b", kind: squashFile, same: 1},
		{name: "l", kind: squashSymlink, inode: squashLink("a")},
	}
	want := []tree.Entry{
		{Path: "a", Type: tree.TypeFile, Mode: 0o755},
		{Path: "b", Type: tree.TypeHardlink, Link: "a"},
		{Path: "l", Type: tree.TypeSymlink, Link: "a"},
	}
	for _, compressed := range []bool{false, true} {
		got, err := readSquash(t.Context(), squash{names: names, zlib: compressed}.bytes())
		if err != nil || !tree.Difference(want, got).Clean() || len(got) != len(want) {
			t.Errorf("compressed %v: %+v, %v", compressed, got, err)
		}
	}
}

func TestSquashfsRefuses(t *testing.T) {
	one := func(kind uint16, inode []byte) squash {
		return squash{names: []squashName{{name: "x", kind: kind, inode: inode}}}
	}
	super := func(change func([]byte)) squash {
		s := one(squashFile, squashRegular(0o644, 0))
		s.super = change
		return s
	}
	named := func(names ...string) (s squash) {
		for _, n := range names {
			s.names = append(s.names, squashName{name: n, kind: squashFile, inode: squashRegular(0o644, 0)})
		}
		return s
	}
	raw := func(change func([]byte) []byte) squash {
		s := named("x")
		s.rawDir = change
		return s
	}
	long := append(squashHead(squashLongFile, 0o644), make([]byte, 40)...)
	longSize := bytes.Clone(long)
	le.PutUint64(longSize[16+8:], 1<<62)
	le.PutUint32(longSize[16+36:], squashNoAttributes)
	longDir := append(squashHead(squashLongDir, 0o755), make([]byte, 24)...)
	longLink := append(squashLink("a"), 0, 0, 0, 0)
	le.PutUint16(longLink, squashLongSymlink)
	hugeLink := squashLink("a")
	le.PutUint32(hugeLink[16+4:], 1<<31)
	far := squashRegular(0o644, 10)
	le.PutUint32(far[16:], 1<<31)
	for name, test := range map[string]struct {
		image squash
		want  string
	}{
		"another magic":             {super(func(b []byte) { b[0]++ }), "no squashfs"},
		"version 3":                 {super(func(b []byte) { b[28] = 3 }), "squashfs 3.0"},
		"version 4.1":               {super(func(b []byte) { b[30] = 1 }), "squashfs 4.1"},
		"blocks of 1 MiB":           {super(func(b []byte) { le.PutUint32(b[12:], 1<<20); b[22] = 20 }), "above 128 KiB"},
		"blocks of 256 KiB":         {super(func(b []byte) { le.PutUint32(b[12:], 256<<10); b[22] = 18 }), "above 128 KiB"},
		"tiny blocks":               {super(func(b []byte) { le.PutUint32(b[12:], 512); b[22] = 9 }), "blocks of 512"},
		"two sizes of blocks":       {super(func(b []byte) { b[22] = 12 }), "2^12"},
		"an unknown flag":           {super(func(b []byte) { le.PutUint16(b[24:], 1<<15) }), "flags 0x8000"},
		"xz":                        {super(func(b []byte) { b[20] = 4 }), "another method"},
		"lzo":                       {super(func(b []byte) { b[20] = 3 }), "another method"},
		"an unknown compression":    {super(func(b []byte) { b[20] = 9 }), "another method"},
		"more bytes than it has":    {super(func(b []byte) { b[40]++ }), "are used"},
		"no bytes":                  {super(func(b []byte) { le.PutUint64(b[40:], 0) }), "are used"},
		"inodes outside":            {super(func(b []byte) { le.PutUint64(b[64:], 1<<63) }), "tables at"},
		"inodes in the superblock":  {super(func(b []byte) { le.PutUint64(b[64:], 4) }), "tables at"},
		"directories before inodes": {super(func(b []byte) { le.PutUint64(b[72:], 96) }), ""},
		"directories outside":       {super(func(b []byte) { le.PutUint64(b[72:], 1<<40) }), "tables at"},
		"a table of attributes":     {super(func(b []byte) { le.PutUint64(b[56:], 200) }), "extended attributes"},
		"a million inodes":          {super(func(b []byte) { le.PutUint32(b[4:], 1<<20) }), "more entries"},
		"a root outside":            {super(func(b []byte) { le.PutUint64(b[32:], 1<<40) }), "outside"},
		"a root beyond its block":   {super(func(b []byte) { le.PutUint64(b[32:], 8000) }), "outside its block"},
		"a root across the end":     {super(func(b []byte) { b[32] += 20 }), ""},
		"a root that is a file":     {super(func(b []byte) { b[32] = 0 }), "top is no directory"},
		"a block that is too long":  {super(func(b []byte) { le.PutUint16(b[96:], squashPlain|8192) }), "the image has"},
		"an empty block":            {super(func(b []byte) { le.PutUint16(b[96:], squashPlain) }), "0 bytes"},
		"no zlib":                   {super(func(b []byte) { b[97] &= 0x7f }), "metadata"},
		"a device":                  {one(4, squashHead(4, 0o644)), "type 4"},
		"a character device":        {one(5, squashHead(5, 0o644)), "type 5"},
		"a FIFO":                    {one(6, squashHead(6, 0o644)), "type 6"},
		"a socket":                  {one(7, squashHead(7, 0o644)), "type 7"},
		"a hidden device":           {one(squashFile, squashHead(4, 0o644)), "type 4"},
		"a long device":             {one(squashFile, squashHead(11, 0o644)), "type 11"},
		"set-uid":                   {one(squashFile, squashRegular(0o4755, 0)), "setuid"},
		"set-gid":                   {one(squashFile, squashRegular(0o2755, 0)), "setuid"},
		"attributes of a file":      {one(squashFile, long), "extended attributes"},
		"attributes of a directory": {one(squashDir, longDir), "extended attributes"},
		"attributes of a link":      {one(squashSymlink, longLink), "extended attributes"},
		"an absurd size":            {one(squashFile, longSize), "a size of"},
		"more than the limit":       {one(squashFile, squashRegular(0o644, 10<<20+1)), "a size of"},
		"content outside":           {one(squashFile, far), "bytes at"},
		"another type":              {one(squashSymlink, squashRegular(0o644, 0)), "calls a symlink"},
		"a link that leads out":     {one(squashSymlink, squashLink("../x")), "outside"},
		"an absolute link":          {one(squashSymlink, squashLink("/etc/passwd")), "absolute"},
		"a link to itself":          {one(squashSymlink, squashLink("x")), "loop"},
		"an empty link":             {one(squashSymlink, squashLink("")), "0 bytes long"},
		"a huge link":               {one(squashSymlink, hugeLink), "bytes long"},
		"a directory in itself":     {one(squashDir, squashSub(squashDir, 0, 0, 24)), ""},
		"a directory outside":       {one(squashDir, squashSub(squashDir, 1<<30, 0, 24)), "the image has"},
		"a directory of no bytes":   {one(squashDir, squashSub(squashDir, 0, 0, 2)), "want 3"},
		"a directory beyond it":     {one(squashDir, squashSub(squashDir, 0, 8000, 24)), "from 8000"},
		"names that do not end":     {squash{names: named("x").names, dirSize: 40}, ""},
		"one name too many":         {raw(func(b []byte) []byte { b[0] = 1; return b }), "short"},
		"a million names":           {raw(func(b []byte) []byte { le.PutUint32(b, 1<<20); return b }), "limit 256"},
		"a name that is too long":   {raw(func(b []byte) []byte { le.PutUint16(b[12+6:], 1000); return b }), "short"},
		"a slash in a name":         {named("a/b"), "is no name"},
		"a parent":                  {named(".."), "is no name"},
		"a name of 256 bytes":       {named(strings.Repeat("n", 256)), "256 bytes"},
		"a NUL":                     {named("a\x00b"), "is no name"},
		"no UTF-8":                  {named("\xff"), "UTF-8"},
		"names that are not sorted": {named("b", "a"), "sorted"},
		"a name twice":              {named("a", "a"), "sorted"},
		"a top that is sticky":      {squash{top: append(squashHead(squashDir, 0o1755), make([]byte, 16)...)}, ""},
	} {
		b := test.image.bytes()
		_, err := readSquash(t.Context(), b)
		if !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// What a small image claims to be costs no more than its limits.
func TestReadsAreBounded(t *testing.T) {
	var names []squashName
	for i := range 200 {
		names = append(names, squashName{name: string(rune('a'+i/26)) + string(rune('a'+i%26)), kind: squashDir, inode: squashSub(squashDir, 0, 0, 3)})
	}
	// every directory lists the same names again
	s := squash{names: names, rawDir: func(b []byte) []byte {
		for i := range names {
			le.PutUint16(names[i].inode[16+8:], uint16(len(b)+3))
		}
		return b
	}}
	s.bytes()
	counted := &counting{ReaderAt: bytes.NewReader(s.bytes())}
	_, err := ReadSquashfs(t.Context(), counted, int64(len(s.bytes())), tenMiB)
	if !errors.Is(err, tree.ErrRefused) || counted.reads > 100 {
		t.Errorf("%v after %d reads", err, counted.reads)
	}
}

type counting struct {
	io.ReaderAt
	reads int
}

func (c *counting) ReadAt(b []byte, at int64) (int, error) {
	c.reads++
	return c.ReaderAt.ReadAt(b, at)
}

// The errors of a disk are no refusals, and an ended context is its cause.
func TestReadFails(t *testing.T) {
	i := small(t)
	broken := errors.New("broken")
	for at := range 2 {
		r := &failing{ReaderAt: bytes.NewReader(i.bytes), left: at, err: broken}
		if _, err := ReadErofs(t.Context(), r, int64(len(i.bytes)), tenMiB); !errors.Is(err, broken) || errors.Is(err, tree.ErrRefused) {
			t.Errorf("erofs, read %d: %v", at, err)
		}
	}
	b := squash{names: []squashName{{name: "x", kind: squashFile, inode: squashRegular(0o644, 0)}}}.bytes()
	for at := range 5 {
		r := &failing{ReaderAt: bytes.NewReader(b), left: at, err: broken}
		if _, err := ReadSquashfs(t.Context(), r, int64(len(b)), tenMiB); !errors.Is(err, broken) || errors.Is(err, tree.ErrRefused) {
			t.Errorf("squashfs, read %d: %v", at, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if _, err := readSquash(ctx, b); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type failing struct {
	io.ReaderAt
	left int
	err  error
}

func (f *failing) ReadAt(b []byte, at int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(b, at)
}

func FuzzErofs(f *testing.F) {
	entries, contents := sample()
	entries = entries[:16]
	f.Add(made(f, entries, opened(entries, contents)))
	f.Add(newZipped(f).bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ReadErofs(t.Context(), bytes.NewReader(b), int64(len(b)), tenMiB)
		check(t, got, err)
	})
}

func FuzzSquashfs(f *testing.F) {
	names := []squashName{
		{name: "a", kind: squashFile, inode: squashRegular(0o755, 0)},
		{name: "l", kind: squashSymlink, inode: squashLink("a")},
	}
	for _, compressed := range []bool{false, true} {
		f.Add(squash{names: names, zlib: compressed}.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readSquash(t.Context(), b)
		check(t, got, err)
	})
}

// check holds what was read of any bytes against the rules.
func check(t *testing.T, got []tree.Entry, err error) {
	t.Helper()
	if err == nil {
		err = tree.Check(t.Context(), got, tenMiB)
	} else if errors.Is(err, tree.ErrRefused) {
		err = nil
	}
	if err != nil {
		t.Errorf("%v", err)
	}
}
