//go:build e2e

package lease_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	items "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	objects "github.com/aws/aws-sdk-go-v2/service/s3"

	"koboshi/agent/awstest/loopback"
	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
)

// TestE2EObjects holds the table of objects against a real S3 server, versitygw over a
// directory: it compares conditions under a lock, and its ETags are hashes, as S3's are.
func TestE2EObjects(t *testing.T) {
	addr := loopback.Address()
	cmd := exec.Command(installed(t, "../../.build/versitygw"), "--port", addr, "--region", region, "--quiet", "posix", t.TempDir())
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	serve(t, cmd, addr)
	n := 0
	leasetest.Conformance(t, func(t *testing.T) func(string) lease.Table {
		n++
		name := fmt.Sprintf("releases-%d", n)
		client := objects.NewFromConfig(config("http://"+addr), func(o *objects.Options) { o.UsePathStyle = true })
		if _, err := client.CreateBucket(t.Context(), &objects.CreateBucketInput{Bucket: &name}); err != nil {
			t.Fatal(err)
		}
		return objectsOf("http://"+addr, name)
	})
}

// TestE2ERows holds the table in DynamoDB against another server than the mock, dynalite.
// It has no ALL_OLD: what is there is read after a write that was refused.
func TestE2ERows(t *testing.T) {
	addr := loopback.Address()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, exec.Command(installed(t, "../../.build/dynalite/node_modules/.bin/dynalite"), "--host", host, "--port", port, "--createTableMs", "1"), addr)
	n := 0
	leasetest.Conformance(t, func(t *testing.T) func(string) lease.Table {
		n++
		name := fmt.Sprintf("node-ids-%d", n)
		createTable(t, "http://"+addr, name)
		return rowsOf("http://"+addr, name)
	})
}

// TestE2ECrowd is TestCrowd with 1,000 instances and the ids 0 to 1023.
func TestE2ECrowd(t *testing.T) { crowds(t, 1000, 1023) }

func createTable(t *testing.T, url, name string) {
	t.Helper()
	client := items.NewFromConfig(config(url))
	_, err := client.CreateTable(t.Context(), &items.CreateTableInput{
		TableName:            &name,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &shardKey.Name, AttributeType: "S"}, {AttributeName: &idKey.Name, AttributeType: "N"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &shardKey.Name, KeyType: "HASH"}, {AttributeName: &idKey.Name, KeyType: "RANGE"}},
		BillingMode:          types.BillingModePayPerRequest,
	})
	if err != nil {
		t.Fatal(err)
	}
	active := items.NewTableExistsWaiter(client, func(o *items.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, 100*time.Millisecond
	})
	if err := active.Wait(t.Context(), &items.DescribeTableInput{TableName: aws.String(name)}, 30*time.Second); err != nil {
		t.Fatal(err)
	}
}

// installed is a server that make has put there.
func installed(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v: make e2e installs it", err)
	}
	return path
}

// serve runs a server on an address of loopback until the test ends.
func serve(t *testing.T, cmd *exec.Cmd, addr string) {
	t.Helper()
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, ended := context.WithCancel(context.Background())
	go func() {
		_ = cmd.Wait() // it is killed below
		ended()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ctx.Done()
	})
	limit, poll := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer poll.Stop()
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s has ended", cmd.Path)
		case <-limit:
			t.Fatalf("%s does not listen at %s", cmd.Path, addr)
		case <-poll.C:
		}
	}
}
