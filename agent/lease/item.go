package lease

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"koboshi/artifacts"
)

// MaxID is the highest id that a scope may have.
const MaxID = 1<<20 - 1

// maxItem bounds a stored item, in bytes.
const maxItem = 4096

// schema is the version of the item's format.
const schema = 1

// State is the state of an id.
type State string

// The states of an id.
const (
	Held State = "held"
	Free State = "free" // released: the next holder need not wait for hw to pass
)

// Nonce tells one claiming process from every other.
type Nonce [16]byte

// String is the nonce in lower-case hex.
func (n Nonce) String() string { return hex.EncodeToString(n[:]) }

// MarshalText implements encoding.TextMarshaler.
func (n Nonce) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Nonce) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(n)) {
		return fmt.Errorf("nonce of %d characters", len(text))
	}
	_, err := hex.Decode(n[:], text)
	return err
}

// Millis is a moment in milliseconds since 1970, by some clock.
type Millis = int64

// Item is what the table holds of one id.
type Item struct {
	Schema  int       `json:"schema"`
	Scope   string    `json:"scope"`
	ID      int       `json:"id"`
	Gen     int64     `json:"gen"` // grows by one with each claim
	State   State     `json:"state"`
	Owner   string    `json:"owner"` // instance id
	Nonce   Nonce     `json:"nonce"`
	HW      Millis    `json:"hw_ms"`    // the holder emits nothing above it
	Slack   Millis    `json:"slack_ms"` // and its app may overrun that by so much
	Written time.Time `json:"written"`  // for people: no rule reads it
}

// ErrItem is an item that no koboshi can have written: its id is left alone.
var ErrItem = errors.New("not an item of this table")

// farthest is how far ahead of a clock a mark may be before it is taken for garbage.
const farthest = 24 * time.Hour

// Parse reads an item of the table, strictly: it is never overwritten where it is not
// understood. now is this machine's clock.
func Parse(data []byte, scope string, id int, now Millis) (Item, error) {
	var i Item
	if len(data) > maxItem {
		return Item{}, fmt.Errorf("%w: %d bytes", ErrItem, len(data))
	}
	if err := json.Unmarshal(data, &i, json.RejectUnknownMembers(true)); err != nil {
		return Item{}, fmt.Errorf("%w: %w", ErrItem, err)
	}
	if err := i.check(scope, id, now); err != nil {
		return Item{}, fmt.Errorf("%w: %w", ErrItem, err)
	}
	return i, nil
}

func (i Item) check(scope string, id int, now Millis) error {
	switch {
	case i.Schema != schema:
		return fmt.Errorf("schema %d", i.Schema)
	case i.Scope != scope || i.ID != id:
		return fmt.Errorf("of scope %.64q, id %d", i.Scope, i.ID)
	case i.State != Held && i.State != Free:
		return fmt.Errorf("state %.16q", i.State)
	case i.Gen < 1 || i.Gen == math.MaxInt64:
		return fmt.Errorf("generation %d", i.Gen)
	case i.Owner == "" || len(i.Owner) > 64:
		return fmt.Errorf("owner %.64q", i.Owner)
	case i.Slack < 0 || i.Slack > farthest.Milliseconds():
		return fmt.Errorf("slack of %d ms", i.Slack)
	case i.HW < 0 || i.HW > now+2*farthest.Milliseconds():
		return fmt.Errorf("high-water mark %d is more than two days ahead of this machine's clock", i.HW)
	}
	return nil
}

// Encode is the item as a table stores it.
func (i Item) Encode() ([]byte, error) {
	i.Schema = schema
	return json.Marshal(i, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

// CheckScope refuses what cannot name a scope: it becomes a part of keys.
func CheckScope(scope string) error {
	if err := artifacts.CheckName(scope); err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	return nil
}
