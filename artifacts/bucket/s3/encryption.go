package s3

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Algorithms are those of server-side encryption that a write can ask for.
var Algorithms = []string{string(types.ServerSideEncryptionAes256), string(types.ServerSideEncryptionAwsKms), string(types.ServerSideEncryptionAwsKmsDsse)}

// Encryption is what S3 encrypts each object with that is written; the zero
// Encryption leaves that to the bucket. Reads name nothing: S3 knows the key.
type Encryption struct {
	Algorithm string // one of Algorithms, "" = the bucket's default
	KMSKey    string // id, ARN or alias of a KMS key, "" = the one that AWS manages for S3
}

// Check refuses what S3 would.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
func (e Encryption) Check() error {
	switch {
	case e.Algorithm != "" && !slices.Contains(Algorithms, e.Algorithm):
		return fmt.Errorf("server-side encryption %q, want one of %s", e.Algorithm, strings.Join(Algorithms, ", "))
	case e.KMSKey != "" && !strings.HasPrefix(e.Algorithm, "aws:kms"):
		return errors.New("a KMS key needs server-side encryption aws:kms or aws:kms:dsse")
	case strings.ContainsFunc(e.KMSKey, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the KMS key is no id, ARN or alias")
	}
	return nil
}

// headers are x-amz-server-side-encryption and the one that names the key.
func (e Encryption) headers() (algorithm types.ServerSideEncryption, key *string) {
	if e.KMSKey != "" {
		key = &e.KMSKey
	}
	return types.ServerSideEncryption(e.Algorithm), key
}
