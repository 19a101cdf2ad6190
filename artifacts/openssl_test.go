package artifacts_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"koboshi/artifacts"
)

// openssl runs Debian's openssl in dir.
func openssl(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestOpenSSL signs with a key that openssl made, and lets openssl verify what
// koboshi signed: the envelope is standard DSSE.
func TestOpenSSL(t *testing.T) {
	dir := t.TempDir()
	openssl(t, dir, "genpkey", "-algorithm", "ed25519", "-out", "release.key")
	openssl(t, dir, "pkey", "-in", "release.key", "-pubout", "-out", "release.pub")
	private, err := artifacts.ParsePrivateKey(read(t, dir, "release.key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := artifacts.ParsePublicKeys(read(t, dir, "release.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if len(public) != 1 || private.Public().ID() != public[0].ID() {
		t.Errorf("key ids %s and %v", private.Public().ID(), public)
	}
	envelope := must(pointer().Sign(private))

	// The pre-authentication encoding of https://github.com/secure-systems-lab/dsse
	const payloadType = "application/vnd.koboshi.pointer.v1+json"
	payload := payloadOf(t, envelope)
	write(t, dir, "pae", fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload))
	_, rest, _ := strings.Cut(string(envelope), `"sig":"`)
	encoded, _, _ := strings.Cut(rest, `"`)
	signature, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "sig", signature)
	if out := openssl(t, dir, "pkeyutl", "-verify", "-pubin", "-inkey", "release.pub", "-rawin", "-in", "pae", "-sigfile", "sig"); !strings.Contains(out, "Signature Verified Successfully") {
		t.Errorf("openssl says %s", out)
	}
}

// TestKeysForOpenSSL lets openssl read the keys that koboshi makes.
func TestKeysForOpenSSL(t *testing.T) {
	dir := t.TempDir()
	key := newKey(t)
	write(t, dir, "release.key", must(key.MarshalPEM()))
	write(t, dir, "release.pub", must(key.Public().MarshalPEM()))
	if got, want := openssl(t, dir, "pkey", "-in", "release.key", "-pubout"), string(read(t, dir, "release.pub")); got != want {
		t.Errorf("openssl derives\n%s\nwant\n%s", got, want)
	}
	openssl(t, dir, "pkey", "-in", "release.pub", "-pubin", "-outform", "DER", "-out", "release.der")
	if got := artifacts.Sum(read(t, dir, "release.der")).String(); got != key.Public().ID() {
		t.Errorf("the key id is %s, the hash of the DER %s", key.Public().ID(), got)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	openssl(t, dir, "genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024", "-out", "rsa.key")
	openssl(t, dir, "pkey", "-in", "rsa.key", "-pubout", "-out", "rsa.pub")
	key := newKey(t)
	private, public := must(key.MarshalPEM()), must(key.Public().MarshalPEM())
	for name, err := range map[string]error{
		"an RSA key":              second(artifacts.ParsePrivateKey(read(t, dir, "rsa.key"))),
		"an RSA public key":       second(artifacts.ParsePublicKeys(read(t, dir, "rsa.pub"))),
		"a public key as private": second(artifacts.ParsePrivateKey(public)),
		"a private key as public": second(artifacts.ParsePublicKeys(private)),
		"garbage":                 second(artifacts.ParsePublicKeys([]byte("ssh-ed25519 AAAA"))),
		"garbage in PEM":          second(artifacts.ParsePrivateKey([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))),
		"nothing":                 second(artifacts.ParsePublicKeys(nil)),
		"a second one, damaged":   second(artifacts.ParsePublicKeys(append(slices.Clone(public), bytes.Replace(public, []byte("END"), []byte("AAAA"), 1)...))),
		"a second one, RSA":       second(artifacts.ParsePublicKeys(append(slices.Clone(public), read(t, dir, "rsa.pub")...))),
		"two private keys":        second(artifacts.ParsePrivateKey(append(slices.Clone(private), private...))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: the error quotes it: %v", name, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %s %#v", key, key, key, key); text != strings.TrimSpace(strings.Repeat("private key "+key.Public().ID()+" ", 4)) {
		t.Errorf("a private key prints as %q", text)
	}
}

// A file may have several keys, and comments.
func TestSeveralKeysInAFile(t *testing.T) {
	first, other := newKey(t).Public(), newKey(t).Public()
	file := slices.Concat([]byte("# the release team\n"), must(first.MarshalPEM()), []byte("\n# and its spare\n"), must(other.MarshalPEM()))
	keys, err := artifacts.ParsePublicKeys(file)
	if err != nil || len(keys) != 2 || keys[0].ID() != first.ID() || keys[1].ID() != other.ID() {
		t.Errorf("%v, %v", keys, err)
	}
}

func second[T any](_ T, err error) error { return err }

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
