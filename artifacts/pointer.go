package artifacts

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// MaxSpread bounds spread_seconds.
const MaxSpread = 24 * time.Hour

// Pointer points to the current release of a channel.
type Pointer struct {
	Schema         int       `json:"schema"`
	App            string    `json:"app"`
	Channel        string    `json:"channel"`
	Sequence       int64     `json:"sequence"` // only grows, per channel
	Version        string    `json:"version"`
	ManifestSHA256 Digest    `json:"manifest_sha256"` // of the manifest's envelope, every byte of it
	Issued         time.Time `json:"issued"`
	Expires        time.Time `json:"expires,omitzero"`
	SpreadSeconds  int64     `json:"spread_seconds,omitzero"` // widens re-syncs, never a launch
	Next           *Next     `json:"next,omitzero"`
}

// Next is a release that a share of the instances gets in place of the pointer's
// own: see [Pointer.Choose].
type Next struct {
	Version        string `json:"version"`
	ManifestSHA256 Digest `json:"manifest_sha256"`
	Percent        int    `json:"percent"` // of the fleet, 0 to 100
}

// VerifiedPointer is a pointer that enough trusted keys have signed for the
// app and channel that were asked for. [Sequence.Admit] and
// [VerifiedPointer.CheckExpiry] check whether it is recent enough.
type VerifiedPointer struct {
	pointer  Pointer
	envelope []byte
	payload  Digest
}

// Pointer verifies the bytes of a pointer's envelope and its binding to app and
// channel. Errors are [ErrUntrusted] or [ErrTooOld].
func (t Trust) Pointer(envelope []byte, app, channel string) (*VerifiedPointer, error) {
	payload, err := t.open(envelope, kindPointer, MaxPointerBytes)
	if err != nil {
		return nil, err
	}
	if err := t.checkHeader(payload); err != nil {
		return nil, err
	}
	var p Pointer
	if err := unmarshalStrict(payload, &p); err != nil {
		return nil, untrusted("%w", err)
	}
	if err := p.Validate(); err != nil {
		return nil, untrusted("%w", err)
	}
	if p.App != app || p.Channel != channel {
		return nil, untrusted("the pointer is for channel %s of %s, want %s of %s", p.Channel, p.App, channel, app)
	}
	return &VerifiedPointer{pointer: p, envelope: envelope, payload: Sum(payload)}, nil
}

// Sign validates the pointer and wraps it in an envelope signed by every key.
func (p Pointer) Sign(keys ...PrivateKey) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return sign(kindPointer, payload, keys...)
}

// Pointer is the document itself.
func (v *VerifiedPointer) Pointer() Pointer { return v.pointer }

// Envelope is the bytes that were verified.
func (v *VerifiedPointer) Envelope() []byte { return v.envelope }

// Sequence is the pointer's place in its channel's history.
func (v *VerifiedPointer) Sequence() Sequence {
	return Sequence{Number: v.pointer.Sequence, Payload: v.payload}
}

// Choose is [Pointer.Choose] of the verified pointer.
func (v *VerifiedPointer) Choose(instance string) Reference { return v.pointer.Choose(instance) }

// CheckExpiry is [ErrExpired] once the pointer has expired.
func (v *VerifiedPointer) CheckExpiry(now time.Time) error {
	if e := v.pointer.Expires; !e.IsZero() && !now.Before(e) {
		return fmt.Errorf("channel %s %w on %s", v.pointer.Channel, ErrExpired, e.Format(time.RFC3339))
	}
	return nil
}

// Validate checks the pointer against its grammar and bounds.
func (p Pointer) Validate() error {
	for _, err := range []error{CheckName(p.App), CheckName(p.Channel), CheckVersion(p.Version), p.Next.validate(),
		checkTime("issued", p.Issued, true), checkTime("expires", p.Expires, false)} {
		if err != nil {
			return err
		}
	}
	switch {
	case p.Schema != Schema:
		return fmt.Errorf("schema %d, want %d", p.Schema, Schema)
	case p.Sequence < 1:
		return fmt.Errorf("sequence %d, want at least 1", p.Sequence)
	case p.ManifestSHA256 == Digest{}:
		return fmt.Errorf("manifest_sha256 is missing")
	case !p.Expires.IsZero() && !p.Expires.After(p.Issued):
		return fmt.Errorf("expires %s is not after issued %s", p.Expires.Format(time.RFC3339), p.Issued.Format(time.RFC3339))
	case p.SpreadSeconds < 0 || p.SpreadSeconds > int64(MaxSpread/time.Second):
		return fmt.Errorf("spread_seconds %d, want 0 to %d", p.SpreadSeconds, int64(MaxSpread/time.Second))
	}
	return nil
}

func (n *Next) validate() error {
	if n == nil {
		return nil
	}
	if err := CheckVersion(n.Version); err != nil {
		return fmt.Errorf("next: %w", err)
	}
	if n.Percent < 0 || n.Percent > 100 || n.ManifestSHA256 == (Digest{}) {
		return fmt.Errorf("next: want a percent of 0 to 100 and a manifest_sha256")
	}
	return nil
}

func checkTime(key string, t time.Time, required bool) error {
	if t.IsZero() {
		if required {
			return fmt.Errorf("%s is missing", key)
		}
		return nil
	}
	if _, offset := t.Zone(); offset != 0 {
		return fmt.Errorf("%s %s is not in UTC", key, t.Format(time.RFC3339))
	}
	return nil
}
