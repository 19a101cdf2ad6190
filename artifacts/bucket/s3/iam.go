package s3

import (
	"fmt"

	"koboshi/artifacts/iam"
)

// ReadActions and WriteActions are the calls of this package on objects.
var (
	ReadActions  = []string{"s3:GetObject"}
	WriteActions = []string{"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
	putActions   = WriteActions[1:]
)

// ReadKeyActions and WriteKeyActions are what S3 does with a KMS key in the name of
// the caller; parts of an upload are decrypted, too.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
var (
	ReadKeyActions  = []string{"kms:Decrypt"}
	WriteKeyActions = []string{"kms:GenerateDataKey", "kms:Decrypt"}
)

// Place is the keys below a prefix of a bucket.
type Place struct{ Bucket, Prefix string }

func (p Place) bucket(partition string) string {
	return fmt.Sprintf("arn:%s:s3:::%s", partition, p.Bucket)
}

// Statements allow actions on the objects of these places, in one of
// [iam.Partitions], and to list them: only a caller that may list learns that an
// object is missing, not forbidden. Without places there are none.
//
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
func Statements(partition, sid string, actions []string, places ...Place) []iam.Statement {
	if len(places) == 0 {
		return nil
	}
	out := make([]iam.Statement, 1, 1+len(places))
	var objects []string
	for i, p := range places {
		bucket, keys := p.bucket(partition), iam.Literal(p.Prefix)+"/*"
		objects = append(objects, bucket+"/"+keys)
		list := iam.Allow(fmt.Sprintf("List%d", i+1), []string{bucket}, "s3:ListBucket")
		list.Condition = map[string]map[string][]string{"StringLike": {"s3:prefix": {keys}}}
		out = append(out, list)
	}
	out[0] = iam.Allow(sid, objects, actions...)
	return out
}

// PutStatements allow to write the objects of one directory of these places.
func PutStatements(partition, sid, directory string, places ...Place) []iam.Statement {
	return directoryStatements(partition, sid, directory, putActions, places)
}

// PutSmallStatements allow to write small objects of one directory, each in one request.
// Without places there are none.
func PutSmallStatements(partition, sid, directory string, places ...Place) []iam.Statement {
	if len(places) == 0 {
		return nil
	}
	return directoryStatements(partition, sid, directory, putActions[:1], places)
}

func directoryStatements(partition, sid, directory string, actions []string, places []Place) []iam.Statement {
	var objects []string
	for _, p := range places {
		objects = append(objects, p.bucket(partition)+"/"+iam.Literal(p.Prefix)+"/"+directory+"/*")
	}
	return []iam.Statement{iam.Allow(sid, objects, actions...)}
}

// PruneStatements allow to delete releases of these places, and to write their marks,
// which are called name; a mark itself is never deleted. What a probe of the store
// writes there is included.
func PruneStatements(partition, name string, places ...Place) []iam.Statement {
	var releases, marks, probes []string
	for _, p := range places {
		prefix := p.bucket(partition) + "/" + iam.Literal(p.Prefix) + "/releases/"
		releases, marks, probes = append(releases, prefix+"*"), append(marks, prefix+"*/"+name), append(probes, prefix+"probe-*")
	}
	keep := iam.Allow("KeepMarks", marks, "s3:DeleteObject")
	keep.Effect = "Deny"
	return []iam.Statement{iam.Allow("Mark", append(marks, probes...), "s3:PutObject"), iam.Allow("Remove", releases, "s3:DeleteObject"), keep}
}

// KeyStatements allow actions on KMS keys, by their ARNs and through S3 only. Without
// keys there are none.
func KeyStatements(keys []string, actions ...string) []iam.Statement {
	if len(keys) == 0 {
		return nil
	}
	key := iam.Allow("Key", keys, actions...)
	key.Condition = map[string]map[string][]string{"StringLike": {"kms:ViaService": {"s3.*.amazonaws.com*"}}} // .cn in China
	return []iam.Statement{key}
}
