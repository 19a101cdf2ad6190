package main

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"koboshi/artifacts/bucket"
)

// nowhere is an HTTP client that notes which host a request would go to.
type nowhere struct{ host string }

var errNowhere = errors.New("no network")

func (n *nowhere) Do(r *http.Request) (*http.Response, error) {
	n.host = r.URL.Host
	return nil, errNowhere
}

// A source's own region takes precedence over that of the environment or the instance.
func TestRegionOfASource(t *testing.T) {
	for source, want := range map[string]string{
		"s3://releases/apps":                       "releases.s3.us-east-1.amazonaws.com",
		"s3://releases/apps?region=eu-west-1":      "releases.s3.eu-west-1.amazonaws.com",
		"s3://releases/apps?region=cn-northwest-1": "releases.s3.cn-northwest-1.amazonaws.com.cn",
	} {
		client := &nowhere{}
		cfg := aws.Config{Region: "us-east-1", HTTPClient: client, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
			Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
		s, err := openSource(cfg, source, "web", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Get(t.Context(), "k", bucket.Range{}); !errors.Is(err, errNowhere) || client.host != want {
			t.Errorf("%s: asked %s (%v), want %s", source, client.host, err, want)
		}
	}
}
