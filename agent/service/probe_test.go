package service

import (
	"crypto/x509"
	"testing"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/artifacts"
)

// A release says where it answers and with which status; by which name and with
// which certificates it is asked is the configuration's.
func TestProbeOfRelease(t *testing.T) {
	roots := x509.NewCertPool()
	cfg := &config.Config{Health: config.Health{URL: "https://127.0.0.1/a", Host: "www.example.com", Status: "204", Roots: roots}}
	for name, tt := range map[string]struct {
		override artifacts.Health
		want     health.Probe
	}{
		"nothing": {noOverride, health.Probe{URL: "https://127.0.0.1/a", Host: "www.example.com", Statuses: "204", Roots: roots}},
		"a url": {artifacts.Health{URL: "https://127.0.0.1/b"},
			health.Probe{URL: "https://127.0.0.1/b", Host: "www.example.com", Statuses: "204", Roots: roots}},
		"statuses": {artifacts.Health{Status: "404"}, health.Probe{URL: "https://127.0.0.1/a", Host: "www.example.com", Statuses: "404", Roots: roots}},
	} {
		got := Service{config: cfg}.probe(tt.override)
		if got.URL != tt.want.URL || got.Host != tt.want.Host || got.Statuses != tt.want.Statuses || got.Roots != tt.want.Roots || got.Insecure {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
	if got := (Service{config: cfg}).probe(artifacts.Health{TCP: "127.0.0.1:1"}); got.URL != "" || got.TCP != "127.0.0.1:1" {
		t.Errorf("a tcp: %+v", got)
	}
}
