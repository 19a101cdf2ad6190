package signer

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"koboshi/artifacts"
)

// openssl verifies what KMS and a program have signed, with the public key that keygen
// writes of them: the envelope is standard DSSE, the signature plain Ed25519.
func TestOpenSSLVerifies(t *testing.T) {
	keys, _ := pair(t)
	t.Setenv("KEYS", keys)
	_, cfg, arn := cloud(t)
	inKMS, err := KMS(t.Context(), cfg, arn)
	if err != nil {
		t.Fatal(err)
	}
	ofProgram, err := Program(t.Context(), script(t, withOpenSSL))
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]artifacts.PrivateKey{"KMS": inKMS, "a program": ofProgram} {
		envelope, err := document().Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := verifyWithOpenSSL(t, key.Public(), envelope); err != nil || !strings.Contains(out, "Signature Verified Successfully") {
			t.Errorf("%s: %v, %s", name, err, out)
		}
		other := inKMS
		if name == "KMS" {
			other = ofProgram
		}
		if out, err := verifyWithOpenSSL(t, other.Public(), envelope); err == nil {
			t.Errorf("%s, with another key: %s", name, out)
		}
	}
}

func verifyWithOpenSSL(t *testing.T, public artifacts.PublicKey, envelope []byte) (string, error) {
	t.Helper()
	dir := t.TempDir()
	var e struct {
		PayloadType string `json:"payloadType"`
		Payload     string `json:"payload"`
		Signatures  []struct {
			Sig string `json:"sig"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(envelope, &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := public.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"pub": pem, "sig": signature, "pae": fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(payload), payload)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "pub", "-rawin", "-in", "pae", "-sigfile", "sig")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}
