package signer

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/kms"
	"koboshi/artifacts"
)

const region = "eu-west-1"

// cloud is a mock with a key for each kind, and what calls it.
func cloud(t *testing.T) (*awstest.Server, aws.Config, string) {
	t.Helper()
	s := awstest.New(t)
	t.Setenv("AWS_ENDPOINT_URL", s.URL())
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", region)
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var arn string
	for alias, spec := range map[string]string{"alias/release": kms.Ed25519, "alias/p256": kms.P256, "alias/data": kms.Symmetric} {
		made, err := s.KMS().Make(region, spec, alias)
		if err != nil {
			t.Fatal(err)
		}
		if spec == kms.Ed25519 {
			arn = made
		}
	}
	return s, cfg, arn
}

// A signature of KMS is one of the key: agents verify it as any other.
func TestKMS(t *testing.T) {
	s, cfg, arn := cloud(t)
	cfg.Region = "us-east-1"
	for _, id := range []string{arn, "alias/release"} {
		if id != arn {
			cfg.Region = region
		}
		key, err := KMS(t.Context(), cfg, id)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		envelope, err := document().Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		trust, err := artifacts.NewTrust("1.0.0", 1, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trust.Pointer(envelope, "web", "stable"); err != nil {
			t.Error(err)
		}
	}
	if calls := s.Calls().Filter(func(c faults.Call) bool { return c.Service == "kms" }); len(calls) != 4 {
		t.Errorf("%d calls, want a GetPublicKey and a Sign for each", len(calls))
	}
}

func TestKMSRefuses(t *testing.T) {
	s, cfg, arn := cloud(t)
	for id, want := range map[string]error{
		"alias/none": ErrNoKey,
		"alias/p256": ErrKind,
		"alias/data": ErrKind,
		arn + "0":    ErrNoKey,
		"not a key":  ErrNoKey,
		strings.Replace(arn, region, "us-east-1", 1): ErrNoKey,
	} {
		if _, err := KMS(t.Context(), cfg, id); !errors.Is(err, want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
	key, err := KMS(t.Context(), cfg, arn)
	if err != nil {
		t.Fatal(err)
	}
	long := artifacts.Manifest{Schema: 1, App: "web", Version: "1", Created: issued, Artifacts: []artifacts.Artifact{{OS: "linux", Arch: "amd64", Key: "releases/1/web", Format: artifacts.File, Size: 1, SHA256: artifacts.Sum(nil)}}}
	for range 50 {
		long.Hooks.PreStart = append(long.Hooks.PreStart, strings.Repeat("x", 100))
	}
	before := len(s.Calls().Filter(func(faults.Call) bool { return true }))
	if _, err := long.Sign(key); !errors.Is(err, artifacts.ErrTooLong) {
		t.Errorf("%v", err)
	}
	if after := len(s.Calls().Filter(func(faults.Call) bool { return true })); after != before {
		t.Errorf("KMS was asked for what it does not sign")
	}
	s.KMS().Spoil(func(signature []byte) []byte { signature[7] ^= 1; return signature })
	if _, err := document().Sign(key); !errors.Is(err, artifacts.ErrSigner) || !strings.Contains(err.Error(), "its signature is not one of key") {
		t.Errorf("a spoilt signature: %v", err)
	}
	s.KMS().Spoil(func(signature []byte) []byte { return signature[:63] })
	if _, err := document().Sign(key); !errors.Is(err, artifacts.ErrSigner) || !strings.Contains(err.Error(), "63 bytes") {
		t.Errorf("a short signature: %v", err)
	}
	s.KMS().Spoil(nil)
	for code, want := range map[string]error{"AccessDeniedException": ErrDenied, "DisabledException": ErrNoKey, "KMSInternalException": ErrUnavailable, "ExpiredTokenException": ErrDenied} {
		s.Faults().Add(faults.Fault{Service: "kms", Operation: "Sign", Status: http.StatusBadRequest, Code: code})
		if _, err := document().Sign(key); !errors.Is(err, want) || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v, want %v", code, err, want)
		}
		s.Faults().Clear()
	}
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	if _, err := KMS(ctx, cfg, arn); !errors.Is(err, stopped) {
		t.Errorf("%v, want %v", err, stopped)
	}
}
