package s3_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"koboshi/agent/awstest"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

// dated answers with the Date of another clock; "" = with none.
type dated struct {
	aws.HTTPClient
	date string
}

func (d dated) Do(r *http.Request) (*http.Response, error) {
	answer, err := d.HTTPClient.Do(r)
	if err == nil {
		answer.Header.Set("Date", d.date)
	}
	return answer, err
}

func TestDateIsTheStores(t *testing.T) {
	server := awstest.New(t)
	server.S3().CreateBucket("releases")
	for header, want := range map[string]time.Time{
		"Thu, 26 Nov 2026 12:56:50 GMT": time.Date(2026, 11, 26, 12, 56, 50, 0, time.UTC),
		"":                              {},
		"yesterday":                     {},
	} {
		cfg := config(server.URL())
		cfg.HTTPClient = dated{cfg.HTTPClient, header}
		b := s3.New(cfg, "releases", "")
		for op, got := range dates(t, b) {
			if !got.Equal(want) {
				t.Errorf("Date %q: after %s the store's clock is %v, want %v", header, op, got, want)
			}
		}
	}
}

// dates are those of one answer to each request that has some.
func dates(t *testing.T, b *s3.Bucket) map[string]time.Time {
	t.Helper()
	all := map[string]time.Time{"put": mustPut(t, b, "small", "text").Date}
	made, err := put(t, b, "large", large, bucket.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	all["put in parts"] = made.Date
	body, object, err := b.Get(t.Context(), "small", bucket.Range{})
	if err != nil {
		t.Fatal(err)
	}
	_ = body.Close()
	all["get"] = object.Date
	for object, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		all["list of "+object.Key] = object.Date
	}
	return all
}
