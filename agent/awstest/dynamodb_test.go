package awstest

import (
	"testing"

	tables "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/aws/aws-sdk-go-v2/aws"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/dynamodb"
)

func TestSDKTables(t *testing.T) {
	s := New(t)
	i, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	client := tables.NewFromConfig(on(t, i))
	created, err := client.CreateTable(t.Context(), &tables.CreateTableInput{
		TableName:            aws.String("leases"),
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("shard"), AttributeType: "S"}, {AttributeName: aws.String("id"), AttributeType: "N"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("shard"), KeyType: "HASH"}, {AttributeName: aws.String("id"), KeyType: "RANGE"}},
		BillingMode:          "PAY_PER_REQUEST",
	})
	check(t, err)
	equal(t, created.TableDescription.TableStatus, "CREATING")
	described, err := client.DescribeTable(t.Context(), &tables.DescribeTableInput{TableName: aws.String("leases")})
	check(t, err)
	equal(t, described.Table.TableStatus, "ACTIVE")
	equal(t, *described.Table.TableArn, "arn:aws:dynamodb:eu-west-1:123456789012:table/leases")
	_, err = client.DescribeTable(t.Context(), &tables.DescribeTableInput{TableName: aws.String("none")})
	equal(t, code(err), "ResourceNotFoundException")
	if err := s.DynamoDB().CreateTable("eu-west-1", "leases", dynamodb.Key{Name: "k", Type: "S"}, dynamodb.Key{}); err == nil {
		t.Error("a table was created twice")
	}
	check(t, s.DynamoDB().CreateTable("us-east-1", "leases", dynamodb.Key{Name: "k", Type: "S"}, dynamodb.Key{})) // another region
}
