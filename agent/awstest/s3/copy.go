package s3

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
)

// copyResult is the answer to CopyObject and UploadPartCopy.
type copyResult struct {
	ETag         string
	LastModified timestamp
	checksumElements
}

func (s *Store) copyObject(w http.ResponseWriter, r *request) error {
	condition, err := parseWriteCondition(r.Header)
	if err != nil {
		return err
	}
	source, err := s.copySource(r)
	if err != nil {
		return err
	}
	header, err := r.copyHeader(source)
	if err != nil {
		return err
	}
	algorithm := cmp.Or(strings.ToLower(r.Header.Get("X-Amz-Checksum-Algorithm")), source.checksum.algorithm)
	if algorithm != "" && newChecksumHash(algorithm) == nil {
		return badRequest("InvalidRequest", "Checksum algorithm provided is unsupported.")
	}
	o := newObject(s.now(), source.data, header, algorithm)
	if err := s.commit(r, condition, o); err != nil {
		return err
	}
	writeXML(w, http.StatusOK, document{"CopyObjectResult", copyResult{o.etag, timestamp(o.modified), o.checksum.elements()}})
	return nil
}

// copyHeader returns what a copy keeps: the source's headers, or the request's
// own. A copy onto itself must change something.
func (r *request) copyHeader(source *object) (http.Header, error) {
	if strings.EqualFold(r.Header.Get("X-Amz-Metadata-Directive"), "REPLACE") {
		return objectHeader(r.Header)
	}
	if bucket, key := r.copySource(); bucket == r.bucket && key == r.key {
		return nil, badRequest("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	return source.header, nil
}

// copySource reads x-amz-copy-source: [/]bucket/key, URL-encoded.
func (r *request) copySource() (bucket, key string) {
	path, err := url.PathUnescape(r.Header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return "", ""
	}
	bucket, key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return bucket, key
}

// copySource returns the object to copy, if it meets the conditions on it.
func (s *Store) copySource(r *request) (*object, error) {
	o, err := s.object(r.copySource())
	if err != nil {
		return nil, err
	}
	if err := checkRead(r.Header, "X-Amz-Copy-Source-", o); err != nil {
		return nil, errPrecondition // a copy has no 304
	}
	return o, nil
}
