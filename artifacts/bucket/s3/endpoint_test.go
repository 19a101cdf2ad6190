package s3_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"koboshi/artifacts/bucket/s3"
)

func TestEndpoint(t *testing.T) {
	for name, c := range map[string]struct {
		endpoint string
		sources  []any
		want     string
		usual    bool
	}{
		"AWS's":      {"", nil, "https://releases.s3.us-east-1.amazonaws.com", true},
		"one's own":  {"http://127.0.0.1:9000", nil, "http://127.0.0.1:9000/releases", false},
		"FIPS":       {"", []any{settings{fips: true}}, "https://releases.s3-fips.us-east-1.amazonaws.com", false},
		"dual stack": {"", []any{settings{dual: true}}, "https://releases.s3.dualstack.us-east-1.amazonaws.com", false},
	} {
		cfg := config(c.endpoint)
		if cfg.ConfigSources = c.sources; c.endpoint == "" {
			cfg.BaseEndpoint = nil
		}
		got, usual, err := s3.New(cfg, "releases", "apps").Endpoint(t.Context())
		if err != nil || got != c.want || usual != c.usual {
			t.Errorf("%s: %s, usual %v, %v; want %s, %v", name, got, usual, err, c.want, c.usual)
		}
	}
	cfg := config("http://127.0.0.1:9000")
	cfg.ConfigSources = []any{settings{fips: true}}
	if got, _, err := s3.New(cfg, "releases", "apps").Endpoint(t.Context()); err == nil {
		t.Errorf("FIPS and an endpoint of one's own: %s, want an error", got)
	}
}

// settings is what the SDK finds in the environment.
type settings struct{ fips, dual bool }

func (s settings) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	return aws.FIPSEndpointStateEnabled, s.fips, nil
}

func (s settings) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	return aws.DualStackEndpointStateEnabled, s.dual, nil
}
