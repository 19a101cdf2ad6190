package s3

import (
	"crypto/rand"
	"net/http"
	"strings"
)

// S3's limits on parts; the last one may be smaller.
const (
	minPartSize = 5 << 20
	maxParts    = 10000
)

// upload is an open multipart upload, guarded by Store.mu.
type upload struct {
	id        string
	key       string
	header    http.Header
	algorithm string // of the checksum that was declared, empty for none
	kind      string // of that checksum
	parts     map[int]*storedPart

	encryption encryption
}

// storedPart is immutable.
type storedPart struct {
	number   int
	data     content
	md5      []byte // or what S3 has in its place
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
	encrypted, err := requestedEncryption(r.Header)
	if err != nil {
		return err
	}
	u := &upload{id: rand.Text(), key: r.key, header: header, parts: map[int]*storedPart{}, encryption: encrypted}
	if err := u.declareChecksum(r.Header); err != nil {
		return err
	}
	err = s.within(r.bucket, func(b *keyspace) error {
		if err := b.policy.allowsUpload(r); err != nil {
			return err
		}
		b.uploads[u.id] = u
		return nil
	})
	if err != nil {
		return err
	}
	u.encryption.setHeaders(w.Header())
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
	if err := notEncrypted(r.Header); err != nil {
		return err
	}
	payload, err := readPayload(r.Request, maxUpload)
	if err != nil {
		return err
	}
	part := &storedPart{number, payload.data, payload.md5, payload.checksum}
	encrypted, err := s.addPart(r, part)
	if err != nil {
		return err
	}
	encrypted.setHeaders(w.Header())
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

// addPart stores a part, and replaces one with the same number.
func (s *Store) addPart(r *request, part *storedPart) (encrypted encryption, err error) {
	err = s.within(r.bucket, func(b *keyspace) error {
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
		encrypted, part.md5 = u.encryption, u.encryption.etagBytes(part.md5)
		u.parts[part.number] = part
		return nil
	})
	return encrypted, err
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
