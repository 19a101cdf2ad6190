package config_test

import (
	"net/url"
	"strings"
	"testing"

	"koboshi/agent/config"
)

func TestSourcesThatAreOne(t *testing.T) {
	for _, s := range []string{
		"s3://bucket", "s3://bucket/", "s3://bucket/a/prefix", "s3://bucket/apps?region=eu-west-1", "s3://bucket?region=us-gov-west-1",
		"file:///srv/releases", "https://releases.example:8443/apps", "http://127.0.0.1:9000/apps", "http://[::1]/apps", "http://localhost/x",
	} {
		if err := config.CheckSource(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func FuzzCheckSource(f *testing.F) {
	for _, s := range []string{"s3://b/p?region=eu-west-1", "s3://b/p?region=", "s3://b?", "file:///x", "https://u:p@h/", "http://127.0.0.1/", "s3:///p", "%", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if config.CheckSource(s) != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.User != nil || u.Fragment != "" {
			t.Fatalf("%q was taken", s)
		}
		region, ok := strings.CutPrefix(u.RawQuery, "region=")
		if u.RawQuery != "" && (u.Scheme != "s3" || !ok || u.Query().Get("region") != region || strings.ContainsAny(region, "./:@%&")) {
			t.Fatalf("%q was taken with the query %q", s, u.RawQuery)
		}
	})
}
