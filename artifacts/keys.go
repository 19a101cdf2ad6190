package artifacts

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	pemPrivate = "PRIVATE KEY" // PKCS #8, RFC 5958
	pemPublic  = "PUBLIC KEY"  // SubjectPublicKeyInfo, RFC 5280; "PKIX" in Go
)

// PublicKey is an Ed25519 key (RFC 8032) that may be trusted.
type PublicKey struct {
	key ed25519.PublicKey
	id  string
}

// PrivateKey is an Ed25519 key that signs. It has no text form but
// [PrivateKey.MarshalPEM], so that it does not end up in a log by accident.
type PrivateKey struct{ key ed25519.PrivateKey }

// GenerateKey makes a new key from the system's randomness.
func GenerateKey() (PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return PrivateKey{private}, err
}

// ParsePublicKey reads one PEM block "PUBLIC KEY", as `openssl pkey -pubout`
// writes it.
func ParsePublicKey(data []byte) (PublicKey, error) {
	der, err := decodePEM(data, pemPublic)
	if err != nil {
		return PublicKey{}, err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return PublicKey{}, fmt.Errorf("public key: %T, want Ed25519", key)
	}
	return newPublicKey(public)
}

// ParsePrivateKey reads one PEM block "PRIVATE KEY" (PKCS #8), as
// `openssl genpkey -algorithm ed25519` writes it.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	der, err := decodePEM(data, pemPrivate)
	if err != nil {
		return PrivateKey{}, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return PrivateKey{}, errors.New("private key: not PKCS #8") // the cause could quote the key
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return PrivateKey{}, fmt.Errorf("private key: %T, want Ed25519", key)
	}
	return PrivateKey{private}, nil
}

// ID is the lower-case hexadecimal SHA-256 of the key's PKIX DER: the keyid of
// its signatures.
func (k PublicKey) ID() string { return k.id }

// MarshalPEM writes what [ParsePublicKey] reads.
func (k PublicKey) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key)
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), err
}

// Public is the half that others may trust.
func (k PrivateKey) Public() PublicKey {
	public, err := newPublicKey(k.key.Public().(ed25519.PublicKey))
	if err != nil {
		return PublicKey{} // trusts and matches nothing
	}
	return public
}

// MarshalPEM writes what [ParsePrivateKey] reads. Its holder can sign releases.
func (k PrivateKey) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), err
}

// String keeps the key itself out of anything that is printed.
func (k PrivateKey) String() string { return "private key " + k.Public().ID() }

// GoString is String, for %#v.
func (k PrivateKey) GoString() string { return k.String() }

func newPublicKey(key ed25519.PublicKey) (PublicKey, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	sum := Sum(der)
	return PublicKey{key: key, id: hex.EncodeToString(sum[:])}, nil
}

func decodePEM(data []byte, want string) ([]byte, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("not PEM: want one block %q", want)
	}
	if block.Type != want {
		return nil, fmt.Errorf("a PEM block %q, want %q", block.Type, want)
	}
	return block.Bytes, nil
}
