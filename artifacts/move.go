package artifacts

import (
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// MaxReason bounds the reason of a promotion, in bytes.
const MaxReason = 200

// Move is one entry of a channel's history: what a promotion made of the channel, and
// for what reason. It is written before the pointer, so it says what was to be; that
// it was, the pointer says, or the From of a later one.
type Move struct {
	Schema  int       `json:"schema"`
	App     string    `json:"app"`
	Channel string    `json:"channel"`
	At      time.Time `json:"at"`            // as issued of the pointer
	From    *Position `json:"from,omitzero"` // nil where the channel was new
	To      Position  `json:"to"`
	Reason  string    `json:"reason,omitzero"`
}

// Position is what a pointer pointed to. Sequence and Payload are which pointer.
type Position struct {
	Sequence       int64  `json:"sequence"`
	Payload        Digest `json:"payload_sha256"`
	Version        string `json:"version"`
	ManifestSHA256 Digest `json:"manifest_sha256"`
	Next           *Next  `json:"next,omitzero"`
}

// At is the pointer of the position.
func (p Position) At() Sequence { return Sequence{Number: p.Sequence, Payload: p.Payload} }

// VerifiedMove is an entry that enough trusted keys have signed, for the app, the
// channel and the pointer that were asked for.
type VerifiedMove struct {
	move Move
	by   []string
}

// Move is the entry itself.
func (v *VerifiedMove) Move() Move { return v.move }

// By is the ids of the trusted keys that have signed it.
func (v *VerifiedMove) By() []string { return v.by }

// Position is what the pointer points to.
func (v *VerifiedPointer) Position() Position {
	p := v.pointer
	return Position{Sequence: p.Sequence, Payload: v.payload, Version: p.Version, ManifestSHA256: p.ManifestSHA256, Next: p.Next}
}

// Position is what the pointer will point to once it is signed.
func (p Pointer) Position() (Position, error) {
	payload, err := json.Marshal(p)
	return Position{Sequence: p.Sequence, Payload: Sum(payload), Version: p.Version, ManifestSHA256: p.ManifestSHA256, Next: p.Next}, err
}

// Move verifies the bytes of an entry and that its key is for it: see [MoveKey].
// Errors are [ErrUntrusted] or [ErrTooOld].
func (t Trust) Move(envelope []byte, app, channel, key string) (*VerifiedMove, error) {
	payload, by, err := t.openSigned(envelope, kindMove, MaxMoveBytes)
	if err != nil {
		return nil, err
	}
	if err := t.checkHeader(payload); err != nil {
		return nil, err
	}
	var m Move
	if err := unmarshalStrict(payload, &m); err != nil {
		return nil, untrusted("%w", err)
	}
	if err := m.Validate(); err != nil {
		return nil, untrusted("%w", err)
	}
	if m.App != app || m.Channel != channel || MoveKey(channel, m.To.At()) != key {
		return nil, untrusted("the entry is for sequence %d of channel %s of %s", m.To.Sequence, m.Channel, m.App)
	}
	return &VerifiedMove{m, by}, nil
}

// Sign validates the entry and wraps it in an envelope signed by every key.
func (m Move) Sign(keys ...PrivateKey) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return sign(kindMove, payload, keys...)
}

// Validate checks the entry against its grammar and bounds.
func (m Move) Validate() error {
	for _, err := range []error{CheckName(m.App), CheckName(m.Channel), CheckReason(m.Reason), checkTime("at", m.At, true), m.To.validate()} {
		if err != nil {
			return err
		}
	}
	if m.Schema != Schema {
		return fmt.Errorf("schema %d, want %d", m.Schema, Schema)
	}
	if m.From == nil {
		return nil
	}
	if err := m.From.validate(); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if m.From.Sequence >= m.To.Sequence {
		return fmt.Errorf("from sequence %d to %d", m.From.Sequence, m.To.Sequence)
	}
	return nil
}

func (p Position) validate() error {
	if err := CheckVersion(p.Version); err != nil {
		return err
	}
	if p.Sequence < 1 || p.Payload == (Digest{}) || p.ManifestSHA256 == (Digest{}) {
		return fmt.Errorf("want a sequence of at least 1, a payload_sha256 and a manifest_sha256")
	}
	return p.Next.validate()
}

// CheckReason accepts a reason of a promotion: one line of at most [MaxReason] bytes.
func CheckReason(text string) error {
	if len(text) > MaxReason {
		return fmt.Errorf("a reason of %d bytes, want at most %d", len(text), MaxReason)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("the reason is not UTF-8")
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("the reason has the character %q, want one line of text", r)
		}
	}
	return nil
}
