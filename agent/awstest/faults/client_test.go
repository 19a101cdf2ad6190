package faults

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// sdkClient returns a client of the kind that real programs use, without retries.
func sdkClient(server *httptest.Server) *sdk.Client {
	return sdk.New(sdk.Options{
		Region:           "us-east-1",
		BaseEndpoint:     aws.String(server.URL),
		UsePathStyle:     true,
		Credentials:      credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		HTTPClient:       server.Client(),
		RetryMaxAttempts: 1,
	})
}

// wantCode checks the error code that the service answered, "" for no error.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	got := ""
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		got = api.ErrorCode()
	}
	if got != code || (err != nil) != (code != "") {
		t.Errorf("error code %q, want %q (error: %v)", got, code, err)
	}
}
