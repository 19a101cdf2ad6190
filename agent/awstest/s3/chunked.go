package s3

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// chunkedLine bounds a line of aws-chunked framing.
const chunkedLine = 4 << 10

// chunkedReader decodes an aws-chunked body:
//
//	<hex size>[;chunk-signature=<hex>]\r\n <size bytes> \r\n … 0[;…]\r\n
//	<trailer name>:<value>\r\n … \r\n
//
// Signatures are ignored. Broken framing is a *failure.
// (AWS: "Signature Calculations for the Authorization Header: Transferring
// Payload in Multiple Chunks")
type chunkedReader struct {
	src     *bufio.Reader
	left    uint64      // of the current chunk
	begun   bool        // a chunk came before, its line end is due
	trailer http.Header // complete at io.EOF
	allowed []string    // names that the trailer must have
	err     error
}

// newChunkedReader decodes src; trailer is the list of names in x-amz-trailer.
func newChunkedReader(src io.Reader, trailer string) *chunkedReader {
	c := &chunkedReader{src: bufio.NewReaderSize(src, chunkedLine), trailer: http.Header{}}
	for name := range strings.SplitSeq(trailer, ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.allowed = append(c.allowed, http.CanonicalHeaderKey(name))
		}
	}
	return c
}

// Read returns decoded bytes.
func (c *chunkedReader) Read(p []byte) (n int, err error) {
	if c.err == nil && c.left == 0 {
		c.err = c.nextChunk()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err = c.src.Read(p[:min(uint64(len(p)), c.left)])
	c.left -= uint64(n)
	if err != nil && n == 0 {
		c.err = errIncompleteBody
	}
	return n, c.err
}

// nextChunk reads up to the first byte of a chunk, or all of the end: io.EOF.
func (c *chunkedReader) nextChunk() error {
	if c.begun {
		if line, err := c.line(); err != nil || line != "" {
			return framing(err, "a chunk is longer than its size")
		}
	}
	c.begun = true
	line, err := c.line()
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(line, ";")
	if c.left, err = strconv.ParseUint(size, 16, 63); err != nil {
		return framing(nil, "a chunk has no size")
	}
	if c.left > 0 {
		return nil
	}
	return c.end()
}

// end reads the trailer. It returns io.EOF when all is well.
func (c *chunkedReader) end() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name = http.CanonicalHeaderKey(name)
		expected := slices.Contains(c.allowed, name) || name == "X-Amz-Trailer-Signature"
		if !ok || !expected || c.trailer.Get(name) != "" {
			return malformedTrailer()
		}
		c.trailer.Set(name, strings.TrimSpace(value))
	}
	for _, name := range c.allowed {
		if c.trailer.Get(name) == "" {
			return malformedTrailer()
		}
	}
	if _, err := c.src.ReadByte(); !errors.Is(err, io.EOF) {
		return framing(nil, "data follows the last chunk")
	}
	return io.EOF
}

// line reads a line and drops its CRLF.
func (c *chunkedReader) line() (string, error) {
	line, err := c.src.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", framing(nil, "a line is too long")
	}
	if err != nil {
		return "", errIncompleteBody
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return "", framing(nil, "a line ends without CR")
	}
	return text, nil
}

// framing is err, or what is wrong where that is nil.
func framing(err error, wrong string) error {
	if err != nil {
		return err
	}
	return badRequest("InvalidRequest", "The aws-chunked body is malformed: "+wrong)
}

func malformedTrailer() error {
	return badRequest("MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.")
}

// stripChunkedEncoding takes aws-chunked off a Content-Encoding: S3 does not
// keep it with the object.
func stripChunkedEncoding(h http.Header) {
	var kept []string
	for coding := range strings.SplitSeq(h.Get("Content-Encoding"), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && coding != "aws-chunked" {
			kept = append(kept, coding)
		}
	}
	h.Del("Content-Encoding")
	if kept != nil {
		h.Set("Content-Encoding", strings.Join(kept, ","))
	}
}
