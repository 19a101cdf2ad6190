//go:build e2e

package awstest

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"koboshi/agent/awstest/autoscaling"
)

// The AWS CLI makes keys, describes them, and has them sign: by the rules and within the
// limit of each kind.
func TestCLIKMS(t *testing.T) {
	s := New(t)
	i, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	aws := newCLI(t, s, i)
	file := func(name string, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		check(t, os.WriteFile(path, data, 0o600))
		return "fileb://" + path
	}
	type metadata struct {
		KeyID                            string `json:"KeyId"`
		Arn, KeySpec, KeyUsage, KeyState string
	}
	create := func(spec, usage string) metadata {
		t.Helper()
		return cliInto[struct{ KeyMetadata metadata }](aws, "kms", "create-key", "--key-spec", spec, "--key-usage", usage).KeyMetadata
	}
	key := create("ECC_NIST_EDWARDS25519", "SIGN_VERIFY")
	aws.run("kms", "create-alias", "--alias-name", "alias/release", "--target-key-id", key.KeyID)
	aws.fails("AlreadyExistsException", "kms", "create-alias", "--alias-name", "alias/release", "--target-key-id", key.KeyID)
	for _, id := range []string{key.KeyID, key.Arn, "alias/release"} {
		equal(t, cliInto[struct{ KeyMetadata metadata }](aws, "kms", "describe-key", "--key-id", id).KeyMetadata, key)
	}
	public := cliInto[struct {
		PublicKey, KeySpec string
		SigningAlgorithms  []string
	}](aws, "kms", "get-public-key", "--key-id", "alias/release")
	equal(t, public.KeySpec, "ECC_NIST_EDWARDS25519")
	equal(t, public.SigningAlgorithms, []string{"ED25519_SHA_512", "ED25519_PH_SHA_512"})
	der, err := base64.StdEncoding.DecodeString(public.PublicKey)
	check(t, err)
	parsed, err := x509.ParsePKIXPublicKey(der)
	check(t, err)

	sign := func(message, kind, algorithm string) []string {
		return []string{"kms", "sign", "--key-id", "alias/release", "--message", message, "--message-type", kind, "--signing-algorithm", algorithm}
	}
	message, digest := make([]byte, 4096), make([]byte, 64)
	signed := cliInto[struct {
		Signature string
		KeyID     string `json:"KeyId"`
	}](aws, sign(file("most", message), "RAW", "ED25519_SHA_512")...)
	signature, err := base64.StdEncoding.DecodeString(signed.Signature)
	check(t, err)
	if !ed25519.Verify(parsed.(ed25519.PublicKey), message, signature) || signed.KeyID != key.Arn {
		t.Errorf("%+v", signed)
	}
	aws.fails("ValidationException", sign(file("more", append(message, 0)), "RAW", "ED25519_SHA_512")...)
	aws.fails("ValidationException", sign(file("digest", digest), "DIGEST", "ED25519_SHA_512")...)
	aws.fails("ValidationException", sign(file("digest", digest), "RAW", "ED25519_PH_SHA_512")...)
	aws.fails("ValidationException", sign(file("short", digest[:63]), "DIGEST", "ED25519_PH_SHA_512")...)
	aws.fails("InvalidKeyUsageException", sign(file("digest", digest), "RAW", "ECDSA_SHA_256")...)
	other := cliInto[struct{ Signature string }](aws, sign(file("digest", digest), "DIGEST", "ED25519_PH_SHA_512")...)
	if signature, err = base64.StdEncoding.DecodeString(other.Signature); err != nil || ed25519.Verify(parsed.(ed25519.PublicKey), digest, signature) {
		t.Errorf("what is hashed before is plain Ed25519, too: %v", err)
	}

	data := create("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	aws.fails("UnsupportedOperationException", "kms", "get-public-key", "--key-id", data.KeyID)
	aws.fails("InvalidKeyUsageException", "kms", "sign", "--key-id", data.KeyID, "--message", file("digest", digest), "--signing-algorithm", "ECDSA_SHA_256")
	aws.fails("ValidationException", "kms", "create-key", "--key-spec", "ECC_NIST_EDWARDS25519")
	aws.fails("NotFoundException", "kms", "get-public-key", "--key-id", "alias/none")
	aws.run("kms", "disable-key", "--key-id", key.KeyID)
	aws.fails("DisabledException", sign(file("digest", digest), "RAW", "ED25519_SHA_512")...)
	aws.run("kms", "enable-key", "--key-id", key.KeyID)
	aws.run(sign(file("digest", digest), "RAW", "ED25519_SHA_512")...)
}
