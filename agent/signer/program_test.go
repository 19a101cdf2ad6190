package signer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"koboshi/artifacts"
)

// script writes a shell script that signs.
func script(t *testing.T, body string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "signer")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+body), 0o700); err != nil { //nolint:gosec // it is executed
		t.Fatal(err)
	}
	return name
}

// pair is a key in a directory, as release.key and release.pub.
func pair(t *testing.T) (dir string, key artifacts.PrivateKey) {
	t.Helper()
	dir = t.TempDir()
	key, err := artifacts.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"release.key": private, "release.pub": public} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, key
}

// withOpenSSL signs as the topic security shows it.
const withOpenSSL = `set -eu
cd "$KEYS"
case $1 in
public-key) exec openssl pkey -in release.key -pubout ;;
sign)
	message=$(mktemp)
	trap 'rm -f "$message"' EXIT
	cat >"$message"
	openssl pkeyutl -sign -inkey release.key -rawin -in "$message" | base64 -w0 ;;
esac
`

func document() artifacts.Pointer {
	return artifacts.Pointer{Schema: 1, App: "web", Channel: "stable", Sequence: 1, Version: "1.0", ManifestSHA256: artifacts.Sum([]byte("m")), Issued: issued}
}

// A program's signature is the one that the key itself makes.
func TestProgram(t *testing.T) {
	dir, key := pair(t)
	t.Setenv("KEYS", dir)
	remote, err := Program(t.Context(), script(t, withOpenSSL))
	if err != nil {
		t.Fatal(err)
	}
	if remote.Public().ID() != key.Public().ID() {
		t.Errorf("key id %s, want %s", remote.Public().ID(), key.Public().ID())
	}
	got, err := document().Sign(remote)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := document().Sign(key); err != nil || string(got) != string(want) {
		t.Errorf("signed\n%s\nwant\n%s (%v)", got, want, err)
	}
	if _, err := remote.MarshalPEM(); err == nil {
		t.Error("a key that is kept elsewhere was written")
	}
}

func TestProgramsThatDoNotSign(t *testing.T) {
	dir, _ := pair(t)
	other, _ := pair(t)
	t.Setenv("KEYS", dir)
	t.Setenv("OTHER", other)
	const public = `[ "$1" = public-key ] && exec cat "$KEYS/release.pub"
`
	for name, tt := range map[string]struct{ body, want string }{
		"63 bytes":              {public + `head -c 63 /dev/zero | base64 -w0`, "the signer failed: it returned 63 bytes, want a signature of 64"},
		"65 bytes":              {public + `head -c 65 /dev/zero | base64 -w0`, "the signer failed: it returned 65 bytes, want a signature of 64"},
		"zeros":                 {public + `head -c 64 /dev/zero | base64 -w0`, "the signer failed: its signature is not one of key "},
		"another key":           {public + `cat >$OTHER/m; openssl pkeyutl -sign -inkey $OTHER/release.key -rawin -in $OTHER/m | base64 -w0`, "its signature is not one of key "},
		"nothing":               {public + `exit 0`, "sign has printed 0 bytes, want a signature of 64 bytes in base64"},
		"no base64":             {public + `echo hunter2!`, "sign has printed 9 bytes, want a signature of 64 bytes in base64"},
		"too much":              {public + `exec cat /dev/zero | head -c 10000000`, "sign has printed more than 4096 bytes"},
		"an error":              {public + `echo hunter2; echo "no token in the slot" >&2; exit 1`, "sign: run "},
		"no public key":         {`exit 0`, "public-key: not PEM"},
		"a private key":         {`exec cat "$KEYS/release.key"`, `public-key: a PEM block "PRIVATE KEY", want "PUBLIC KEY"`},
		"two public keys":       {`exec cat "$KEYS/release.pub" "$OTHER/release.pub"`, "public-key: more than one public key"},
		"an error for that":     {`echo "vault is sealed" >&2; exit 2`, "signer: exit status 2: vault is sealed"},
		"an RSA key":            {`openssl genrsa 1024 2>/dev/null | openssl rsa -pubout 2>/dev/null`, "want Ed25519"},
		"a public key too long": {`exec yes`, "public-key has printed more than 4096 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := Program(t.Context(), script(t, tt.body))
			if err == nil {
				_, err = document().Sign(key)
			}
			if !errors.Is(err, artifacts.ErrSigner) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n")) {
				t.Errorf("the error has what was printed: %v", err)
			}
		})
	}
	for _, name := range []string{filepath.Join(dir, "none"), "koboshi-no-such-program", dir} {
		if _, err := Program(t.Context(), name); !errors.Is(err, ErrNoProgram) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A program that hangs is ended with us, and after its time.
func TestProgramThatHangs(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	dir := t.TempDir()
	t.Setenv("KEYS", dir)
	stopped := errors.New("stopped")
	ended := make(chan error, 1)
	name := script(t, `echo begun >"$KEYS/begun"; exec sleep 1000`)
	if err := fifo(filepath.Join(dir, "begun")); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := Program(ctx, name)
		ended <- err
	}()
	if _, err := os.ReadFile(filepath.Join(dir, "begun")); err != nil {
		t.Fatal(err)
	}
	cancel(stopped)
	if err := <-ended; !errors.Is(err, stopped) {
		t.Errorf("%v, want %v", err, stopped)
	}
	slow := program{script(t, `[ "$1" = public-key ] && exec cat "$KEYS/release.pub"; exec sleep 1000`), 50 * time.Millisecond}
	if _, err := slow.call(t.Context(), askSign, nil); !errors.Is(err, artifacts.ErrSigner) || !strings.Contains(err.Error(), "not finished after 50ms") {
		t.Errorf("%v, want the limit", err)
	}
}

var issued = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func fifo(name string) error { return syscall.Mkfifo(name, 0o600) }
