package artifacts

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Sentinels of documents that were read but not accepted.
var (
	ErrUntrusted = errors.New("verification failed") // signature, binding, strict parse, sequence
	ErrExpired   = errors.New("has expired")
	ErrTooOld    = errors.New("this agent is too old")
)

// Trust is what this machine accepts: public keys and how many of them must have
// signed. The zero Trust accepts nothing.
type Trust struct {
	verifier  *dsse.EnvelopeVerifier
	promoters *dsse.EnvelopeVerifier // of what moves a channel; nil = verifier is
	agent     string
}

// NewTrust accepts documents that at least threshold of the distinct keys have
// signed. agent is this agent's own version, for min_agent. No key, and a
// threshold below 1 or above the number of keys, is an error: trust fails closed.
func NewTrust(agent string, threshold int, keys ...PublicKey) (Trust, error) {
	verifier, err := newVerifier(threshold, keys)
	if err != nil {
		return Trust{}, err
	}
	return Trust{verifier: verifier, agent: agent}, nil
}

// WithPromoters is the trust where pointers, and the entries of a channel's history, are
// accepted only if at least threshold of these keys have signed them, and manifests as
// before: who publishes cannot move a channel, and who moves it cannot publish. Errors
// are those of [NewTrust].
func (t Trust) WithPromoters(threshold int, keys ...PublicKey) (Trust, error) {
	verifier, err := newVerifier(threshold, keys)
	if err != nil || t.verifier == nil {
		return Trust{}, errors.Join(err, t.nothing())
	}
	t.promoters = verifier
	return t, nil
}

// nothing is the error of the zero Trust.
func (t Trust) nothing() error {
	if t.verifier == nil {
		return untrusted("no trusted key")
	}
	return nil
}

// of is what verifies a kind of document.
func (t Trust) of(kind string) *dsse.EnvelopeVerifier {
	if t.promoters != nil && kind != kindManifest {
		return t.promoters
	}
	return t.verifier
}

func newVerifier(threshold int, keys []PublicKey) (*dsse.EnvelopeVerifier, error) {
	var verifiers []dsse.Verifier
	seen := map[string]bool{}
	for _, k := range keys {
		if !seen[k.ID()] {
			seen[k.ID()] = true
			verifiers = append(verifiers, signature{public: k})
		}
	}
	if len(verifiers) == 0 {
		return nil, errors.New("no trusted key")
	}
	if threshold < 1 || threshold > len(verifiers) {
		return nil, fmt.Errorf("threshold %d with %d distinct keys", threshold, len(verifiers))
	}
	return dsse.NewMultiEnvelopeVerifier(threshold, verifiers...)
}

// open yields the payload of an envelope that enough keys have signed and that
// is of the kind the caller expects ("pointer", "manifest").
func (t Trust) open(data []byte, kind string, limit int) ([]byte, error) {
	payload, _, err := t.openSigned(data, kind, limit)
	return payload, err
}

// openSigned is open with the ids of the trusted keys that have signed, in order.
func (t Trust) openSigned(data []byte, kind string, limit int) (payload []byte, by []string, err error) {
	if err := t.nothing(); err != nil {
		return nil, nil, err
	}
	if len(data) > limit {
		return nil, nil, untrusted("%d bytes, at most %d are read", len(data), limit)
	}
	envelope, err := parseEnvelope(data)
	if err != nil {
		return nil, nil, untrusted("envelope: %w", err)
	}
	keys, payload, err := t.of(kind).VerifyAndDecode(context.Background(), envelope)
	if err != nil {
		return nil, nil, untrusted("signature: %w", err)
	}
	for _, k := range keys {
		by = append(by, k.KeyID)
	}
	slices.Sort(by)
	return payload, by, checkPayloadType(envelope.PayloadType, kind)
}

// sign wraps payload of the given kind in an envelope with one signature of
// each key.
func sign(kind string, payload []byte, keys ...PrivateKey) ([]byte, error) {
	message := dsse.PAE(payloadType(kind), payload)
	signers := make([]dsse.Signer, len(keys))
	for i, k := range keys {
		if err := k.takes(len(message)); err != nil { // before any of them is asked
			return nil, err
		}
		signers[i] = signature{public: k.Public(), private: k}
	}
	signer, err := dsse.NewEnvelopeSigner(signers...)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	envelope, err := signer.SignPayload(context.Background(), payloadType(kind), payload)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return marshalEnvelope(envelope)
}

// AddSignature adds the signature of each key to an existing envelope, whose
// payload stays as it is. A key that has signed already adds nothing; a
// signature that only claims to be its own is replaced.
func AddSignature(data []byte, keys ...PrivateKey) ([]byte, error) {
	envelope, err := parseEnvelope(data)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	message := dsse.PAE(envelope.PayloadType, payload)
	for _, k := range keys {
		signed, err := k.sign(message)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		own := dsse.Signature{KeyID: k.Public().ID(), Sig: base64.StdEncoding.EncodeToString(signed)}
		i := slices.IndexFunc(envelope.Signatures, func(s dsse.Signature) bool { return s.KeyID == own.KeyID })
		if i < 0 {
			envelope.Signatures = append(envelope.Signatures, own)
		} else {
			envelope.Signatures[i] = own
		}
	}
	return marshalEnvelope(envelope)
}

// RemoveSignature takes the signatures of a key out of an envelope, whose payload stays
// as it is, and returns how many there were: those that have its id and, where the key
// is among the known ones, those that it verifies under any name.
func RemoveSignature(data []byte, id string, known ...PublicKey) ([]byte, int, error) {
	envelope, err := parseEnvelope(data)
	if err != nil {
		return nil, 0, fmt.Errorf("envelope: %w", err)
	}
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		return nil, 0, fmt.Errorf("envelope: %w", err)
	}
	message := dsse.PAE(envelope.PayloadType, payload)
	before := len(envelope.Signatures)
	envelope.Signatures = slices.DeleteFunc(envelope.Signatures, func(s dsse.Signature) bool {
		signed, err := base64.StdEncoding.DecodeString(s.Sig)
		return s.KeyID == id || err == nil && slices.ContainsFunc(known, func(k PublicKey) bool { return k.ID() == id && ed25519.Verify(k.key, message, signed) })
	})
	data, err = marshalEnvelope(envelope)
	return data, before - len(envelope.Signatures), err
}

// signature adapts an Ed25519 key to the DSSE library.
type signature struct {
	public  PublicKey
	private PrivateKey
}

func (s signature) KeyID() (string, error)   { return s.public.ID(), nil }
func (s signature) Public() crypto.PublicKey { return s.public.key }

func (s signature) Sign(_ context.Context, data []byte) ([]byte, error) {
	return s.private.sign(data)
}

func (s signature) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(s.public.key, data, sig) {
		return errors.New("signature does not hold")
	}
	return nil
}

func untrusted(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUntrusted, fmt.Errorf(format, args...))
}
