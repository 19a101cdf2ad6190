//go:build e2e

package s3_test

import (
	"context"
	"fmt"
	"go/build"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"koboshi/agent/awstest/loopback"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/bucket/s3"
)

const gatewayVersion = "v1.8.0"

// TestGatewayConforms holds the SDK and this package against a real server,
// versitygw over a directory. It has every condition of a write that S3 has,
// on whole objects and on multipart uploads, and compares them under a lock, so
// its races have one winner. Where it differs from S3: a key is a path, so
// "a" and "a/b" cannot both be objects, and a part of a name has 255 bytes at
// most. The conformance function asks for neither. It lists a key with a control
// character as another key.
func TestGatewayConforms(t *testing.T) {
	url := startGateway(t)
	var buckets int
	buckettest.Conformance(t, func(t *testing.T) bucket.Bucket {
		buckets++
		name := fmt.Sprintf("releases-%d", buckets)
		createBucket(t, url, name)
		return s3.New(config(url), name, "apps/web")
	}, buckettest.ControlCharacters)
}

// gateway finds the binary: KOBOSHI_VERSITYGW, PATH, or where go install put it.
func gateway(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("KOBOSHI_VERSITYGW"); path != "" {
		return path
	}
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path
	}
	path := filepath.Join(build.Default.GOPATH, "bin", "versitygw")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no versitygw in KOBOSHI_VERSITYGW, PATH or %s; get it with: go install github.com/versity/versitygw/cmd/versitygw@%s", path, gatewayVersion)
	}
	return path
}

// startGateway runs one on a free port of loopback until the test ends.
func startGateway(t *testing.T) (url string) {
	t.Helper()
	addr := loopback.Address()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, gateway(t), "--port", addr, "--quiet", "posix", t.TempDir())
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+accessKey, "ROOT_SECRET_ACCESS_KEY="+secretKey)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		cancel()
		t.Logf("versitygw ended: %v", <-exited)
	})
	awaitPort(t, addr, exited)
	return "http://" + addr
}

func awaitPort(t *testing.T, addr string, exited chan error) {
	t.Helper()
	limit := time.After(30 * time.Second)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("versitygw ended: %v", err)
		case <-limit:
			t.Fatalf("versitygw does not listen at %s", addr)
		case <-poll.C:
		}
	}
}

func createBucket(t *testing.T, url, name string) {
	t.Helper()
	client := sdk.NewFromConfig(config(url), func(o *sdk.Options) { o.UsePathStyle = true })
	if _, err := client.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
}
