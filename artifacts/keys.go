package artifacts

import (
	"bytes"
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

// ParsePublicKeys reads PEM blocks "PUBLIC KEY", as `openssl pkey -pubout` writes
// them: one or more, and nothing else that begins like one.
func ParsePublicKeys(data []byte) (keys []PublicKey, err error) {
	blocks, err := decodePEM(data, pemPublic)
	if err != nil {
		return nil, err
	}
	for _, der := range blocks {
		key, err := parsePublicKey(der)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parsePublicKey(der []byte) (PublicKey, error) {
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
	blocks, err := decodePEM(data, pemPrivate)
	if err != nil {
		return PrivateKey{}, err
	}
	if len(blocks) > 1 {
		return PrivateKey{}, errors.New("private key: more than one in the file; give each a file of its own")
	}
	key, err := x509.ParsePKCS8PrivateKey(blocks[0])
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

// MarshalPEM writes what [ParsePublicKeys] reads.
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

// decodePEM returns every block. A block that is damaged is an error: encoding/pem
// would skip it.
func decodePEM(data []byte, want string) (blocks [][]byte, err error) {
	begun := bytes.Count(data, []byte("-----BEGIN "))
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != want {
			return nil, fmt.Errorf("a PEM block %q, want %q", block.Type, want)
		}
		blocks = append(blocks, block.Bytes)
	}
	switch {
	case len(blocks) == 0:
		return nil, fmt.Errorf("not PEM: want a block %q with its line breaks", want)
	case len(blocks) != begun:
		return nil, fmt.Errorf("a PEM block %q is damaged", want)
	}
	return blocks, nil
}
