package image

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"strings"

	"koboshi/artifacts/tree"
)

// The layout of erofs, version 1 (Documentation/filesystems/erofs.rst and
// fs/erofs/erofs_fs.h of Linux). Numbers are little-endian.
const (
	erofsBlock      = 4096 // the only size of a block that is taken: every kernel mounts it
	erofsSuperAt    = 1024
	erofsSuperSize  = 128
	erofsMagic      = 0xE0F5E1E2
	erofsSlot       = 32 // bytes that an inode's number counts
	erofsCompact    = 32 // bytes of the two kinds of inodes
	erofsExtended   = 64
	erofsDirentSize = 12
	erofsMaxDir     = 64 << 20 // bytes of the names in one directory
)

// Where the bytes of an erofs inode are.
const (
	erofsPlain             = 0
	erofsCompressedFull    = 1
	erofsInline            = 2 // what does not fill a block is behind the inode
	erofsCompressedCompact = 3
)

// Features without which an erofs image cannot be read: what mkfs.erofs uses to
// compress, and nothing that moves metadata or names other devices.
const (
	erofsZeroPadding = 0x1
	erofsComprConfig = 0x2
	erofsFragments   = 0x20 // and dedupe, which is found out where two extents share a block
	erofsFeatures    = erofsZeroPadding | erofsComprConfig | erofsFragments
)

// Types of files in a directory of erofs.
var erofsTypes = map[byte]tree.Type{1: tree.TypeFile, 2: tree.TypeDir, 7: tree.TypeSymlink}

// Format bits of st_mode, which both formats or Linux itself use.
const (
	modeType    = 0o170000
	modeRegular = 0o100000
	modeDir     = 0o040000
	modeSymlink = 0o120000
)

type erofs struct {
	r     io.ReaderAt
	size  int64 // of the image, in bytes
	meta  int64 // where inodes are counted from
	limit int64 // bytes of a file
	dirs  int64 // bytes of directories that may still be read
	block []byte
	at    int64 // where block is from; -1 = nowhere

	zip        Compression     // of files
	packed     uint64          // the inode with the ends of compressed files; 0 = none
	packedSize int64           // bytes
	clusters   int64           // of compressed files, that may still be read
	checked    map[uint64]bool // compressed files whose maps were read
	used       bits            // blocks that have compressed bytes
	heads      bits            // the first of each extent
}

// ReadErofs walks an erofs image of size bytes.
func ReadErofs(ctx context.Context, r io.ReaderAt, size int64, limits tree.Limits) ([]tree.Entry, error) {
	e, top, err := openErofs(r, size, limits)
	if err == nil {
		err = e.readPacked()
	}
	if err != nil {
		return nil, err
	}
	return walk(ctx, e, top, limits)
}

// ErofsCompression reads what the files of an erofs image are compressed by.
func ErofsCompression(r io.ReaderAt, size int64) (Compression, error) {
	e, _, err := openErofs(r, size, tree.Limits{})
	if err != nil {
		return "", err
	}
	return e.zip, nil
}

// openErofs checks the superblock, and returns the top's inode.
func openErofs(r io.ReaderAt, size int64, limits tree.Limits) (e *erofs, top uint64, err error) {
	super, err := section(r, size, erofsSuperAt, erofsSuperSize)
	if err != nil {
		return nil, 0, err
	}
	le := binary.LittleEndian
	blocks, metaBlock := int64(le.Uint32(super[36:])), int64(le.Uint32(super[40:]))
	switch {
	case le.Uint32(super) != erofsMagic:
		return nil, 0, refuse("no erofs image")
	case super[12] != 12:
		return nil, 0, refuse("erofs: blocks of 2^%d bytes, want %d", super[12], erofsBlock)
	case super[13] != 0 || super[90] != 0 || super[91] != 0 || le.Uint16(super[86:]) != 0:
		return nil, 0, refuse("erofs: a longer superblock, other directory blocks, prefixes of attributes, or other devices")
	case le.Uint32(super[80:])&^erofsFeatures != 0:
		return nil, 0, refuse("erofs: features %#x, known are %#x", le.Uint32(super[80:]), erofsFeatures)
	case blocks*erofsBlock > size || blocks == 0 || size-blocks*erofsBlock >= erofsBlock:
		return nil, 0, refuse("erofs: %d blocks of %d, and the image has %d bytes", blocks, erofsBlock, size)
	case metaBlock >= blocks:
		return nil, 0, refuse("erofs: inodes from block %d of %d", metaBlock, blocks)
	}
	e = &erofs{r: r, size: blocks * erofsBlock, meta: metaBlock * erofsBlock, limit: limits.Bytes, dirs: 2 * tree.MaxText, at: -1,
		clusters: 2*(limits.Bytes/erofsBlock+limits.Entries) + 1, checked: map[uint64]bool{}}
	if err := e.readZip(super); err != nil {
		return nil, 0, err
	}
	return e, uint64(le.Uint16(super[14:])), nil
}

// bytesAt is a part of one block.
func (e *erofs) bytesAt(at, n int64) ([]byte, error) {
	start := at &^ (erofsBlock - 1)
	if at < 0 || at+n > start+erofsBlock {
		return nil, refuse("erofs: %d bytes at %d, across blocks", n, at)
	}
	if start != e.at {
		block, err := section(e.r, e.size, start, erofsBlock)
		if err != nil {
			return nil, err
		}
		e.block, e.at = block, start
	}
	return e.block[at-start:][:n], nil
}

// position is where an inode is.
func (e *erofs) position(id uint64) (int64, error) {
	if id > uint64(e.size)/erofsSlot {
		return 0, refuse("erofs: inode %d is outside", id)
	}
	return e.meta + int64(id)*erofsSlot, nil //nolint:gosec // less than the image's size
}

func (e *erofs) inode(id uint64) (in inode, err error) {
	at, err := e.position(id)
	if err != nil {
		return in, err
	}
	b, err := e.bytesAt(at, erofsCompact)
	if err != nil {
		return in, err
	}
	le := binary.LittleEndian
	format, attributes, mode := le.Uint16(b), le.Uint16(b[2:]), le.Uint16(b[4:])
	size, raw, length := uint64(le.Uint32(b[8:])), le.Uint32(b[16:]), int64(erofsCompact)
	if format&1 != 0 {
		if b, err = e.bytesAt(at, erofsExtended); err != nil {
			return in, err
		}
		size, length = le.Uint64(b[8:]), erofsExtended
	}
	layout := format >> 1 & 7
	switch {
	case format>>4 != 0:
		return in, refuse("erofs: inode of unknown format %#x", format)
	case attributes != 0:
		return in, refuseAttributes()
	case size > uint64(e.limit) && size > erofsMaxDir:
		return in, refuse("a size of %d bytes, the limit is %d", size, e.limit)
	}
	in = inode{id: id, mode: fs.FileMode(mode & 0o7777), size: int64(size)} //nolint:gosec // bounded above
	data := content{layout: int(layout), first: int64(raw) * erofsBlock, inline: at + length, size: in.size}
	switch mode & modeType {
	case modeRegular:
		in.kind = tree.TypeFile
		err = e.checkFile(in, data)
	case modeDir:
		in.kind, in.at, in.tail = tree.TypeDir, data.first, data.inline
		err = e.checkDir(&in, data)
	case modeSymlink:
		in.kind = tree.TypeSymlink
		in.link, err = e.target(data)
		in.size = 0
	default:
		err = refuse("neither a file, a directory nor a symbolic link (mode %#o)", mode)
	}
	return in, err
}

// content is where the bytes of an inode are.
type content struct {
	layout int
	first  int64 // of its blocks
	inline int64 // of what does not fill one
	size   int64
}

// whole is how many of the bytes are in whole blocks.
func (c content) whole() int64 {
	if c.layout == erofsInline {
		return c.size &^ (erofsBlock - 1)
	}
	return c.size
}

// checkFile checks that the bytes of a file are within the image.
func (e *erofs) checkFile(in inode, c content) error {
	if c.layout != erofsCompressedFull && c.layout != erofsCompressedCompact {
		return e.checkContent(c)
	}
	if e.checked[in.id] { // by another of its names
		return nil
	}
	e.checked[in.id] = true
	return e.checkZip(in, c)
}

// checkContent is checkFile for what is not compressed.
func (e *erofs) checkContent(c content) error {
	switch c.layout {
	case erofsPlain, erofsInline:
		whole := (c.whole() + erofsBlock - 1) &^ (erofsBlock - 1)
		if whole > 0 && (c.first > e.size || whole > e.size-c.first) {
			return refuse("%d bytes at %d, and the image has %d", whole, c.first, e.size)
		}
		_, err := e.bytesAt(c.inline, c.size-c.whole())
		return err
	}
	return refuse("erofs: content of unknown layout %d", c.layout)
}

func (e *erofs) checkDir(in *inode, c content) error {
	if c.layout != erofsPlain && c.layout != erofsInline {
		return refuse("erofs: a directory of layout %d", c.layout)
	}
	if c.layout == erofsPlain {
		in.tail = 0
	}
	if in.size > erofsMaxDir {
		return refuse("a directory of %d bytes, limit %d", in.size, erofsMaxDir)
	}
	return e.checkContent(c)
}

func (e *erofs) target(c content) (string, error) {
	if c.size < 1 || c.size > tree.MaxPath {
		return "", refuse("link target: %d bytes long, limit %d", c.size, tree.MaxPath)
	}
	at := c.inline
	switch c.layout {
	case erofsInline:
	case erofsPlain:
		at = c.first
	default:
		return "", refuse("erofs: a symbolic link of layout %d", c.layout)
	}
	b, err := e.bytesAt(at, c.size)
	return string(b), err
}

func refuseAttributes() error {
	return &tree.RefusedError{Reason: "has extended attributes, such as file capabilities",
		Remedy: "make the image without them: mkfs.erofs -x-1, mksquashfs -no-xattrs"}
}

// list reads the blocks of a directory. Each begins with its entries, and the
// names follow.
func (e *erofs) list(dir inode, parent uint64) (all []dirent, err error) {
	if e.dirs -= dir.size; e.dirs < 0 {
		return nil, refuse("more than %d bytes of directories", 2*tree.MaxText)
	}
	dots := 0
	for done := int64(0); done < dir.size; done += erofsBlock {
		at, n := dir.at+done, min(erofsBlock, dir.size-done)
		if n < erofsBlock && dir.tail > 0 {
			at = dir.tail
		}
		b, err := e.bytesAt(at, n)
		if err != nil {
			return nil, err
		}
		found, err := parseDirents(b)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			switch want, isDot := map[string]uint64{".": dir.id, "..": parent}[d.name]; {
			case d.id == e.packed && e.packed != 0:
				return nil, refuse("erofs: %q is a name of the packed file", d.name)
			case !isDot:
				all = append(all, d)
			case d.id != want || d.kind != tree.TypeDir:
				return nil, refuse("erofs: %q is something else", d.name)
			default:
				dots++
			}
		}
	}
	if dots != 2 {
		return nil, refuse(`erofs: want "." and ".." in a directory, each once`)
	}
	return all, nil
}

func parseDirents(b []byte) (all []dirent, err error) {
	if len(b) < erofsDirentSize {
		return nil, refuse("erofs: a directory block of %d bytes", len(b))
	}
	le := binary.LittleEndian
	names := int(le.Uint16(b[8:]))
	if names < erofsDirentSize || names > len(b) || names%erofsDirentSize != 0 {
		return nil, refuse("erofs: a directory block with names from %d", names)
	}
	count := names / erofsDirentSize
	for i := range count {
		d := b[i*erofsDirentSize:]
		from, to := int(le.Uint16(d[8:])), len(b)
		if i+1 < count {
			to = int(le.Uint16(d[erofsDirentSize+8:]))
		}
		if from < names || from >= to || to > len(b) || i == 0 && from != names {
			return nil, refuse("erofs: a name from %d to %d", from, to)
		}
		name := b[from:to]
		if i+1 == count {
			name, _, _ = bytes.Cut(name, []byte{0}) // the rest of the block is empty
		}
		kind, known := erofsTypes[d[10]]
		if !known {
			return nil, tree.Refuse(string(name), "neither a file, a directory nor a symbolic link (type %d)", d[10])
		}
		all = append(all, dirent{strings.Clone(string(name)), le.Uint64(d), kind})
	}
	return all, nil
}
