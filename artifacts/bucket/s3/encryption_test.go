package s3_test

import (
	"errors"
	"testing"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

// Objects of both sizes are encrypted as asked, and without being asked as the
// bucket has it.
func TestEncryption(t *testing.T) {
	const key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	for _, c := range []struct{ ask, want s3.Encryption }{
		{s3.Encryption{}, s3.Encryption{Algorithm: "AES256"}},
		{s3.Encryption{Algorithm: "AES256"}, s3.Encryption{Algorithm: "AES256"}},
		{s3.Encryption{Algorithm: "aws:kms", KMSKey: key}, s3.Encryption{Algorithm: "aws:kms", KMSKey: key}},
		{s3.Encryption{Algorithm: "aws:kms"}, s3.Encryption{Algorithm: "aws:kms", KMSKey: "arn:aws:kms:us-east-1:123456789012:key/aws/s3"}},
		{s3.Encryption{Algorithm: "aws:kms:dsse", KMSKey: key}, s3.Encryption{Algorithm: "aws:kms:dsse", KMSKey: key}},
	} {
		b, server := mocked(t)
		b.Encryption = c.ask
		for name, data := range map[string][]byte{"small": []byte(text), "large": large} {
			object, err := put(t, b, name, data, bucket.Condition{Absent: true})
			if err != nil {
				t.Fatal(err)
			}
			algorithm, kmsKey, _ := server.S3().Encryption("releases", "apps/web/"+name)
			if got := (s3.Encryption{Algorithm: algorithm, KMSKey: kmsKey}); got != c.want {
				t.Errorf("%+v: the %s object is encrypted with %+v", c.ask, name, got)
			}
			// With KMS an ETag is no hash of the bytes; it still is compared and swapped.
			if _, err := put(t, b, name, data, bucket.Condition{ETag: object.ETag}); err != nil {
				t.Errorf("%+v: %v", c.ask, err)
			}
			if got, err := get(t, b, name, bucket.Range{ETag: object.ETag}); c.want.KMSKey != "" && !errors.Is(err, bucket.ErrChanged) || c.want.KMSKey == "" && got != string(data) {
				t.Errorf("%+v: read %d bytes of the %s object under its first ETag: %v", c.ask, len(got), name, err)
			}
		}
	}
}

func TestEncryptionThatS3Refuses(t *testing.T) {
	for _, e := range []s3.Encryption{
		{Algorithm: "AES128"}, {Algorithm: "aes256"}, {KMSKey: "1234abcd"}, {Algorithm: "AES256", KMSKey: "1234abcd"},
		{Algorithm: "aws:kms", KMSKey: "key\r\nX-Evil: 1"}, {Algorithm: "aws:kms", KMSKey: "schlüssel"},
	} {
		if e.Check() == nil {
			t.Errorf("%+v is accepted", e)
		}
	}
}
