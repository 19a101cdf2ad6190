package artifacts

import (
	"fmt"
	"regexp"

	"github.com/go-json-experiment/json"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Limits on what is read of a document: bytes of its envelope, and signatures.
// Every signature may have to be tried with every key, over the whole payload,
// so a document with more of them is malformed before the first is tried.
const (
	MaxPointerBytes  = 64 << 10
	MaxMoveBytes     = 16 << 10
	MaxManifestBytes = 4 << 20
	MaxSignatures    = 16
)

// Schema is the only document schema that this agent reads and writes.
const Schema = 1

const (
	kindPointer  = "pointer"
	kindManifest = "manifest"
	kindMove     = "move"
)

var payloadTypes = regexp.MustCompile(`^application/vnd\.koboshi\.(pointer|manifest|move)\.v([1-9][0-9]{0,3})\+json$`)

func payloadType(kind string) string {
	return fmt.Sprintf("application/vnd.koboshi.%s.v%d+json", kind, Schema)
}

// checkPayloadType is called only after the signatures are verified: the type is
// part of what was signed, so a newer type really was published for newer agents.
func checkPayloadType(got, kind string) error {
	if got == payloadType(kind) {
		return nil
	}
	if m := payloadTypes.FindStringSubmatch(got); m != nil && m[1] == kind {
		return fmt.Errorf("%w: the document is a %s of version %s", ErrTooOld, kind, m[2])
	}
	return untrusted("payload type %q, want %q", clip(got), payloadType(kind))
}

// The DSSE library's own type reads loosely; this one refuses what is not in
// the specification (https://github.com/secure-systems-lab/dsse).
type envelopeJSON struct {
	PayloadType string          `json:"payloadType"`
	Payload     string          `json:"payload"`
	Signatures  []signatureJSON `json:"signatures"`
}

type signatureJSON struct {
	KeyID string `json:"keyid,omitzero"`
	Sig   string `json:"sig"`
}

func parseEnvelope(data []byte) (*dsse.Envelope, error) {
	var e envelopeJSON
	if err := unmarshalStrict(data, &e); err != nil {
		return nil, err
	}
	if err := checkCount(len(e.Signatures)); err != nil {
		return nil, err
	}
	envelope := &dsse.Envelope{PayloadType: e.PayloadType, Payload: e.Payload}
	for _, s := range e.Signatures {
		envelope.Signatures = append(envelope.Signatures, dsse.Signature(s))
	}
	return envelope, nil
}

func checkCount(signatures int) error {
	if signatures > MaxSignatures {
		return fmt.Errorf("%d signatures, at most %d are read", signatures, MaxSignatures)
	}
	return nil
}

// marshalEnvelope refuses what parseEnvelope would not read.
func marshalEnvelope(envelope *dsse.Envelope) ([]byte, error) {
	if err := checkCount(len(envelope.Signatures)); err != nil {
		return nil, err
	}
	e := envelopeJSON{PayloadType: envelope.PayloadType, Payload: envelope.Payload}
	for _, s := range envelope.Signatures {
		e.Signatures = append(e.Signatures, signatureJSON(s))
	}
	return json.Marshal(e)
}

// unmarshalStrict refuses duplicate, unknown and case-variant keys, invalid
// UTF-8 and trailing data.
func unmarshalStrict(data []byte, out any) error {
	return json.Unmarshal(data, out, json.RejectUnknownMembers(true))
}

// header is the part of every payload that is read first, and leniently, so that
// a document for newer agents is not mistaken for a forged one.
type header struct {
	Schema   int    `json:"schema"`
	MinAgent string `json:"min_agent"`
}

func (t Trust) checkHeader(payload []byte) error {
	var h header
	if err := json.Unmarshal(payload, &h); err != nil {
		return untrusted("%w", err)
	}
	if h.Schema > Schema {
		return fmt.Errorf("%w: the document has schema %d, this agent reads %d", ErrTooOld, h.Schema, Schema)
	}
	if h.Schema < 1 {
		return untrusted("schema %d", h.Schema)
	}
	return t.checkMinAgent(h.MinAgent)
}
