// Package kms is the part of Key Management Service that signs: keys are made, described,
// given an alias, disabled, and sign messages, with the limits and rules of each kind.
package kms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"time"

	"koboshi/agent/awstest/account"
	"koboshi/agent/awstest/jsonrpc"
)

// The kinds of keys that can be made.
const (
	Ed25519   = "ECC_NIST_EDWARDS25519"
	P256      = "ECC_NIST_P256"
	Symmetric = "SYMMETRIC_DEFAULT"
)

const (
	signVerify     = "SIGN_VERIFY"
	encryptDecrypt = "ENCRYPT_DECRYPT"

	plain   = "ED25519_SHA_512"    // over the message: RAW
	hashed  = "ED25519_PH_SHA_512" // over a digest, which is hashed again: DIGEST
	onCurve = "ECDSA_SHA_256"

	raw    = "RAW"
	digest = "DIGEST"
)

// MaxMessage is the longest message that is signed, in bytes.
const MaxMessage = 4096

// Store has the keys of all regions.
type Store struct {
	now     func() time.Time
	mu      sync.Mutex
	keys    map[string]*key // by id
	aliases map[string]string
	spoil   func(signature []byte) []byte
}

type key struct {
	id, region, spec, usage, description string
	made                                 time.Time
	disabled                             bool
	private                              crypto.Signer // nil where it is symmetric
}

// New is a store without keys.
func New(now func() time.Time) *Store {
	return &Store{now: now, keys: map[string]*key{}, aliases: map[string]string{}}
}

// Make makes a key of a kind in a region, with an alias, "alias/NAME". It returns the
// key's ARN.
func (s *Store) Make(region, spec, alias string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	usage := signVerify
	if spec == Symmetric {
		usage = encryptDecrypt
	}
	k, err := s.make(region, spec, usage, "")
	if err != nil {
		return "", err
	}
	s.aliases[region+" "+alias] = k.id
	return k.arn(), nil
}

// Spoil changes each signature on its way out, as no KMS does; nil stops that.
func (s *Store) Spoil(change func(signature []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoil = change
}

// API is the service over the store.
func (s *Store) API() *jsonrpc.API {
	return jsonrpc.New("TrentService", &s.mu, map[string]jsonrpc.Action{
		"CreateKey":    s.create,
		"CreateAlias":  s.alias,
		"DescribeKey":  s.describe,
		"DisableKey":   s.able(true),
		"EnableKey":    s.able(false),
		"GetPublicKey": s.publicKey,
		"Sign":         s.sign,
	})
}

func refuse(code, format string, args ...any) error {
	return &jsonrpc.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (s *Store) create(r jsonrpc.Request) (any, error) {
	in := struct{ KeySpec, KeyUsage, Description string }{KeySpec: Symmetric, KeyUsage: encryptDecrypt}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	k, err := s.make(r.Region, in.KeySpec, in.KeyUsage, in.Description)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": k.metadata()}, nil
}

func (s *Store) make(region, spec, usage, description string) (*key, error) {
	k := &key{id: fmt.Sprintf("00000000-0000-4000-8000-%012d", len(s.keys)+1), region: region, spec: spec, usage: usage, description: description, made: s.now()}
	var err error
	switch spec {
	case Ed25519:
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	case P256:
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case Symmetric:
	default:
		return nil, refuse("ValidationException", "1 validation error detected: Value '%s' at 'keySpec' failed to satisfy constraint", spec)
	}
	if err != nil {
		return nil, err
	}
	if (k.private != nil) != (usage == signVerify) {
		return nil, refuse("ValidationException", "KeyUsage %s is not compatible with KeySpec %s", usage, spec)
	}
	s.keys[k.id] = k
	return k, nil
}

func (k *key) arn() string { return "arn:aws:kms:" + k.region + ":" + account.ID + ":key/" + k.id }

func (k *key) metadata() map[string]any {
	state := "Enabled"
	if k.disabled {
		state = "Disabled"
	}
	out := map[string]any{
		"AWSAccountId": account.ID, "KeyId": k.id, "Arn": k.arn(), "CreationDate": float64(k.made.UnixMilli()) / 1000, "Enabled": !k.disabled, "Description": k.description,
		"KeyUsage": k.usage, "KeyState": state, "Origin": "AWS_KMS", "KeyManager": "CUSTOMER", "KeySpec": k.spec, "CustomerMasterKeySpec": k.spec, "MultiRegion": false,
	}
	if k.private != nil {
		out["SigningAlgorithms"] = k.algorithms()
	}
	return out
}

func (k *key) algorithms() []string {
	if k.spec == Ed25519 {
		return []string{plain, hashed}
	}
	return []string{onCurve}
}

// find is a key by its id, its ARN, an alias or the ARN of one.
func (s *Store) find(r jsonrpc.Request, id string) (*key, error) {
	name := id
	if prefix := "arn:aws:kms:" + r.Region + ":" + account.ID + ":"; strings.HasPrefix(id, prefix) {
		name = strings.TrimPrefix(strings.TrimPrefix(id, prefix), "key/")
	} else if strings.HasPrefix(id, "arn:") {
		return nil, refuse("InvalidArnException", "Invalid arn %s", r.Region)
	}
	if target, found := s.aliases[r.Region+" "+name]; found {
		name = target
	}
	k := s.keys[name]
	switch {
	case k != nil && k.region == r.Region:
		return k, nil
	case strings.HasPrefix(name, "alias/"):
		return nil, refuse("NotFoundException", "Alias arn:aws:kms:%s:%s:%s is not found.", r.Region, account.ID, name)
	}
	return nil, refuse("NotFoundException", "Key 'arn:aws:kms:%s:%s:key/%s' does not exist", r.Region, account.ID, name)
}

// named reads the parameter that all actions have, and finds the key.
func (s *Store) named(r jsonrpc.Request) (*key, error) {
	var in struct {
		KeyID string `json:"KeyId"`
	}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	return s.find(r, in.KeyID)
}

func (s *Store) alias(r jsonrpc.Request) (any, error) {
	var in struct {
		AliasName   string
		TargetKeyID string `json:"TargetKeyId"`
	}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(in.AliasName, "alias/") || strings.HasPrefix(in.AliasName, "alias/aws/") {
		return nil, refuse("ValidationException", "Invalid identifier")
	}
	k, err := s.find(r, in.TargetKeyID)
	if err != nil {
		return nil, err
	}
	if _, taken := s.aliases[r.Region+" "+in.AliasName]; taken {
		return nil, refuse("AlreadyExistsException", "An alias with the name arn:aws:kms:%s:%s:%s already exists", r.Region, account.ID, in.AliasName)
	}
	s.aliases[r.Region+" "+in.AliasName] = k.id
	return map[string]any{}, nil
}

func (s *Store) describe(r jsonrpc.Request) (any, error) {
	k, err := s.named(r)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": k.metadata()}, nil
}

func (s *Store) able(disabled bool) jsonrpc.Action {
	return func(r jsonrpc.Request) (any, error) {
		k, err := s.named(r)
		if err != nil {
			return nil, err
		}
		k.disabled = disabled
		return map[string]any{}, nil
	}
}

func (k *key) usable() error {
	if k.disabled {
		return refuse("DisabledException", "%s is disabled.", k.arn())
	}
	return nil
}

func (s *Store) publicKey(r jsonrpc.Request) (any, error) {
	k, err := s.named(r)
	if err != nil {
		return nil, err
	}
	if err := k.usable(); err != nil {
		return nil, err
	}
	if k.private == nil {
		return nil, refuse("UnsupportedOperationException", "")
	}
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyId": k.arn(), "PublicKey": der, "KeySpec": k.spec, "CustomerMasterKeySpec": k.spec, "KeyUsage": k.usage, "SigningAlgorithms": k.algorithms()}, nil
}

func (s *Store) sign(r jsonrpc.Request) (any, error) {
	in := struct {
		KeyID            string `json:"KeyId"`
		Message          []byte
		MessageType      string
		SigningAlgorithm string
		DryRun           bool
	}{MessageType: raw}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	switch n := len(in.Message); {
	case n == 0:
		return nil, refuse("ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case n > MaxMessage:
		return nil, refuse("ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to %d", MaxMessage)
	}
	k, err := s.find(r, in.KeyID)
	if err != nil {
		return nil, err
	}
	if err := k.usable(); err != nil {
		return nil, err
	}
	if k.usage != signVerify {
		return nil, refuse("InvalidKeyUsageException", "%s key usage is %s which is not valid for Sign.", k.arn(), k.usage)
	}
	signature, err := k.sign(in.Message, in.MessageType, in.SigningAlgorithm)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, refuse("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
	}
	if s.spoil != nil {
		signature = s.spoil(signature)
	}
	return map[string]any{"KeyId": k.arn(), "Signature": signature, "SigningAlgorithm": in.SigningAlgorithm}, nil
}

// sign follows the rules that AWS documents: ED25519_SHA_512 takes RAW alone,
// ED25519_PH_SHA_512 takes DIGEST alone and hashes it again, and a digest has the length
// of the algorithm's hash.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
func (k *key) sign(message []byte, kind, algorithm string) ([]byte, error) {
	lengths := map[string]int{plain: sha512.Size, hashed: sha512.Size, onCurve: sha256.Size}
	switch {
	case kind != raw && kind != digest:
		return nil, refuse("ValidationException", "1 validation error detected: Value '%s' at 'messageType' failed to satisfy constraint: Member must satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]", kind)
	case k.spec == P256 && algorithm != onCurve || k.spec == Ed25519 && algorithm != plain && algorithm != hashed:
		return nil, refuse("InvalidKeyUsageException", "Algorithm %s and key spec %s are incompatible.", algorithm, k.spec)
	case algorithm == plain && kind != raw, algorithm == hashed && kind != digest:
		return nil, refuse("ValidationException", "MessageType %s is not valid for %s", kind, algorithm)
	case kind == digest && len(message) != lengths[algorithm]:
		return nil, refuse("ValidationException", "Digest is invalid length for algorithm %s.", algorithm)
	}
	switch algorithm {
	case plain:
		return k.private.Sign(rand.Reader, message, crypto.Hash(0))
	case hashed:
		sum := sha512.Sum512(message)
		return k.private.Sign(rand.Reader, sum[:], &ed25519.Options{Hash: crypto.SHA512})
	}
	if kind == raw {
		sum := sha256.Sum256(message)
		message = sum[:]
	}
	return k.private.Sign(rand.Reader, message, crypto.SHA256)
}
