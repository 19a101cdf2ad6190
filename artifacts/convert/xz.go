package convert

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"koboshi/artifacts/tree"
)

// Dictionaries of xz. A decoder makes one for each block, as large as the block
// says: a file of a kilobyte could ask for 4 GiB a hundred times.
const (
	maxDict      = 128 << 20 // bytes; xz -9 has 64 MiB
	maxDictTotal = 32 << 30  // bytes, of all blocks
)

// xzWalk walks through an .xz file (the specification is xz-file-format.txt of
// XZ Utils) without decoding it: blocks and their chunks say how long they are.
type xzWalk struct {
	*bufio.Reader
	at    int64
	total int64 // of the dictionaries
}

// checkXz refuses dictionaries that are too large, before anything is decoded.
func checkXz(r io.Reader) error {
	w := &xzWalk{Reader: bufio.NewReaderSize(r, 1<<20)}
	for {
		if err := w.stream(); err != nil {
			return refuse("", err)
		}
		for { // padding between streams
			next, err := w.Peek(4)
			if len(next) == 0 && errors.Is(err, io.EOF) {
				return nil
			}
			if !bytes.Equal(next, []byte{0, 0, 0, 0}) {
				break
			}
			if err := w.skip(4); err != nil {
				return refuse("", err)
			}
		}
	}
}

var errXz = errors.New("xz: invalid format")

func (w *xzWalk) take(n int) ([]byte, error) {
	b := make([]byte, n)
	m, err := io.ReadFull(w, b)
	w.at += int64(m)
	return b, err
}

func (w *xzWalk) skip(n int64) error {
	m, err := io.CopyN(io.Discard, w, n)
	w.at += m
	return err
}

// align skips what fills a multiple of four bytes since start.
func (w *xzWalk) align(start int64) error { return w.skip(-(w.at - start) & 3) }

// checkBytes is how long the check after a block is, by its type.
var checkBytes = [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}

func (w *xzWalk) stream() error {
	header, err := w.take(12)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(header, []byte("\xfd7zXZ\x00")) {
		return errXz
	}
	for {
		start := w.at
		length, err := w.take(1)
		switch {
		case err != nil:
			return err
		case length[0] == 0:
			return w.index(start)
		}
		if err := w.block(int(length[0])); err != nil {
			return err
		}
		if err := w.skip(checkBytes[header[7]&15]); err != nil {
			return err
		}
	}
}

// block walks through a block whose header has length as its first byte.
func (w *xzWalk) block(length int) error {
	header, err := w.take((length+1)*4 - 1)
	if err != nil {
		return err
	}
	if err := w.filters(bytes.NewReader(header)); err != nil {
		return err
	}
	start := w.at
	for {
		control, err := w.take(1)
		if err != nil {
			return err
		}
		if control[0] == 0 {
			return w.align(start)
		}
		if err := w.chunk(control[0]); err != nil {
			return err
		}
	}
}

// chunk skips one LZMA2 chunk: up to 0x02 plain, from 0x80 compressed, and from
// 0xc0 with a byte of properties.
func (w *xzWalk) chunk(control byte) error {
	head := 2
	switch {
	case control >= 0xc0:
		head = 5
	case control >= 0x80:
		head = 4
	case control > 2:
		return errXz
	}
	sizes, err := w.take(head)
	if err != nil {
		return err
	}
	if head > 2 {
		sizes = sizes[2:]
	}
	return w.skip(int64(binary.BigEndian.Uint16(sizes)) + 1)
}

// Flags of a block, and the filter LZMA2.
const (
	hasPackedSize = 0x40
	hasPlainSize  = 0x80
	lzma2         = 0x21
)

// filters checks what a block's header says of its dictionary.
func (w *xzWalk) filters(header *bytes.Reader) error {
	flags, err := header.ReadByte()
	if err != nil {
		return err
	}
	for _, flag := range []byte{hasPackedSize, hasPlainSize} {
		if flags&flag != 0 {
			if _, err := binary.ReadUvarint(header); err != nil {
				return err
			}
		}
	}
	for range flags&3 + 1 {
		id, err := binary.ReadUvarint(header)
		if err != nil {
			return err
		}
		size, err := binary.ReadUvarint(header)
		if err != nil || size > uint64(header.Len()) {
			return errors.Join(errXz, err)
		}
		properties := make([]byte, size)
		_, _ = header.Read(properties) // it is as long
		if id == lzma2 && size == 1 {
			if err := w.dictionary(properties[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *xzWalk) dictionary(bits byte) error {
	if bits > 40 {
		return errXz
	}
	size := int64(2|bits&1) << (bits/2 + 11)
	if w.total += size; size > maxDict || w.total > maxDictTotal {
		return tree.Refuse("", "needs an xz dictionary of %d bytes, or too many of them: at most %d each are read", size, maxDict)
	}
	return nil
}

// index skips the list of blocks and the footer.
func (w *xzWalk) index(start int64) error {
	records, err := w.number()
	for ; records > 0 && err == nil; records-- {
		if _, err = w.number(); err == nil {
			_, err = w.number()
		}
	}
	if err == nil {
		err = w.align(start)
	}
	if err == nil {
		err = w.skip(4 + 12)
	}
	return err
}

func (w *xzWalk) number() (uint64, error) {
	return binary.ReadUvarint(byteCounter{w})
}

// byteCounter keeps the position.
type byteCounter struct{ *xzWalk }

func (b byteCounter) ReadByte() (byte, error) {
	c, err := b.Reader.ReadByte()
	if err == nil {
		b.at++
	}
	return c, err
}
