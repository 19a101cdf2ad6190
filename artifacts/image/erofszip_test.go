package image

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"koboshi/artifacts/tree"
)

// zipped is testdata/zstd.erofs.zst, that a test damages: an image by mkfs.erofs 1.8.6
// with -b4096 -zzstd,level=6 -C8192 -Efragments, and the compressed bytes of its files
// replaced by zeros. It has
//
//	dir/mixed-again, mixed   7 extents: 3 of text, one of a block that does not compress, 2 of text, and a fragment
//	text                     2 extents and a fragment
//	zeros                    one extent of 2,000 clusters, and a fragment
//	dir/other, dir/small     in the packed file, as a whole
//	link
type zipped struct {
	t     testing.TB
	bytes []byte
}

func newZipped(t testing.TB) *zipped {
	t.Helper()
	packed, err := os.ReadFile("testdata/zstd.erofs.zst")
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	plain, err := d.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &zipped{t, plain}
}

func (z *zipped) read(limits tree.Limits) ([]tree.Entry, error) {
	return ReadErofs(z.t.Context(), bytes.NewReader(z.bytes), int64(len(z.bytes)), limits)
}

func (z *zipped) super() []byte { return z.bytes[erofsSuperAt:] }

// ids are the numbers of inodes in the image as it was made; packed is without a name.
var ids = map[string]int{"mixed": 48, "text": 52, "zeros": 2176, "other": 55, "small": 57, "packed": 59, "top": 37}

func (z *zipped) inode(name string) []byte { return z.bytes[ids[name]*erofsSlot:] }

// header is that of a file's map, behind a compact inode.
func (z *zipped) header(name string) []byte { return z.inode(name)[erofsCompact:] }

// mapOf is how a file's map is read.
func (z *zipped) mapOf(name string) *zipMap {
	z.t.Helper()
	e, _, err := openErofs(bytes.NewReader(z.bytes), int64(len(z.bytes)), tree.Limits{Bytes: 1 << 30})
	if err != nil {
		z.t.Fatal(err)
	}
	size := int64(le.Uint32(z.inode(name)[8:]))
	return newZipMap(e, int64(ids[name]*erofsSlot+erofsCompact+zipHeader), (size+erofsBlock-1)/erofsBlock, le.Uint16(z.header(name)[4:]))
}

// pack is the bytes of the image with a cluster's pack.
func (z *zipped) pack(name string, cluster int64) (pack, []byte) {
	z.t.Helper()
	p, err := z.mapOf(name).packOf(cluster)
	if err != nil {
		z.t.Fatal(err)
	}
	at := bytes.Index(z.bytes[ids[name]*erofsSlot:], p.bytes)
	return p, z.inode(name)[at:][:len(p.bytes)]
}

// set writes an entry of a map.
func (z *zipped) set(name string, cluster int64, kind, number int) {
	z.t.Helper()
	p, b := z.pack(name, cluster)
	for i := range p.bits {
		at := p.first*p.bits + i
		b[at/8] &^= 1 << (at % 8)
		b[at/8] |= byte((kind<<12|number)>>i&1) << (at % 8)
	}
}

// base moves the blocks of a cluster's pack.
func (z *zipped) base(name string, cluster int64, block uint32) {
	z.t.Helper()
	_, b := z.pack(name, cluster)
	le.PutUint32(b[len(b)-4:], block)
}

// dirent is the entry of a file in its directory.
func (z *zipped) dirent(name string) []byte {
	z.t.Helper()
	at := bytes.Index(z.bytes, le.AppendUint64(nil, uint64(ids[name])))
	if at < 0 {
		z.t.Fatalf("%s is in no directory", name)
	}
	return z.bytes[at:]
}

var gib = tree.Limits{Bytes: 1 << 30, Entries: 100}

// What mkfs.erofs makes is read, each entry of a map as it was written.
func TestErofsZip(t *testing.T) {
	z := newZipped(t)
	got, err := z.read(gib)
	if err != nil {
		t.Fatal(err)
	}
	want := []tree.Entry{
		{Path: "dir", Type: tree.TypeDir, Mode: tree.DirMode},
		{Path: "dir/mixed-again", Type: tree.TypeFile, Mode: 0o644, Size: 99001},
		{Path: "dir/other", Type: tree.TypeFile, Mode: 0o644, Size: 4999},
		{Path: "dir/small", Type: tree.TypeFile, Mode: 0o644, Size: 120},
		{Path: "link", Type: tree.TypeSymlink, Link: "dir/small"},
		{Path: "mixed", Type: tree.TypeHardlink, Link: "dir/mixed-again"},
		{Path: "text", Type: tree.TypeFile, Mode: 0o644, Size: 40001},
		{Path: "zeros", Type: tree.TypeFile, Mode: 0o644, Size: 9000000},
	}
	if diff := tree.Difference(want, got); !diff.Clean() || len(got) != len(want) {
		t.Errorf("%+v, %+v", diff, got)
	}
	var heads []int64
	var blocks []int64
	m := z.mapOf("mixed")
	for i := range m.count {
		c, err := m.cluster(i)
		if err != nil {
			t.Fatal(err)
		}
		if c.kind != clusterWithin {
			heads, blocks = append(heads, i*erofsBlock+c.offset), append(blocks, c.block)
		}
	}
	for i, want := range []struct{ head, block int64 }{{0, 1}, {17535, 3}, {35551, 5}, {51114, 7}, {55210, 8}, {66478, 10}} { // as dump.erofs -e has them
		if heads[i] != want.head || blocks[i] != want.block {
			t.Errorf("extent %d from %d in block %d, want %+v", i, heads[i], blocks[i], want)
		}
	}
	z.set("text", 5, clusterWithin, 1) // the test changes what it means to
	if c, err := z.mapOf("text").cluster(5); err != nil || c.kind != clusterWithin {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestErofsZipRefuses(t *testing.T) {
	super := func(at int, b ...byte) func(*zipped) { return func(z *zipped) { copy(z.super()[at:], b) } }
	header := func(name string, at int, b ...byte) func(*zipped) {
		return func(z *zipped) { copy(z.header(name)[at:], b) }
	}
	set := func(name string, cluster int64, kind, number int) func(*zipped) {
		return func(z *zipped) { z.set(name, cluster, kind, number) }
	}
	base := func(name string, cluster int64, block uint32) func(*zipped) {
		return func(z *zipped) { z.base(name, cluster, block) }
	}
	for name, test := range map[string]struct {
		damage func(*zipped)
		want   string
	}{
		"no method":                  {super(84, 0), "other methods"},
		"LZMA":                       {super(84, 2), "other methods"},
		"DEFLATE":                    {super(84, 4), "other methods"},
		"two methods":                {super(84, 9), "other methods"},
		"LZ4 described as zstd":      {super(84, 1), "other methods"},
		"a method of the future":     {super(85, 1), "other methods"},
		"a larger window":            {super(128+3, 11), "larger windows"},
		"another format of zstd":     {super(128+2, 1), "other methods"},
		"a shorter description":      {super(128, 4), "other methods"},
		"LZ4 with large blocks":      {super(84, 1, 0, 0, 0, 0, 0, 0, 0), "other methods"},
		"no packed file":             {super(96, 0), "no packed file"},
		"a packed file outside":      {super(96, 0, 0, 0, 1), "outside"},
		"a packed file that is dir":  {super(96, 37), "the packed file"},
		"a packed file in itself":    {header("packed", 7, 0x80), "no packed file that may have it"},
		"a packed end of the packed": {header("packed", 4, 0x37), "no packed file that may have it"},
		"a name of the packed file":  {func(z *zipped) { z.dirent("other")[0] = byte(ids["packed"]) }, "name of the packed file"},

		"data behind the inode":       {header("mixed", 4, 0x3f), "advice 0x3f"},
		"a shared second method":      {header("mixed", 4, 0x33), "advice 0x33"},
		"extents of a new kind":       {header("mixed", 5, 1), "advice 0x1"},
		"another method":              {header("mixed", 6, 0), "by method 0x0"},
		"a second method":             {header("mixed", 6, 0x33), "by method 0x33"},
		"larger clusters":             {header("mixed", 7, 1), "clusters 0x1"},
		"a compact map as a full one": {func(z *zipped) { z.inode("mixed")[0] = 1 << 1 }, "erofs"},
		"a fragment from outside":     {header("text", 3, 0xff), "a fragment of 4503 bytes"},
		"a fragment that is longer":   {header("text", 0, 0xff, 0xff, 0x0c), "a fragment of 4503 bytes"},
		"a whole one from outside":    {header("small", 3, 1), "a fragment of 120 bytes"},
		"a whole one from far away":   {header("small", 6, 0xff), "a fragment of 120 bytes"},
		"a whole one that is longer":  {func(z *zipped) { le.PutUint32(z.inode("other")[8:], 832567) }, "a fragment of 832567 bytes"},
		"no fragments, and one used":  {func(z *zipped) { z.super()[80] = 3 }, "no feature says so"},

		"begins within an extent":    {set("mixed", 0, clusterWithin, 1), "begins within"},
		"begins after its beginning": {set("mixed", 0, clusterHead, 5), "begins at byte 5"},
		"a second algorithm":         {set("text", 4, 3, 0), "second algorithm"},
		"too many blocks":            {set("text", 1, clusterWithin, zipCount|33), "33 compressed blocks"},
		"far too many blocks":        {set("text", 1, clusterWithin, zipCount|0x7ff), "2047 compressed blocks"},
		"no blocks":                  {set("text", 1, clusterWithin, zipCount), "0 compressed blocks"},
		"blocks that are not said":   {set("text", 1, clusterWithin, 1), "are said in cluster 1"},
		"blocks that are said twice": {set("text", 2, clusterWithin, zipCount|2), "said in cluster 2"},
		"its own head":               {set("text", 2, clusterWithin, 0), "0 from its head"},
		"a head before the file":     {set("mixed", 2, clusterWithin, 3), "3 from its head, want 1 to 2"},
		"goes on after the next":     {set("mixed", 3, clusterWithin, 9), "to cluster 4 that goes on to 12"},
		"goes on after the end":      {set("zeros", 2197, clusterWithin, 9), "to cluster 2206"},
		"a block after the end":      {base("text", 0, 22), "the image has 22"},
		"a block far after the end":  {base("text", 0, 1<<32-1), "the image has 22"},
		"the superblock":             {base("text", 0, 0), "2 blocks at 0"},
		"blocks of another file":     {base("text", 0, 9), "block 9 has compressed bytes of two extents"},
		"blocks of another extent":   {set("text", 1, clusterWithin, zipCount|3), "block 14 has compressed bytes of two extents"},
		"plain bytes of many blocks": {set("mixed", 0, clusterPlain, 0), "not compressed, in one block"},
		"an end that is a head":      {func(z *zipped) { z.set("text", 9, clusterHead, 4095) }, "an extent from"},
		"a map that goes on":         {func(z *zipped) { le.PutUint32(z.inode("zeros")[8:], 1<<29) }, "erofs"},
	} {
		z := newZipped(t)
		test.damage(z)
		if _, err := z.read(gib); test.want == "" || !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := newZipped(t).read(tree.Limits{Bytes: 4 << 20, Entries: 100}); !errors.Is(err, tree.ErrRefused) {
		t.Errorf("more than the limit: %v", err)
	}
}

// What an extent decodes to is bounded, and a map is within the image.
func TestErofsZipBounds(t *testing.T) {
	z := newZipped(t)
	e := z.mapOf("zeros").e
	for end, want := range map[int64]bool{1: true, zipMaxPlain: true, zipMaxPlain + 1: false, 0: false, -1: false} {
		e.used = nil
		if err := e.take(extent{block: 1, blocks: 1, kind: clusterHead}, end); (err == nil) != want {
			t.Errorf("an extent of %d bytes: %v", end, err)
		}
	}
	m := newZipMap(e, int64(len(z.bytes))-erofsSlot, 1<<20, zipBig|zipBigToo)
	for i := range int64(4) { // four packs, all of heads
		le.PutUint64(z.bytes[m.at+8*i:], uint64(clusterHead<<12|clusterHead<<28|(1+2*i)<<32)) //nolint:gosec // small
	}
	e.at, e.used, e.heads = -1, nil, nil
	if _, err := m.extents(1 << 32); !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), "the image has") {
		t.Errorf("a map to the end of the image: %v", err)
	}
}

// full puts the clusters of a file's map behind the image as a full map, which it returns.
func (z *zipped) full(name string) *zipMap {
	z.t.Helper()
	m, head := z.mapOf(name), int64(0)
	full := &zipMap{e: m.e, at: int64(len(z.bytes)), count: m.count, big: m.big, full: true}
	for i := range m.count {
		c, err := m.cluster(i)
		if err != nil {
			z.t.Fatal(err)
		}
		z.bytes = le.AppendUint16(z.bytes, uint16(c.kind)) //nolint:gosec // of two bits
		switch {
		case c.kind != clusterWithin:
			head = i
			z.bytes = le.AppendUint16(z.bytes, uint16(c.offset)) //nolint:gosec // in a block
			z.bytes = le.AppendUint32(z.bytes, uint32(c.block))  //nolint:gosec // in the image
			continue
		case c.blocks >= 0:
			c.back = zipCount | c.blocks
		default:
			c.back = min(i-head, zipCount-1)
		}
		z.bytes = le.AppendUint16(z.bytes, 0)
		z.bytes = le.AppendUint16(z.bytes, uint16(c.back))  //nolint:gosec // bounded
		z.bytes = le.AppendUint16(z.bytes, uint16(c.ahead)) //nolint:gosec // of 12 bits
	}
	z.bytes = append(z.bytes, make([]byte, -len(z.bytes)&(erofsBlock-1))...)
	full.e.r, full.e.size, full.e.at = bytes.NewReader(z.bytes), int64(len(z.bytes)), -1
	return full
}

// A full map says what the compact one says, and is refused for what that is.
func TestErofsFullMaps(t *testing.T) {
	for name, size := range map[string]int64{"mixed": 99001, "text": 40001, "zeros": 9000000} {
		z := newZipped(t)
		compact := z.mapOf(name)
		want, err := compact.extents(size)
		if err != nil {
			t.Fatal(err)
		}
		full := z.full(name)
		full.e.used = nil
		got, err := full.extents(size)
		if err != nil || got != want || !slices.Equal(full.e.used[:len(compact.e.used)], compact.e.used) {
			t.Errorf("%s: the last extent is %+v (%v), want %+v; blocks %x, want %x", name, got, err, want, full.e.used, compact.e.used)
		}
	}
	for name, test := range map[string]struct {
		cluster, at int64
		value       uint16
		want        string
	}{
		"a second algorithm":         {4, 0, 3, "second algorithm"},
		"shared with another":        {0, 0, 1<<15 | clusterHead, "another file has in part (0x8001)"},
		"unknown bits":               {0, 0, 1<<2 | clusterHead, "(0x5)"},
		"begins in another cluster":  {4, 2, 4096, "begins at byte 4096"},
		"a block after the end":      {0, 6, 1, "at 65548, and the image has"},
		"its own head":               {2, 4, 0, "0 from its head"},
		"a head before the file":     {2, 4, 3, "3 from its head, want 1 to 2"},
		"goes on after the next":     {3, 6, 9, "that goes on to 12"},
		"too many blocks":            {1, 4, zipCount | 33, "33 compressed blocks"},
		"no blocks":                  {1, 4, zipCount, "0 compressed blocks"},
		"blocks that are not said":   {1, 4, 1, "are said in cluster 1"},
		"blocks that are said twice": {2, 4, zipCount | 2, "said in cluster 2"},
	} {
		z := newZipped(t)
		full := z.full("text")
		le.PutUint16(z.bytes[full.at+zipEntry*test.cluster+test.at:], test.value)
		full.e.r = bytes.NewReader(z.bytes)
		if _, err := full.extents(40001); !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// Extents are whole: two have all of their blocks together, or none.
func TestErofsExtents(t *testing.T) {
	for name, test := range map[string]struct {
		extents [][2]int64 // from the block, to before the block
		want    string     // of the last one; "" = it is taken
	}{
		"one after another":           {[][2]int64{{1, 3}, {3, 4}, {5, 70}, {4, 5}}, ""},
		"of an equal file":            {[][2]int64{{1, 3}, {3, 4}, {1, 3}, {3, 4}, {1, 3}}, ""},
		"the last of the image":       {[][2]int64{{70, 72}, {70, 72}}, ""},
		"shorter":                     {[][2]int64{{1, 4}, {1, 3}}, "block 1 has compressed bytes of two extents, of which one is longer"},
		"longer":                      {[][2]int64{{1, 3}, {1, 4}}, "block 3 has compressed bytes of two extents"},
		"longer, into the next":       {[][2]int64{{1, 3}, {3, 4}, {1, 4}}, "block 3 has compressed bytes of two extents"},
		"from the middle":             {[][2]int64{{1, 4}, {2, 4}}, "block 2 has compressed bytes of two extents"},
		"to the middle":               {[][2]int64{{2, 4}, {1, 3}}, "block 2 has compressed bytes of two extents"},
		"around":                      {[][2]int64{{2, 3}, {1, 4}}, "block 2 has compressed bytes of two extents"},
		"shorter, at another's block": {[][2]int64{{60, 66}, {66, 67}, {60, 65}}, "of which one is longer"},
	} {
		e := &erofs{size: 72 * erofsBlock}
		var err error
		for i, x := range test.extents {
			if err = e.occupy(x[0], x[1]); err != nil && i < len(test.extents)-1 {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
