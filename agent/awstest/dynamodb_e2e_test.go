//go:build e2e

package awstest

import (
	"testing"

	"koboshi/agent/awstest/autoscaling"
)

func TestCLITables(t *testing.T) {
	s := New(t)
	i, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	aws := newCLI(t, s, i)
	type value struct{ S, N string }
	type item map[string]value
	on := func(operation string, more ...string) []string {
		return append([]string{"dynamodb", operation, "--table-name", "leases"}, more...)
	}

	aws.fails("ResourceNotFoundException", on("describe-table")...)
	create := on("create-table", "--billing-mode", "PAY_PER_REQUEST",
		"--attribute-definitions", "AttributeName=shard,AttributeType=S", "AttributeName=id,AttributeType=N",
		"--key-schema", "AttributeName=shard,KeyType=HASH", "AttributeName=id,KeyType=RANGE")
	aws.run(create...)
	aws.fails("ResourceInUseException", create...)
	aws.run("dynamodb", "wait", "table-exists", "--table-name", "leases")

	put := on("put-item", "--item", `{"shard":{"S":"web#0"},"id":{"N":"7"},"gen":{"N":"1"}}`,
		"--condition-expression", "attribute_not_exists(#id)", "--expression-attribute-names", `{"#id":"id"}`)
	aws.run(put...)
	aws.fails("ConditionalCheckFailedException", put...)
	const key = `{"shard":{"S":"web#0"},"id":{"N":"7"}}`
	update := on("update-item", "--key", key, "--update-expression", "SET #gen = :new", "--condition-expression", "#gen = :old",
		"--expression-attribute-names", `{"#gen":"gen"}`, "--expression-attribute-values", `{":old":{"N":"1"},":new":{"N":"2"}}`,
		"--return-values", "ALL_NEW", "--return-consumed-capacity", "TOTAL")
	updated := cliInto[struct {
		Attributes       item
		ConsumedCapacity struct {
			TableName     string
			CapacityUnits float64
		}
	}](aws, update...)
	equal(t, updated.Attributes, item{"shard": {S: "web#0"}, "id": {N: "7"}, "gen": {N: "2"}})
	equal(t, updated.ConsumedCapacity.CapacityUnits, 1)
	equal(t, updated.ConsumedCapacity.TableName, "leases")
	aws.fails("ConditionalCheckFailedException", update...)
	got := cliInto[struct{ Item item }](aws, on("get-item", "--key", key, "--consistent-read")...)
	equal(t, got.Item["gen"].N, "2")

	aws.run(on("put-item", "--item", `{"shard":{"S":"web#0"},"id":{"N":"10"}}`)...)
	aws.run(on("put-item", "--item", `{"shard":{"S":"web#1"},"id":{"N":"80"}}`)...)
	query := on("query", "--consistent-read", "--key-condition-expression", "#s = :s",
		"--expression-attribute-names", `{"#s":"shard"}`, "--expression-attribute-values", `{":s":{"S":"web#0"}}`)
	for _, paged := range [][]string{query, append(query[:len(query):len(query)], "--page-size", "1")} {
		var ids []string
		for _, found := range cliInto[struct{ Items []item }](aws, paged...).Items {
			ids = append(ids, found["id"].N)
		}
		equal(t, ids, []string{"7", "10"})
	}
	aws.fails("not supported by the mock: the parameter FilterExpression", append(query, "--filter-expression", "#s = :s")...)
	aws.fails("UnknownOperation", on("delete-item", "--key", key)...)
}
