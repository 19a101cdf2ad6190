package awstest

import (
	"errors"
	"net/http"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	tables "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/dynamodb"
	"koboshi/agent/awstest/faults"
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

// leaseTable is a server with a table of leases, and the SDK's client for it, which
// asks once.
func leaseTable(t *testing.T) (*Server, *tables.Client) {
	t.Helper()
	s := New(t)
	i, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	check(t, s.DynamoDB().CreateTable("eu-west-1", "leases", dynamodb.Key{Name: "shard", Type: "S"}, dynamodb.Key{Name: "id", Type: "N"}))
	return s, tables.NewFromConfig(on(t, i), func(o *tables.Options) { o.RetryMaxAttempts = 1 })
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int) types.AttributeValue  { return &types.AttributeValueMemberN{Value: strconv.Itoa(n)} }

// claim is the first claim of an id.
func claim(id int) *tables.PutItemInput {
	return &tables.PutItemInput{
		TableName:                           aws.String("leases"),
		Item:                                map[string]types.AttributeValue{"shard": text("web#0"), "id": number(id), "gen": number(1)},
		ConditionExpression:                 aws.String("attribute_not_exists(#id)"),
		ExpressionAttributeNames:            map[string]string{"#id": "id"},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
}

func TestSDKItems(t *testing.T) {
	s, client := leaseTable(t)
	for id := range 3 {
		_, err := client.PutItem(t.Context(), claim(id))
		check(t, err)
	}
	_, err := client.PutItem(t.Context(), claim(1))
	failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		t.Fatalf("got %v, want ConditionalCheckFailedException", err)
	}
	equal(t, failed.Item, map[string]types.AttributeValue{"shard": text("web#0"), "id": number(1), "gen": number(1)})

	key := map[string]types.AttributeValue{"shard": text("web#0"), "id": number(1)}
	updated, err := client.UpdateItem(t.Context(), &tables.UpdateItemInput{
		TableName: aws.String("leases"), Key: key,
		UpdateExpression:          aws.String("SET #gen = :new"),
		ConditionExpression:       aws.String("#gen = :old"),
		ExpressionAttributeNames:  map[string]string{"#gen": "gen"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":old": number(1), ":new": number(2)},
		ReturnValues:              "ALL_NEW", ReturnConsumedCapacity: "TOTAL",
	})
	check(t, err)
	equal(t, updated.Attributes["gen"], number(2))
	equal(t, *updated.ConsumedCapacity.CapacityUnits, 1)
	got, err := client.GetItem(t.Context(), &tables.GetItemInput{TableName: aws.String("leases"), Key: key, ConsistentRead: aws.Bool(true)})
	check(t, err)
	equal(t, got.Item["gen"], number(2))

	pages := tables.NewQueryPaginator(client, &tables.QueryInput{
		TableName: aws.String("leases"), KeyConditionExpression: aws.String("#s = :s"), ConsistentRead: aws.Bool(true), Limit: aws.Int32(2),
		ExpressionAttributeNames:  map[string]string{"#s": "shard"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":s": text("web#0")},
	})
	var ids []types.AttributeValue
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		check(t, err)
		for _, item := range page.Items {
			ids = append(ids, item["id"])
		}
	}
	equal(t, ids, []types.AttributeValue{number(0), number(1), number(2)})
	equal(t, s.Calls().Count("dynamodb", "Query"), 2)
	_, err = client.GetItem(t.Context(), &tables.GetItemInput{TableName: aws.String("none"), Key: key})
	equal(t, code(err), "ResourceNotFoundException")
	_, err = client.DeleteItem(t.Context(), &tables.DeleteItemInput{TableName: aws.String("leases"), Key: key})
	equal(t, code(err), "UnknownOperationException")
}

// TestTablesRefuseByFaults has throttling and missing rights as the SDK sees them.
func TestTablesRefuseByFaults(t *testing.T) {
	s, client := leaseTable(t)
	for _, refusal := range []string{"ProvisionedThroughputExceededException", "ThrottlingException", "AccessDeniedException"} {
		id := s.Faults().Add(faults.Fault{Service: "dynamodb", Operation: "PutItem", Status: http.StatusBadRequest, Code: refusal, Message: "no"})
		_, err := client.PutItem(t.Context(), claim(1))
		equal(t, code(err), refusal)
		_, err = client.DescribeTable(t.Context(), &tables.DescribeTableInput{TableName: aws.String("leases")}) // another operation
		check(t, err)
		s.Faults().Remove(id)
	}
	equal(t, s.DynamoDB().Item("eu-west-1", "leases", dynamodb.Text("web#0"), dynamodb.Number(1)), nil)
	_, err := client.PutItem(t.Context(), claim(1))
	check(t, err)
}

// TestTablesMeetLateWrites has a claim that its client takes for lost, and that takes
// effect after another's: the condition is evaluated then.
func TestTablesMeetLateWrites(t *testing.T) {
	s, client := leaseTable(t)
	id := s.Faults().Add(faults.Fault{Service: "dynamodb", Operation: "PutItem", Times: 1, Applied: true, Reset: true, Held: true})
	lost := claim(1)
	lost.Item["gen"] = number(9)
	if _, err := client.PutItem(t.Context(), lost); err == nil {
		t.Error("the client was answered")
	}
	stored := func() dynamodb.Value {
		return s.DynamoDB().Item("eu-west-1", "leases", dynamodb.Text("web#0"), dynamodb.Number(1))["gen"]
	}
	equal(t, stored(), dynamodb.Value{})
	_, err := client.PutItem(t.Context(), claim(1))
	check(t, err)
	s.Faults().Remove(id)
	check(t, s.Faults().Settle(t.Context()))
	equal(t, stored(), dynamodb.Number(1))
}
