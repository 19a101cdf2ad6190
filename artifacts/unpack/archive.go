package unpack

import (
	"archive/tar"
	"bytes"
	"io"
	"math"
	"strconv"
	"strings"

	"koboshi/artifacts/tree"
)

// An archive reads a tar stream (POSIX.1-1988 ustar, POSIX.1-2001 PAX, GNU). It
// splits the stream into headers itself, so that all are checked and bounded, and
// archive/tar parses them. It is also the reader of the body of the entry that
// next returned last, which must be read to its end.
type archive struct {
	src     *source
	headers []byte // of the current entry: long names and PAX records, then its own
	left    int64  // bytes of the body still to be read
	padding int64  // bytes between the body and the next header
	buf     [blockSize]byte
}

// Where fields are in a header block.
const (
	blockSize  = 512
	nameEnd    = 100
	sizeStart  = 124
	sizeEnd    = 136
	flagOffset = 156
	maxOctal   = 1<<33 - 1 // the largest size in eleven octal digits
)

func newArchive(r io.Reader, limits tree.Limits) *archive {
	room := overhead + overheadPerEntry*min(max(limits.Entries, 0), tree.MaxEntries)
	return &archive{src: &source{r: r, max: min(limits.Bytes, math.MaxInt64-room) + room}}
}

// next returns the next header, or nil after the last one.
func (a *archive) next() (*tar.Header, error) {
	if _, err := a.fill(a.buf[:a.padding]); err != nil {
		return nil, err
	}
	a.headers = a.headers[:0]
	for seen := ""; ; {
		block, err := a.block()
		if block == nil {
			return nil, err
		}
		flag := string(block[flagOffset])
		if strings.Contains(seen, flag) {
			return nil, tree.Refuse(rawName(block), "two headers of type %q for one entry", flag)
		}
		switch flag[0] {
		case tar.TypeXHeader, tar.TypeGNULongName, tar.TypeGNULongLink:
			seen += flag
			err = a.metadata(block)
		case tar.TypeXGlobalHeader:
			err = a.global(block)
		default:
			return a.entry(block)
		}
		if err != nil {
			return nil, err
		}
	}
}

// block reads one header block, or nothing where the archive ends: at a zero
// block, or where the stream ends between entries.
func (a *archive) block() ([]byte, error) {
	n, err := readFull(a.src, a.buf[:])
	switch between := len(a.headers) == 0; {
	case err != nil:
		return nil, err
	case between && n == 0 && a.src.n > 0:
		return nil, nil
	case n < blockSize:
		return nil, errTruncated
	case between && a.buf == [blockSize]byte{}:
		return nil, a.end()
	}
	a.headers = append(a.headers, a.buf[:]...)
	return a.headers[len(a.headers)-blockSize:], nil
}

// end requires zeros from the first zero block to the end of the stream, so that
// nothing hides there and the checksum at the end of the stream is checked.
func (a *archive) end() error {
	for buf := make([]byte, 32<<10); ; {
		n, err := readFull(a.src, buf)
		switch {
		case err != nil:
			return err
		case len(bytes.Trim(buf[:n], "\x00")) > 0:
			return tree.Refuse("", "data after the end of the archive")
		case n < len(buf):
			return nil
		}
	}
}

// metadata reads the body of a header that describes the next one.
func (a *archive) metadata(block []byte) error {
	name := rawName(block)
	size, err := strconv.ParseUint(strings.Trim(string(block[sizeStart:sizeEnd]), " \x00"), 8, 64)
	if err != nil || size > MaxMeta {
		return tree.Refuse(name, "malformed or more than %d bytes of header", MaxMeta)
	}
	start := len(a.headers)
	a.headers = append(a.headers, make([]byte, size+padding(size))...)
	_, err = a.fill(a.headers[start:])
	return err
}

// global reads a global PAX header, such as the comment of git archive. It must
// not have records that describe entries.
func (a *archive) global(block []byte) error {
	if len(a.headers) > blockSize {
		return tree.Refuse(rawName(block), "global header between the headers of an entry")
	}
	if err := a.metadata(block); err != nil {
		return err
	}
	hdr, err := parse(a.headers)
	if err != nil {
		return err
	}
	for _, key := range []string{"path", "linkpath", "size"} {
		if hdr.PAXRecords[key] != "" {
			return tree.Refuse(hdr.PAXRecords[key], "global PAX %s", key)
		}
	}
	a.headers = a.headers[:0]
	return checkRecords(hdr)
}

func (a *archive) entry(block []byte) (*tar.Header, error) {
	if reason := forbidden[block[flagOffset]]; reason != "" {
		return nil, tree.Refuse(rawName(block), "%s", reason)
	}
	hdr, err := parse(a.headers)
	if err != nil {
		return nil, err
	}
	if err := checkRecords(hdr); err != nil {
		return nil, err
	}
	if err := a.checkSize(hdr); err != nil {
		return nil, err
	}
	a.left, a.padding = hdr.Size, int64(padding(uint64(hdr.Size))) //nolint:gosec // neither is negative
	return hdr, nil
}

// checkSize refuses two sizes for one body: a reader that knows no PAX would
// see other entries. Zero stands for a size that does not fit a plain header.
func (a *archive) checkSize(hdr *tar.Header) error {
	if hdr.PAXRecords["size"] == "" {
		return nil
	}
	plain, err := parse(a.headers[len(a.headers)-blockSize:])
	if err != nil {
		return err
	}
	if plain.Size != hdr.Size && (plain.Size != 0 || hdr.Size <= maxOctal) {
		return tree.Refuse(hdr.Name, "size %d in PAX and %d in the header", hdr.Size, plain.Size)
	}
	return nil
}

// Read reads the body.
func (a *archive) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	n, err := a.fill(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	return n, err
}

func (a *archive) fill(p []byte) (int, error) {
	n, err := readFull(a.src, p)
	if err == nil && n < len(p) {
		err = errTruncated
	}
	return n, err
}

var errTruncated = tree.Refuse("", "truncated")

func padding(size uint64) uint64 { return -size % blockSize }

func rawName(block []byte) string {
	name, _, _ := bytes.Cut(block[:nameEnd], []byte{0})
	return string(name)
}
