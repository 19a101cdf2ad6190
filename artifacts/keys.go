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
// [PrivateKey.MarshalPEM], so that it does not end up in a log by accident. One that
// is kept elsewhere, as a [Remote], has none at all.
type PrivateKey struct {
	key    ed25519.PrivateKey
	remote *Remote
}

// Remote is a private key that is kept elsewhere: in a service, or in hardware.
type Remote struct {
	Public PublicKey
	// Sign returns the plain Ed25519 signature (RFC 8032) of a message, 64 bytes. What
	// it returns is verified before it is used.
	Sign func(message []byte) ([]byte, error)
	Most int // bytes of a message that it signs; 0 = any number
}

// Errors of private keys that are kept elsewhere.
var (
	ErrSigner  = errors.New("the signer failed")
	ErrTooLong = errors.New("longer than the signer takes")
)

// Key is the key as one that signs documents.
func (r Remote) Key() PrivateKey { return PrivateKey{remote: &r} }

// GenerateKey makes a new key from the system's randomness.
func GenerateKey() (PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return PrivateKey{key: private}, err
}

// ParsePublicKeys reads PEM blocks "PUBLIC KEY", as `openssl pkey -pubout` writes
// them: one or more, and nothing else that begins like one.
func ParsePublicKeys(data []byte) (keys []PublicKey, err error) {
	blocks, err := decodePEM(data, pemPublic)
	if err != nil {
		return nil, err
	}
	for _, der := range blocks {
		key, err := ParsePublicKeyDER(der)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// ParsePublicKeyDER reads a SubjectPublicKeyInfo, as KMS returns it.
func ParsePublicKeyDER(der []byte) (PublicKey, error) {
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
	return PrivateKey{key: private}, nil
}

// ID is the lower-case hexadecimal SHA-256 of the key's PKIX DER: the keyid of
// its signatures.
func (k PublicKey) ID() string { return k.id }

// Short is the first 12 digits of the ID, for people.
func (k PublicKey) Short() string { return k.id[:min(shortDigits, len(k.id))] }

// MarshalPEM writes what [ParsePublicKeys] reads.
func (k PublicKey) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key)
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), err
}

// Public is the half that others may trust.
func (k PrivateKey) Public() PublicKey {
	if k.remote != nil {
		return k.remote.Public
	}
	public, err := newPublicKey(k.key.Public().(ed25519.PublicKey))
	if err != nil {
		return PublicKey{} // trusts and matches nothing
	}
	return public
}

// takes is [ErrTooLong] where the key cannot sign a message of n bytes.
func (k PrivateKey) takes(n int) error {
	if k.remote != nil && k.remote.Most > 0 && n > k.remote.Most {
		return fmt.Errorf("%d bytes to sign are %w: at most %d", n, ErrTooLong, k.remote.Most)
	}
	return nil
}

// sign is the signature of a message. One from elsewhere is verified.
func (k PrivateKey) sign(message []byte) ([]byte, error) {
	if k.remote == nil {
		return ed25519.Sign(k.key, message), nil
	}
	if err := k.takes(len(message)); err != nil {
		return nil, err
	}
	signature, err := k.remote.Sign(message)
	switch {
	case err != nil:
		return nil, err
	case len(signature) != ed25519.SignatureSize:
		return nil, fmt.Errorf("%w: it returned %d bytes, want a signature of %d", ErrSigner, len(signature), ed25519.SignatureSize)
	case len(k.remote.Public.key) != ed25519.PublicKeySize || !ed25519.Verify(k.remote.Public.key, message, signature):
		return nil, fmt.Errorf("%w: its signature is not one of key %s", ErrSigner, k.remote.Public.ID())
	}
	return signature, nil
}

// MarshalPEM writes what [ParsePrivateKey] reads. Its holder can sign releases. A key
// that is kept elsewhere cannot be written.
func (k PrivateKey) MarshalPEM() ([]byte, error) {
	if k.remote != nil {
		return nil, errors.New("the private key is kept elsewhere")
	}
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
