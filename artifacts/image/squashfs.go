package image

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"koboshi/artifacts/tree"
)

// The layout of squashfs 4.0 (Documentation/filesystems/squashfs.rst and
// fs/squashfs/squashfs_fs.h of Linux). Numbers are little-endian.
const (
	squashSuper    = 96
	squashMagic    = 0x73717368
	squashMeta     = 8192 // plain bytes of a block of metadata
	squashMaxBlock = 128 << 10
	squashNone     = 1<<64 - 1 // a table that is not there
	squashGzip     = 1
	squashZstd     = 6
	squashPlain    = 1 << 15 // of a header: the block is not compressed
	squashMaxDir   = 64 << 20
	squashCache    = 1024 // blocks of metadata that are kept
)

// Flags of a squashfs superblock: what is not compressed, how fragments are made,
// that there is an export table, and that attributes were left out. A
// description of the compressor is skipped.
const squashFlags = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x200 | 0x400 | 0x800

type squashfs struct {
	r           io.ReaderAt
	size        int64 // of the image that is used, in bytes
	block       int64 // bytes of a data block
	limit       int64 // bytes of a file
	inodes      int64 // where the tables are
	directories int64
	end         int64 // of the directories
	inflate     func(packed []byte) ([]byte, error)
	cache       map[int64]metablock
	decoded     int64 // blocks that may still be decoded
}

// metablock is one decoded block of metadata, and where the next one is.
type metablock struct {
	plain []byte
	next  int64
}

// SquashfsCompression reads what a squashfs image is compressed by.
func SquashfsCompression(r io.ReaderAt, size int64) (Compression, error) {
	b, err := section(r, size, 0, squashSuper)
	switch {
	case err != nil:
		return "", err
	case binary.LittleEndian.Uint16(b[20:]) == squashGzip:
		return Gzip, nil
	}
	return Zstd, nil
}

// ReadSquashfs walks a squashfs image of size bytes.
func ReadSquashfs(ctx context.Context, r io.ReaderAt, size int64, limits tree.Limits) ([]tree.Entry, error) {
	b, err := section(r, size, 0, squashSuper)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	block, used, attributes := le.Uint32(b[12:]), le.Uint64(b[40:]), le.Uint64(b[56:])
	inodes, directories, fragments := le.Uint64(b[64:]), le.Uint64(b[72:]), le.Uint64(b[80:])
	switch {
	case le.Uint32(b) != squashMagic:
		return nil, refuse("no squashfs image")
	case le.Uint16(b[28:]) != 4 || le.Uint16(b[30:]) != 0:
		return nil, refuse("squashfs %d.%d, want 4.0", le.Uint16(b[28:]), le.Uint16(b[30:]))
	case block > squashMaxBlock:
		return nil, &tree.RefusedError{Reason: "squashfs: blocks above 128 KiB, of which every small read decodes one", Remedy: "mksquashfs -b 128K"}
	case block < 4096 || block != 1<<le.Uint16(b[22:]):
		return nil, refuse("squashfs: blocks of %d bytes, or of 2^%d", block, le.Uint16(b[22:]))
	case le.Uint16(b[24:])&^squashFlags != 0:
		return nil, refuse("squashfs: flags %#x, known are %#x", le.Uint16(b[24:]), squashFlags)
	case used > uint64(size) || uint64(size)-used >= 1<<20 || used < squashSuper:
		return nil, refuse("squashfs: %d bytes are used, and the image has %d", used, size)
	case inodes < squashSuper || inodes > directories || directories > used:
		return nil, refuse("squashfs: tables at %d and %d of %d", inodes, directories, used)
	case attributes != squashNone:
		return nil, refuseAttributes()
	case int64(le.Uint32(b[4:])) > limits.Entries+1:
		return nil, refuse("more entries than the limit: %d inodes", le.Uint32(b[4:]))
	}
	end := used
	if fragments != squashNone && fragments >= directories && fragments < used {
		end = fragments
	}
	s := &squashfs{r: r, size: int64(used), block: int64(block), limit: limits.Bytes, inodes: int64(inodes), directories: int64(directories), end: int64(end), //nolint:gosec // within the image
		cache: map[int64]metablock{}, decoded: 4*limits.Entries + 1024}
	if err := s.decoder(le.Uint16(b[20:])); err != nil {
		return nil, err
	}
	return walk(ctx, s, le.Uint64(b[32:]), limits)
}

func (s *squashfs) decoder(compression uint16) error {
	switch compression {
	case squashZstd:
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(squashMeta), zstd.WithDecodeAllCapLimit(true))
		s.inflate = func(packed []byte) ([]byte, error) { return d.DecodeAll(packed, make([]byte, 0, squashMeta)) }
		return err
	case squashGzip:
		s.inflate = func(packed []byte) ([]byte, error) {
			z, err := zlib.NewReader(bytes.NewReader(packed))
			if err != nil {
				return nil, err
			}
			return io.ReadAll(io.LimitReader(z, squashMeta+1))
		}
		return nil
	}
	return &tree.RefusedError{Reason: "squashfs: compressed by another method than zstd or gzip", Remedy: "mksquashfs -comp zstd"}
}

// metadata decodes the block at a position, which is before end.
func (s *squashfs) metadata(at, end int64) (metablock, error) {
	if m, ok := s.cache[at]; ok {
		return m, nil
	}
	if s.decoded--; s.decoded < 0 {
		return metablock{}, refuse("squashfs: its metadata is read too often")
	}
	header, err := section(s.r, end, at, 2)
	if err != nil {
		return metablock{}, err
	}
	n := int64(binary.LittleEndian.Uint16(header))
	packed, err := section(s.r, end, at+2, n&^squashPlain)
	if err != nil {
		return metablock{}, err
	}
	m := metablock{packed, at + 2 + int64(len(packed))}
	if n&squashPlain == 0 {
		if m.plain, err = s.inflate(packed); err != nil {
			return metablock{}, refuse("squashfs: metadata: %v", err)
		}
	}
	if len(m.plain) == 0 || len(m.plain) > squashMeta {
		return metablock{}, refuse("squashfs: a block of metadata with %d bytes", len(m.plain))
	}
	if len(s.cache) >= squashCache {
		clear(s.cache)
	}
	s.cache[at] = m
	return m, nil
}

// cursor reads metadata from one block to the next.
type cursor struct {
	s      *squashfs
	at     int64 // of the block
	offset int64 // in its plain bytes
	end    int64 // of the table
}

func (c *cursor) read(n int64) ([]byte, error) {
	out := make([]byte, 0, n)
	for int64(len(out)) < n {
		m, err := c.s.metadata(c.at, c.end)
		if err != nil {
			return nil, err
		}
		if c.offset > int64(len(m.plain)) {
			return nil, refuse("squashfs: metadata from %d of %d", c.offset, len(m.plain))
		}
		if c.offset == int64(len(m.plain)) {
			c.at, c.offset = m.next, 0
			continue
		}
		part := m.plain[c.offset:min(int64(len(m.plain)), c.offset+n-int64(len(out)))]
		out, c.offset = append(out, part...), c.offset+int64(len(part))
	}
	return out, nil
}

// Types of inodes in squashfs: basic ones, and the same with more in them.
const (
	squashDir          = 1
	squashFile         = 2
	squashSymlink      = 3
	squashLongDir      = 8
	squashLongFile     = 9
	squashLongSymlink  = 10
	squashNoAttributes = 1<<32 - 1
)

// inode reads an inode by its reference: where its block begins in the table, and
// where it is in that.
func (s *squashfs) inode(id uint64) (in inode, err error) {
	if id>>16 > uint64(s.directories-s.inodes) { //nolint:gosec // not negative
		return in, refuse("squashfs: inode %#x is outside", id)
	}
	c := &cursor{s: s, at: s.inodes + int64(id>>16), offset: int64(id & 0xffff), end: s.directories} //nolint:gosec // bounded above
	first, err := s.metadata(c.at, c.end)
	if err != nil {
		return in, err
	}
	if c.offset >= int64(len(first.plain)) {
		return in, refuse("squashfs: inode %#x is outside its block", id) // it would have two numbers
	}
	head, err := c.read(16)
	if err != nil {
		return in, err
	}
	le := binary.LittleEndian
	kind := le.Uint16(head)
	in = inode{id: id, mode: fs.FileMode(le.Uint16(head[2:]) & 0o7777)}
	switch kind {
	case squashDir, squashLongDir:
		in.kind = tree.TypeDir
		err = c.dir(&in, kind)
	case squashFile, squashLongFile:
		in.kind = tree.TypeFile
		err = c.file(&in, kind)
	case squashSymlink, squashLongSymlink:
		in.kind = tree.TypeSymlink
		err = c.symlink(&in, kind)
	default:
		err = refuse("neither a file, a directory nor a symbolic link (type %d)", kind)
	}
	return in, err
}

func (c *cursor) dir(in *inode, kind uint16) error {
	le := binary.LittleEndian
	var start, offset int64
	if kind == squashDir {
		b, err := c.read(16)
		if err != nil {
			return err
		}
		start, offset, in.size = int64(le.Uint32(b)), int64(le.Uint16(b[10:])), int64(le.Uint16(b[8:]))
	} else {
		b, err := c.read(24)
		if err != nil {
			return err
		}
		if le.Uint32(b[20:]) != squashNoAttributes {
			return refuseAttributes()
		}
		start, offset, in.size = int64(le.Uint32(b[8:])), int64(le.Uint16(b[18:])), int64(le.Uint32(b[4:]))
	}
	if in.size < 3 || in.size > squashMaxDir {
		return refuse("squashfs: a directory of %d bytes, want 3 to %d", in.size, squashMaxDir)
	}
	in.at, in.tail = start, offset
	return nil
}

func (c *cursor) file(in *inode, kind uint16) error {
	le := binary.LittleEndian
	var start, size uint64
	if kind == squashFile {
		b, err := c.read(16)
		if err != nil {
			return err
		}
		start, size = uint64(le.Uint32(b)), uint64(le.Uint32(b[12:]))
	} else {
		b, err := c.read(40)
		if err != nil {
			return err
		}
		if le.Uint32(b[36:]) != squashNoAttributes {
			return refuseAttributes()
		}
		start, size = le.Uint64(b), le.Uint64(b[8:])
	}
	if size > uint64(c.s.limit) {
		return refuse("a size of %d bytes, the limit is %d", size, c.s.limit)
	}
	if start > uint64(c.s.size) {
		return refuse("bytes at %d, and the image has %d", start, c.s.size)
	}
	in.size = int64(size) //nolint:gosec // bounded above
	return nil
}

func (c *cursor) symlink(in *inode, kind uint16) error {
	b, err := c.read(8)
	if err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(b[4:]))
	if n < 1 || n > tree.MaxPath {
		return refuse("link target: %d bytes long, limit %d", n, tree.MaxPath)
	}
	target, err := c.read(n)
	if err != nil {
		return err
	}
	in.link = string(target)
	if kind == squashLongSymlink {
		if b, err = c.read(4); err == nil && binary.LittleEndian.Uint32(b) != squashNoAttributes {
			err = refuseAttributes()
		}
	}
	return err
}

// squashTypes are the types in a directory, always the basic ones.
var squashTypes = map[uint16]tree.Type{squashDir: tree.TypeDir, squashFile: tree.TypeFile, squashSymlink: tree.TypeSymlink}

var errShort = errors.New("short")

// list reads the runs of a directory, each of which shares a block of inodes. Its
// size counts three bytes more than there are: for "." and "..".
func (s *squashfs) list(dir inode, _ uint64) (all []dirent, err error) {
	c := &cursor{s: s, at: s.directories + dir.at, offset: dir.tail, end: s.end}
	left := dir.size - 3
	take := func(n int64) ([]byte, error) {
		if left -= n; left < 0 {
			return nil, refuse("squashfs: a directory: %v", errShort)
		}
		return c.read(n)
	}
	for left > 0 {
		head, err := take(12)
		if err != nil {
			return nil, err
		}
		le := binary.LittleEndian
		count, start := int(le.Uint32(head))+1, uint64(le.Uint32(head[4:]))
		if count > 256 {
			return nil, refuse("squashfs: a run of %d names, limit 256", count)
		}
		for range count {
			b, err := take(8)
			if err != nil {
				return nil, err
			}
			name, err := take(int64(le.Uint16(b[6:])) + 1)
			if err != nil {
				return nil, err
			}
			kind, known := squashTypes[le.Uint16(b[4:])]
			if !known {
				return nil, tree.Refuse(string(name), "neither a file, a directory nor a symbolic link (type %d)", le.Uint16(b[4:]))
			}
			all = append(all, dirent{string(name), start<<16 | uint64(le.Uint16(b)), kind})
		}
	}
	return all, nil
}
