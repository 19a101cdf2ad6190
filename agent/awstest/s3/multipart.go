package s3

import (
	"crypto/md5"
	"crypto/rand"
	"net/http"
	"strings"
	"time"
)

// S3's limits on parts; the last one may be smaller.
const (
	minPartSize = 5 << 20
	maxParts    = 10000
)

// upload is a multipart upload on its way, guarded by Store.mu.
type upload struct {
	id        string
	key       string
	header    http.Header
	algorithm string // of the checksum that was declared, empty for none
	kind      string // of that checksum
	initiated time.Time
	parts     map[int]*storedPart
}

// storedPart is immutable.
type storedPart struct {
	number   int
	data     content
	md5      []byte
	modified time.Time
	checksum checksum
}

// upload finds the upload that a request names.
func (b *keyspace) upload(r *request) (*upload, error) {
	u, ok := b.uploads[r.query.Get("uploadId")]
	if !ok || u.key != r.key {
		return nil, errNoSuchUpload
	}
	return u, nil
}

func (s *Store) createMultipartUpload(w http.ResponseWriter, r *request) error {
	header, err := objectHeader(r.Header)
	if err != nil {
		return err
	}
	u := &upload{id: rand.Text(), key: r.key, header: header, initiated: s.now(), parts: map[int]*storedPart{}}
	if err := u.declareChecksum(r.Header); err != nil {
		return err
	}
	err = s.within(r.bucket, func(b *keyspace) error {
		b.uploads[u.id] = u
		return nil
	})
	if err != nil {
		return err
	}
	if u.algorithm != "" {
		w.Header().Set("X-Amz-Checksum-Algorithm", strings.ToUpper(u.algorithm))
		w.Header().Set("X-Amz-Checksum-Type", u.kind)
	}
	writeXML(w, http.StatusOK, document{"InitiateMultipartUploadResult", struct {
		Bucket, Key string
		UploadID    string `xml:"UploadId"`
	}{r.bucket, r.key, u.id}})
	return nil
}

// declareChecksum reads what checksum the whole object is to have: SHAs can
// only be composite, CRC64NVME only over the full object.
func (u *upload) declareChecksum(h http.Header) error {
	u.algorithm = strings.ToLower(h.Get("X-Amz-Checksum-Algorithm"))
	u.kind = strings.ToUpper(h.Get("X-Amz-Checksum-Type"))
	isSHA, isCRC64 := strings.HasPrefix(u.algorithm, "sha"), u.algorithm == "crc64nvme"
	switch {
	case u.algorithm == "" && u.kind == "":
	case newChecksumHash(u.algorithm) == nil,
		u.kind == fullObject && isSHA,
		u.kind == composite && isCRC64,
		u.kind != "" && u.kind != fullObject && u.kind != composite:
		return badRequest("InvalidRequest", "The "+u.kind+" checksum type cannot be used with the "+u.algorithm+" checksum algorithm.")
	case u.kind == "" && isCRC64:
		u.kind = fullObject
	case u.kind == "":
		u.kind = composite
	}
	return nil
}

func (s *Store) uploadPart(w http.ResponseWriter, r *request) error {
	number, err := r.partNumber()
	if err != nil {
		return err
	}
	payload, err := readPayload(r.Request, maxUpload)
	if err != nil {
		return err
	}
	part := &storedPart{number, payload.data, payload.md5, s.now(), payload.checksum}
	if err := s.addPart(r, part); err != nil {
		return err
	}
	w.Header().Set("ETag", quoteETag(part.md5))
	if part.checksum.algorithm != "" {
		w.Header().Set(part.checksum.headerName(), part.checksum.value)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (r *request) partNumber() (int, error) {
	return r.intParam("partNumber", 0, 1, maxParts)
}

// addPart puts a part in the place of any other with its number.
func (s *Store) addPart(r *request, part *storedPart) error {
	return s.within(r.bucket, func(b *keyspace) error {
		u, err := b.upload(r)
		if err != nil {
			return err
		}
		got := part.checksum.algorithm
		if u.algorithm != "" && got != u.algorithm && (got != "" || u.kind == composite) {
			if got == "" {
				got = "null"
			}
			return badRequest("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: "+u.algorithm+", actual checksum Type: "+got)
		}
		u.parts[part.number] = part
		return nil
	})
}

// uploadPartCopy takes a part from another object, or from a range of it.
func (s *Store) uploadPartCopy(w http.ResponseWriter, r *request) error {
	number, err := r.partNumber()
	if err != nil {
		return err
	}
	source, err := s.copySource(r)
	if err != nil {
		return err
	}
	data := source.data
	if text := r.Header.Get("X-Amz-Copy-Source-Range"); text != "" {
		piece, partial, err := parseRange(text, data.size)
		if err != nil || !partial {
			return badRequest("InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
		}
		data = data.slice(piece.offset, piece.size)
	}
	part, err := s.copiedPart(r, number, data)
	if err != nil {
		return err
	}
	writeXML(w, http.StatusOK, document{"CopyPartResult", copyResult{quoteETag(part.md5), timestamp(part.modified), part.elements()}})
	return nil
}

// copiedPart adds data as a part, with the checksum that its upload wants.
func (s *Store) copiedPart(r *request, number int, data content) (*storedPart, error) {
	var algorithm string
	err := s.within(r.bucket, func(b *keyspace) error {
		u, err := b.upload(r)
		if err == nil {
			algorithm = u.algorithm
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	sum := md5.New()
	_ = data.writeTo(sum)
	part := &storedPart{number: number, data: data, md5: sum.Sum(nil), modified: s.now()}
	if algorithm != "" {
		part.checksum = checksumOf(data, algorithm)
	}
	return part, s.addPart(r, part)
}

func (s *Store) abortMultipartUpload(w http.ResponseWriter, r *request) error {
	err := s.within(r.bucket, func(b *keyspace) error {
		u, err := b.upload(r)
		if err == nil {
			delete(b.uploads, u.id)
		}
		return err
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
