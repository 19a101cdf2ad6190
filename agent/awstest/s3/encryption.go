package s3

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"

	"koboshi/agent/awstest/account"
)

// The request headers of server-side encryption; answers have the same ones.
const (
	sseHeader       = "X-Amz-Server-Side-Encryption"
	sseKeyHeader    = sseHeader + "-Aws-Kms-Key-Id"
	sseBucketHeader = sseHeader + "-Bucket-Key-Enabled"
)

// managedKey is the key that S3 uses with KMS where a request names none.
const managedKey = "aws/s3"

// encryption is how an object is encrypted where it is stored. Nothing is
// encrypted here, but all answers have it.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
type encryption struct {
	algorithm string // AES256, S3's default, aws:kms or aws:kms:dsse
	key       string // of KMS, as an ARN; "" with AES256
	bucketKey bool
}

func isKMS(algorithm string) bool { return algorithm == "aws:kms" || algorithm == "aws:kms:dsse" }

// requestedEncryption reads what an upload asks for.
func requestedEncryption(h http.Header) (encryption, error) {
	e := encryption{algorithm: h.Get(sseHeader), key: h.Get(sseKeyHeader), bucketKey: strings.EqualFold(h.Get(sseBucketHeader), "true")}
	for _, name := range []string{sseHeader + "-Customer-Algorithm", sseHeader + "-Context"} {
		if h.Get(name) != "" {
			return e, notImplemented("The header " + strings.ToLower(name))
		}
	}
	switch {
	case e.key != "" && !isKMS(e.algorithm):
		return e, badRequest("InvalidArgument", "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
	case e.algorithm == "":
		e.algorithm = "AES256"
	case e.algorithm != "AES256" && !isKMS(e.algorithm):
		return e, badRequest("InvalidArgument", "The encryption method specified is not supported")
	}
	if isKMS(e.algorithm) {
		e.key = keyARN(e.key)
	}
	return e, nil
}

// keyARN is the ARN of a key that is named by its id, its alias, or its ARN. An
// alias stands for itself: there is no KMS that knows its key.
func keyARN(key string) string {
	switch {
	case key == "":
		key = "key/" + managedKey
	case strings.HasPrefix(key, "arn:"):
		return key
	case !strings.HasPrefix(key, "alias/"):
		key = "key/" + key
	}
	return "arn:aws:kms:us-east-1:" + account.ID + ":" + key
}

// notEncrypted refuses the headers of encryption where S3 has none.
func notEncrypted(h http.Header) error {
	for name := range h {
		if slices.Contains([]string{sseHeader, sseKeyHeader}, name) {
			return badRequest("InvalidArgument", strings.ToLower(name)+" header is not supported for this operation.")
		}
	}
	return nil
}

func (e encryption) setHeaders(h http.Header) {
	h.Set(sseHeader, e.algorithm)
	if e.key != "" {
		h.Set(sseKeyHeader, e.key)
	}
	if e.bucketKey {
		h.Set(sseBucketHeader, "true")
	}
}

// etagBytes are what the ETag is made of: with KMS that is not the MD5 of the
// bytes, and another one for each upload.
func (e encryption) etagBytes(md5 []byte) []byte {
	if !isKMS(e.algorithm) {
		return md5
	}
	random := make([]byte, len(md5))
	_, _ = rand.Read(random) // never fails
	return random
}

// Encryption is what an object is encrypted with: the algorithm, and with KMS the
// ARN of the key.
func (s *Store) Encryption(bucket, key string) (algorithm, kmsKey string, found bool) {
	o, err := s.object(bucket, key)
	if err != nil {
		return "", "", false
	}
	return o.encryption.algorithm, o.encryption.key, true
}
