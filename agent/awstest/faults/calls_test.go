package faults

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestCalls(t *testing.T) {
	_, _, calls, server := start(t)
	client := sdkClient(server)
	if _, err := client.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Range: aws.String("bytes=0-1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("n é")}); err == nil {
		t.Error("no error")
	}
	if _, err := http.Get(server.URL + "/b/k?acl"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		service, operation string
		want               int
	}{
		{"s3", "GetObject", 2}, {"s3", "HeadObject", 0}, {"imds", "", 0}, {"", "GetObject", 2}, {"", "", 3}, {"s3", "", 3},
	} {
		if got := calls.Count(c.service, c.operation); got != c.want {
			t.Errorf("Count(%q, %q) is %d, want %d", c.service, c.operation, got, c.want)
		}
	}
	missed := calls.Filter(func(c Call) bool { return c.Status == 404 })
	if len(missed) != 1 || missed[0].Path != "/b/n é" || missed[0].Method != http.MethodGet || missed[0].Query != "x-id=GetObject" {
		t.Errorf("missed: %+v", missed)
	}
	first := calls.All()[0]
	if first.Status != 206 || first.Bytes != 2 || first.Range != "bytes=0-1" || time.Since(first.Time) > time.Hour {
		t.Errorf("first: %+v", first)
	}
	calls.Reset()
	if got := calls.All(); got != nil {
		t.Errorf("after Reset: %+v", got)
	}
}

func TestCallsAwait(t *testing.T) {
	calls := new(Calls)
	script := New(time.Now, calls)
	handler := alwaysOK(script)
	done := make(chan error, 1)
	go func() { done <- calls.Await(t.Context(), "any", "Op", 2) }()
	for range 2 {
		select {
		case err := <-done:
			t.Fatalf("came back too early: %v", err)
		default:
		}
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := calls.Await(ctx, "any", "Op", 3); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
