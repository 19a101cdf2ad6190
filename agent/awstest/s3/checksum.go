package s3

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strconv"
	"strings"
)

const (
	fullObject = "FULL_OBJECT"
	composite  = "COMPOSITE"
)

// checksum is one of S3's additional checksums; the zero value is none.
type checksum struct {
	algorithm string // as in x-amz-checksum-<algorithm>
	value     string // base64, and "-N" after it where composite over N parts
	kind      string // fullObject or composite
}

// newChecksumHash returns nil for what is no algorithm of S3's.
func newChecksumHash(algorithm string) hash.Hash {
	switch algorithm {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5))
	case "sha1":
		return sha1.New()
	case "sha256":
		return sha256.New()
	default:
		return nil
	}
}

func checksumOf(data content, algorithm string) checksum {
	h := newChecksumHash(algorithm)
	_ = data.writeTo(h)
	return checksum{algorithm, base64.StdEncoding.EncodeToString(h.Sum(nil)), fullObject}
}

// compositeOf is the checksum over the parts' checksums.
func compositeOf(parts []*storedPart, algorithm string) checksum {
	h := newChecksumHash(algorithm)
	for _, p := range parts {
		raw, _ := base64.StdEncoding.DecodeString(p.checksum.value) // made here
		_, _ = h.Write(raw)
	}
	value := base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
	return checksum{algorithm, value, composite}
}

// setHeaders writes the checksum as response headers.
func (c checksum) setHeaders(h http.Header) {
	if c.algorithm != "" {
		h.Set(c.headerName(), c.value)
		h.Set("X-Amz-Checksum-Type", c.kind)
	}
}

func (c checksum) headerName() string { return "X-Amz-Checksum-" + c.algorithm }

// verify compares a checksum that a client declared with what came.
func (c checksum) verify(sum []byte) error {
	want, err := base64.StdEncoding.DecodeString(c.value)
	switch {
	case err != nil || len(want) != len(sum):
		return badRequest("InvalidRequest", "Value for x-amz-checksum-"+c.algorithm+" header is invalid.")
	case string(want) != string(sum):
		return badRequest("BadDigest", "The "+strings.ToUpper(c.algorithm)+" you specified did not match the calculated checksum.")
	}
	return nil
}

// declaredChecksum reads the checksum that an upload brings. Its value is empty
// where it follows in the trailer.
func declaredChecksum(h http.Header) (c checksum, err error) {
	declared := checksumHeaders(h)
	named := strings.ToLower(h.Get("X-Amz-Sdk-Checksum-Algorithm"))
	switch {
	case len(declared) > 1:
		return c, badRequest("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	case len(declared) == 0 && named != "":
		return c, badRequest("InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	case len(declared) == 0:
		return c, nil
	}
	c = declared[0]
	switch {
	case newChecksumHash(c.algorithm) == nil:
		return c, notImplemented("The header x-amz-checksum-" + c.algorithm)
	case named != "" && named != c.algorithm:
		return c, badRequest("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return c, nil
}

// checksumHeaders collects all checksums that headers give or announce.
func checksumHeaders(h http.Header) (declared []checksum) {
	const prefix = "x-amz-checksum-"
	for name := range h {
		algorithm, ok := strings.CutPrefix(strings.ToLower(name), prefix)
		if ok && algorithm != "algorithm" && algorithm != "mode" && algorithm != "type" {
			declared = append(declared, checksum{algorithm, h.Get(name), fullObject})
		}
	}
	if algorithm, ok := strings.CutPrefix(strings.ToLower(h.Get("X-Amz-Trailer")), prefix); ok {
		declared = append(declared, checksum{algorithm, "", fullObject})
	}
	return declared
}
