package s3

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
)

// proof hashes a body as it is read, for all checksums that were declared.
type proof struct {
	md5      hash.Hash
	wantMD5  string // base64, empty for none
	sha256   hash.Hash
	wantSHA  []byte // nil for none
	checksum hash.Hash
	declared checksum // zero for none
}

func newProof(h http.Header) (*proof, error) {
	declared, err := declaredChecksum(h)
	if err != nil {
		return nil, err
	}
	wantSHA, err := payloadSHA256(h)
	if err != nil {
		return nil, err
	}
	return &proof{
		md5: md5.New(), wantMD5: h.Get("Content-Md5"),
		sha256: sha256.New(), wantSHA: wantSHA,
		checksum: newChecksumHash(declared.algorithm), declared: declared,
	}, nil
}

// Write hashes p with each algorithm that there is a declared value for, and with
// MD5 in any case: it becomes the ETag.
func (p *proof) Write(b []byte) (int, error) {
	_, _ = p.md5.Write(b)
	if p.wantSHA != nil {
		_, _ = p.sha256.Write(b)
	}
	if p.checksum != nil {
		_, _ = p.checksum.Write(b)
	}
	return len(b), nil
}

// trailed adds a checksum from the trailer.
func (p *proof) trailed(trailer http.Header) {
	if p.declared.algorithm != "" && p.declared.value == "" {
		p.declared.value = trailer.Get(p.declared.headerName())
	}
}

func (p *proof) check() error {
	if p.wantSHA != nil && string(p.sha256.Sum(nil)) != string(p.wantSHA) {
		return badRequest("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	if p.checksum != nil {
		if err := p.declared.verify(p.checksum.Sum(nil)); err != nil {
			return err
		}
	}
	return p.checkMD5()
}

func (p *proof) checkMD5() error {
	if p.wantMD5 == "" {
		return nil
	}
	want, err := base64.StdEncoding.DecodeString(p.wantMD5)
	switch {
	case err != nil || len(want) != md5.Size:
		return badRequest("InvalidDigest", "The Content-MD5 you specified was invalid.")
	case string(want) != string(p.md5.Sum(nil)):
		return badRequest("BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	return nil
}

// payloadSHA256 reads x-amz-content-sha256; nil where it is no hash.
func payloadSHA256(h http.Header) ([]byte, error) {
	value := h.Get("X-Amz-Content-Sha256")
	if value == "" || value == "UNSIGNED-PAYLOAD" {
		return nil, nil
	}
	switch value {
	case "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
		return nil, nil
	}
	sum, err := hex.DecodeString(value)
	if err != nil || len(sum) != sha256.Size {
		return nil, badRequest("InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- payload, or a valid sha256 value.")
	}
	return sum, nil
}
