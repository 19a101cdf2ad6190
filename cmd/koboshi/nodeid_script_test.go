package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"koboshi/agent/awstest/dynamodb"
	"koboshi/agent/lease"
)

// nodeKey is where the id of a scope is stored in the bucket "releases".
func nodeKey(scope string, id int) string {
	return fmt.Sprintf("apps/web/nodes/%s/%04d/%07d.json", scope, id/256, id)
}

// item SCOPE ID held|free OWNER ENDS SLACK stores an item whose mark is so far from now,
// such as 52m or -1h.
func item(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 6 {
		ts.Fatalf("usage: item SCOPE ID held|free OWNER ENDS SLACK")
	}
	id, err := strconv.Atoi(args[1])
	ts.Check(err)
	ends, err := time.ParseDuration(args[4])
	ts.Check(err)
	slack, err := time.ParseDuration(args[5])
	ts.Check(err)
	data, err := lease.Item{Scope: args[0], ID: id, Gen: 7, State: lease.State(args[2]), Owner: args[3], Nonce: lease.Nonce{1}, Written: time.Now().UTC().Truncate(time.Second),
		HW: time.Now().Add(ends).UnixMilli(), Slack: slack.Milliseconds()}.Encode()
	ts.Check(err)
	of(ts).aws.S3().Put("releases", nodeKey(args[0], id), data)
}

// store KEY FILE stores an object in the bucket "releases"; stored KEY FILE writes it to
// a file.
func storeObject(ts *testscript.TestScript, _ bool, args []string) {
	of(ts).aws.S3().Put("releases", args[0], []byte(ts.ReadFile(args[1])))
}

func storedObject(ts *testscript.TestScript, _ bool, args []string) {
	data, ok := of(ts).aws.S3().Object("releases", args[0])
	if !ok {
		ts.Fatalf("there is no object %s", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o644))
}

// table NAME [KEY] makes a table of DynamoDB for node ids, or with another partition key
// than theirs.
func makeTable(ts *testscript.TestScript, _ bool, args []string) {
	key := "shard"
	switch len(args) {
	case 1:
	case 2:
		key = args[1]
	default:
		ts.Fatalf("usage: table NAME [KEY]")
	}
	ts.Check(of(ts).aws.DynamoDB().CreateTable("us-east-1", args[0], dynamodb.Key{Name: key, Type: "S"}, dynamodb.Key{Name: "id", Type: "N"}))
}
