package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// pieceSize bounds what is allocated for bytes that a request only declares.
const pieceSize = 8 << 20

// content is immutable content in pieces, so that parts become objects and
// ranges are sent without copying.
type content struct {
	pieces [][]byte
	size   int64
}

func contentOf(pieces ...[]byte) (d content) {
	d.pieces = pieces
	for _, p := range pieces {
		d.size += int64(len(p))
	}
	return d
}

// readContent reads the size bytes that body must have, and writes a copy to tee.
func readContent(body io.Reader, size int64, tee io.Writer) (d content, err error) {
	for d.size < size {
		piece := make([]byte, min(size-d.size, pieceSize))
		if _, err := io.ReadFull(body, piece); err != nil {
			return content{}, incomplete(err)
		}
		_, _ = tee.Write(piece) // a hash takes everything
		d.pieces, d.size = append(d.pieces, piece), d.size+int64(len(piece))
	}
	if n, err := io.ReadFull(body, make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return content{}, incomplete(err)
	}
	return d, nil
}

// incomplete is the answer to a body that ended early or went on too long,
// unless the decoder of the body knew better.
func incomplete(err error) error {
	if _, ok := errors.AsType[*failure](err); ok {
		return err
	}
	return errIncompleteBody
}

// slice returns n bytes from offset on; both must lie within d.
func (d content) slice(offset, n int64) (part content) {
	for _, p := range d.pieces {
		size := int64(len(p))
		if offset < size && n > 0 {
			p = p[offset:min(size, offset+n)]
			part.pieces = append(part.pieces, p)
			part.size += int64(len(p))
			n -= int64(len(p))
		}
		offset = max(0, offset-size)
	}
	return part
}

func (d content) writeTo(w io.Writer) error {
	for _, p := range d.pieces {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func (d content) bytes() []byte { return bytes.Join(d.pieces, nil) }

// object is immutable: a write puts another one in its place.
type object struct {
	data     content
	etag     string // in quotes
	modified time.Time
	header   http.Header // headers of the upload that a download repeats
	checksum checksum

	encryption encryption
}

// newObject describes data that was uploaded in one go; algorithm is that of
// the checksum to keep with it, empty for none.
func newObject(now time.Time, data content, header http.Header, algorithm string) *object {
	etag := md5.New()
	_ = data.writeTo(etag)
	o := &object{data: data, etag: quoteETag(etag.Sum(nil)), modified: now, header: header, encryption: encryption{algorithm: "AES256"}}
	if algorithm != "" {
		o.checksum = checksumOf(data, algorithm)
	}
	return o
}

func quoteETag(md5 []byte) string { return `"` + hex.EncodeToString(md5) + `"` }

// describe writes the headers of a download.
func (o *object) describe(h http.Header) {
	h.Set("Content-Type", "binary/octet-stream")
	for name, values := range o.header {
		h[name] = values
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", o.etag)
	h.Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	o.encryption.setHeaders(h)
}

// systemHeaders are the headers of an upload, other than x-amz-meta-*, that a
// download repeats.
func systemHeaders() []string {
	return []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Expires"}
}

// objectHeader picks what an object keeps of an upload's headers. User metadata
// may come to 2 KiB.
func objectHeader(h http.Header) (http.Header, error) {
	if h.Get("X-Amz-Tagging") != "" {
		return nil, notImplemented("The header x-amz-tagging")
	}
	kept := http.Header{}
	for _, name := range systemHeaders() {
		if value := h.Get(name); value != "" {
			kept.Set(name, value)
		}
	}
	size := 0
	for name, values := range h {
		if key, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			kept.Set(name, strings.Join(values, ","))
			size += len(key) + len(kept.Get(name))
		}
	}
	if size > 2<<10 {
		return nil, &failure{http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"}
	}
	stripChunkedEncoding(kept)
	return kept, nil
}
