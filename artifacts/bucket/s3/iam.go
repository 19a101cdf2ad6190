package s3

import (
	"fmt"

	"koboshi/artifacts/iam"
)

// ReadActions and WriteActions are the calls of this package on objects.
var (
	ReadActions  = []string{"s3:GetObject"}
	WriteActions = []string{"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
)

// Place is the keys below a prefix of a bucket.
type Place struct{ Bucket, Prefix string }

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
		bucket := fmt.Sprintf("arn:%s:s3:::%s", partition, p.Bucket)
		keys := iam.Literal(p.Prefix) + "/*"
		objects = append(objects, bucket+"/"+keys)
		list := iam.Allow(fmt.Sprintf("List%d", i+1), []string{bucket}, "s3:ListBucket")
		list.Condition = map[string]map[string][]string{"StringLike": {"s3:prefix": {keys}}}
		out = append(out, list)
	}
	out[0] = iam.Allow(sid, objects, actions...)
	return out
}
