package s3

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxUpload bounds one PUT, as in S3; maxDocument bounds an XML body.
const (
	maxUpload   = 5 << 30
	maxDocument = 4 << 20
)

// payload is a request's body, checked against all sizes and hashes of its headers.
type payload struct {
	data     content
	md5      []byte
	checksum checksum // zero where the client sent none
}

// readPayload reads and checks a body of at most limit bytes.
func readPayload(r *http.Request, limit int64) (*payload, error) {
	proof, err := newProof(r.Header)
	if err != nil {
		return nil, err
	}
	body, size, err := openBody(r)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, errEntityTooLarge
	}
	data, err := readContent(body, size, proof)
	if err != nil {
		return nil, err
	}
	if chunked, ok := body.(*chunkedReader); ok {
		proof.trailed(chunked.trailer)
	}
	if err := proof.check(); err != nil {
		return nil, err
	}
	return &payload{
		data:     data,
		md5:      proof.md5.Sum(nil),
		checksum: proof.declared,
	}, nil
}

// openBody returns a body, decoded where it is aws-chunked, and its declared size.
func openBody(r *http.Request) (body io.Reader, size int64, err error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		if r.ContentLength < 0 {
			return nil, 0, errMissingLength
		}
		return r.Body, r.ContentLength, nil
	}
	size, ok := parseOffset(r.Header.Get("X-Amz-Decoded-Content-Length"))
	if !ok {
		return nil, 0, errMissingLength
	}
	return newChunkedReader(r.Body, r.Header.Get("X-Amz-Trailer")), size, nil
}

// intParam reads a number from the query; absent is fallback.
func (r *request) intParam(name string, fallback, least, most int) (int, error) {
	text := r.query.Get(name)
	if text == "" {
		return fallback, nil
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < least || v > most {
		return 0, badRequest("InvalidArgument", "Argument "+name+" must be an integer between "+strconv.Itoa(least)+" and "+strconv.Itoa(most))
	}
	return v, nil
}
