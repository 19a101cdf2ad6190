package lease

import (
	"fmt"
	"strings"

	"koboshi/artifacts/iam"
)

// directories is where the objects of every scope are, relative to a table's prefix.
const directories = "nodes/"

// anywhere is a region or an account of an ARN that may be any.
const anywhere = "*"

// ObjectStatements allow an instance's calls on the objects of a scope, which are below
// nodes/ in a bucket's prefix: it reads, writes and lists them, and never deletes one.
//
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
func ObjectStatements(partition, bucket, prefix, scope string) []iam.Statement {
	arn, keys := bucketARN(partition, bucket), below(prefix, directories+scope+"/")
	list := iam.Allow("ListNodeIds", []string{arn}, "s3:ListBucket")
	list.Condition = map[string]map[string][]string{"StringLike": {"s3:prefix": {keys}}}
	return []iam.Statement{iam.Allow("NodeIds", []string{arn + "/" + keys}, "s3:GetObject", "s3:PutObject"), list}
}

// ItemStatements allow an instance's calls on the items of a scope in a table of
// DynamoDB. An empty region is any.
//
// Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
func ItemStatements(partition, region, table, scope string) []iam.Statement {
	if region == "" {
		region = anywhere
	}
	s := iam.Allow("NodeIds", []string{fmt.Sprintf("arn:%s:dynamodb:%s:%s:table/%s", partition, region, anywhere, table)},
		"dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem", "dynamodb:PutItem")
	s.Condition = map[string]map[string][]string{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": {scope + "#*"}}}
	return []iam.Statement{s}
}

// BucketStatements are for the policy of the bucket itself: nobody may write an item
// without a condition, or delete one, whatever a role allows. Uploads in parts and
// copies cannot have a condition, so they are denied, too.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
func BucketStatements(partition, bucket, prefix string) []iam.Statement {
	items := []string{bucketARN(partition, bucket) + "/" + below(prefix, directories)}
	write := iam.Deny("NodeIdsOnlyConditionally", items, "s3:PutObject")
	write.Condition = map[string]map[string][]string{"Null": {"s3:if-match": {"true"}, "s3:if-none-match": {"true"}}}
	return []iam.Statement{write, iam.Deny("NodeIdsStay", items, "s3:DeleteObject", "s3:DeleteObjectVersion")}
}

func bucketARN(partition, bucket string) string {
	return fmt.Sprintf("arn:%s:s3:::%s", partition, bucket)
}

// below is the pattern of all keys below a directory of a prefix.
func below(prefix, directory string) string {
	return strings.TrimPrefix(iam.Literal(prefix)+"/"+directory+"*", "/")
}
