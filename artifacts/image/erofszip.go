package image

import (
	"encoding/binary"
	"fmt"

	"koboshi/artifacts/tree"
)

// Compressed files of erofs. A file is cut into clusters of one block, and behind
// its inode is a map of them: each is the head of an extent, which says at which of
// its bytes the extent begins and in which blocks its compressed bytes are, or is
// within one. In the compact form of the map clusters are stored in packs that share
// the number of a block; in the full form each has an entry of its own.
//
// Sources: fs/erofs/erofs_fs.h and fs/erofs/zmap.c of Linux.
const (
	zipLZ4  = 0 // numbers of methods
	zipZstd = 3

	zipMaxBlocks = 32       // of one extent: those of 128 KiB, as in squashfs
	zipMaxPlain  = 12 << 20 // bytes that an extent decodes to, as in the kernel
	zipMaxWindow = 10       // log2 of the KiB that zstd looks back over
	zipHeader    = 8        // bytes before the map; before a full one there are 8 more
	zipEntry     = 8        // of a full map
	zipCount     = 0x800    // of a cluster within an extent: its number is how many blocks the extent has
)

// zipMethods are how a map names what its file is compressed by.
var zipMethods = map[Compression]byte{LZ4: zipLZ4, Zstd: zipZstd}

// Advice in the header of a map.
const (
	zipPacks16     = 0x01 // most clusters are in packs of 16
	zipBig         = 0x02 // extents may have several blocks
	zipBigToo      = 0x04 // of the second algorithm, which no file uses
	zipInterlaced  = 0x10 // how bytes that are not compressed are aligned
	zipFragment    = 0x20 // the last extent is in the packed file
	zipKnown       = zipPacks16 | zipBig | zipBigToo | zipInterlaced | zipFragment
	zipAllFragment = 0x80 // of the byte with the size of clusters: the whole file is in the packed one
)

// readZip finds out which compression the image has, from its superblock and
// what follows that.
func (e *erofs) readZip(super []byte) error {
	le := binary.LittleEndian
	features := le.Uint32(super[80:])
	e.packed = le.Uint64(super[96:])
	if features&erofsFragments == 0 && e.packed != 0 {
		return refuse("erofs: a packed file, and no feature says so")
	}
	if features&erofsComprConfig == 0 {
		if features&erofsZeroPadding != 0 {
			e.zip = LZ4
		}
		return nil
	}
	cfg, err := section(e.r, e.size, erofsSuperAt+erofsSuperSize, 2+14)
	if err != nil {
		return err
	}
	n := le.Uint16(cfg)
	switch algorithms := le.Uint16(super[84:]); {
	case algorithms == 1<<zipLZ4 && n == 14 && le.Uint16(cfg[4:]) <= zipMaxBlocks:
		e.zip = LZ4
	case algorithms == 1<<zipZstd && n == 6 && cfg[2] == 0 && cfg[3] <= zipMaxWindow:
		e.zip = Zstd
	default:
		return refuseZip("erofs: compressed by other methods than LZ4 or zstd alone, or with larger windows or blocks (%#x, % x)", algorithms, cfg)
	}
	return nil
}

// readPacked finds the packed file, which has no name.
func (e *erofs) readPacked() error {
	if e.packed == 0 {
		return nil
	}
	in, err := e.inode(e.packed)
	if err == nil && in.kind != tree.TypeFile {
		err = refuse("erofs: the packed file is a %s", in.kind)
	}
	e.packedSize = in.size
	return at("the packed file", err)
}

func refuseZip(format string, args ...any) error {
	return &tree.RefusedError{Reason: fmt.Sprintf(format, args...),
		Remedy: "compress it as koboshi publish --image does: mkfs.erofs -b4096 -C131072 -Efragments -zzstd,level=6"}
}

// extent is what the clusters say about some bytes of a file.
type extent struct {
	from   int64 // byte of the file
	head   int64 // its cluster
	kind   int
	block  int64
	blocks int64
	reach  int64 // the next head is not before this cluster
}

// checkZip checks the map of a compressed file, which is at a position behind its
// inode: that extents follow each other, are within the image, of a bounded size, and
// have blocks of their own.
func (e *erofs) checkZip(in inode, c content) error {
	if e.zip == "" {
		return refuse("erofs: a compressed file, and no feature says so")
	}
	at := (c.inline + 7) &^ 7
	header, err := e.bytesAt(at, zipHeader)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	count := (c.size + erofsBlock - 1) / erofsBlock
	if e.clusters -= count; e.clusters < 0 || count == 0 {
		return refuse("erofs: %d bytes are compressed, or more than the limit altogether", c.size)
	}
	if header[7]&zipAllFragment != 0 {
		return e.checkFragment(in.id, le.Uint64(header)&^(1<<63), c.size)
	}
	advice := le.Uint16(header[4:])
	unequal := c.layout == erofsCompressedCompact && (advice&zipBig == 0) != (advice&zipBigToo == 0)
	switch {
	case advice&^zipKnown != 0 || unequal:
		return refuseZip("erofs: compressed with advice %#x, known are %#x", advice, zipKnown)
	case header[6] != zipMethods[e.zip] || header[7] != 0:
		return refuseZip("erofs: compressed by method %#x with clusters %#x", header[6], header[7])
	}
	z := newZipMap(e, at+zipHeader, count, advice)
	if c.layout == erofsCompressedFull {
		z.full, z.at = true, z.at+zipEntry
	}
	last, err := z.extents(c.size)
	if err != nil || advice&zipFragment == 0 {
		if err == nil {
			err = e.take(last, c.size)
		}
		return err
	}
	return e.checkFragment(in.id, uint64(le.Uint32(header)), c.size-last.from)
}

// checkFragment checks that bytes are within the packed file. That one has no
// fragments itself.
func (e *erofs) checkFragment(id, from uint64, n int64) error {
	if e.packed == 0 || id == e.packed {
		return refuse("erofs: a fragment, and no packed file that may have it")
	}
	if from > uint64(e.packedSize) || n > e.packedSize-int64(from) { //nolint:gosec // bounded before
		return refuse("erofs: a fragment of %d bytes at %d, and the packed file has %d", n, from, e.packedSize)
	}
	return nil
}

// extents checks all but the last extent, and returns that.
func (z *zipMap) extents(size int64) (now extent, err error) {
	for i := range z.count {
		c, err := z.cluster(i)
		if err != nil {
			return now, err
		}
		if c.kind == clusterWithin {
			if err := z.within(&now, i, c); err != nil {
				return now, err
			}
			continue
		}
		next := extent{from: i*erofsBlock + c.offset, head: i, kind: c.kind, block: c.block, blocks: 1}
		if i > 0 && next.from == size {
			break // a head that only ends the extent before
		}
		if err := z.next(now, next); err != nil {
			return now, err
		}
		now = next
	}
	if now.from >= size || now.reach > z.count {
		err = refuse("erofs: an extent from %d of %d bytes, to cluster %d", now.from, size, now.reach)
	}
	return now, err
}

// next checks an extent by the one that follows.
func (z *zipMap) next(now, next extent) error {
	switch {
	case next.head == 0 && next.from != 0:
		return refuse("erofs: a file that begins at byte %d of its extent", next.from)
	case next.head == 0:
		return nil
	case now.reach > next.head:
		return refuse("erofs: an extent to cluster %d that goes on to %d", next.head, now.reach)
	}
	return z.e.take(now, next.from)
}

// within checks a cluster that belongs to an extent. The first one after the head has
// the extent's number of blocks, where that may be more than one.
func (z *zipMap) within(now *extent, i int64, c cluster) error {
	distance := i - now.head
	switch {
	case i == 0:
		return refuse("erofs: a file that begins within an extent")
	case c.back < 1 || c.back > distance:
		return refuse("erofs: a cluster that is %d from its head, want 1 to %d", c.back, distance)
	case (c.blocks >= 0) != (z.big && distance == 1):
		return refuse("erofs: the blocks of an extent are said in cluster %d of it, or not", distance)
	case c.blocks >= 0:
		now.blocks = c.blocks
	}
	now.reach = max(now.reach, i+c.ahead)
	return nil
}

// take checks an extent that ends at a byte, and its blocks.
func (e *erofs) take(x extent, end int64) error {
	plain, blocks := end-x.from, x.blocks
	switch {
	case plain < 1 || plain > zipMaxPlain:
		return refuse("erofs: an extent of %d bytes, want 1 to %d", plain, zipMaxPlain)
	case blocks < 1 || blocks > zipMaxBlocks:
		return refuseZip("erofs: %d compressed blocks in one, which every small read decodes; want 1 to %d", blocks, zipMaxBlocks)
	case x.kind == clusterPlain && (plain > erofsBlock || blocks > 1):
		return refuse("erofs: %d bytes that are not compressed, in one block", plain)
	case x.block < 1 || x.block > e.size/erofsBlock-blocks:
		return refuse("erofs: %d blocks at %d, and the image has %d", blocks, x.block, e.size/erofsBlock)
	}
	return e.occupy(x.block, x.block+blocks)
}

// occupy notes the blocks of an extent. No block is in two extents, but that equal files
// may have equal ones: mkfs.erofs stores their content once.
func (e *erofs) occupy(from, to int64) error {
	if e.used == nil {
		e.used, e.heads = make(bits, e.size/erofsBlock/64+1), make(bits, e.size/erofsBlock/64+1)
	}
	again := e.heads.has(from)
	for b := from; b < to; b++ {
		if e.used.has(b) != again || b > from && e.heads.has(b) {
			return refuseZip("erofs: block %d has compressed bytes of two extents", b)
		}
		e.used.set(b)
	}
	if again && e.used.has(to) && !e.heads.has(to) {
		return refuseZip("erofs: block %d has compressed bytes of two extents, of which one is longer", from)
	}
	e.heads.set(from)
	return nil
}

// bits is a set of blocks.
type bits []uint64

func (b bits) has(i int64) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bits) set(i int64) { b[i/64] |= 1 << (i % 64) }
