package lease

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
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
	if _, err := hex.Decode(n[:], text); err != nil {
		return err
	}
	if n.String() != string(text) {
		return errors.New("nonce in capitals")
	}
	return nil
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

// farthest is how far ahead of a clock a mark may be before it is taken for garbage: the
// longest lease, and an hour for clocks that differ.
const farthest = 25 * time.Hour

// maxGen is the last generation: the greatest number that every reader of JSON has exactly.
const maxGen = 1<<53 - 1

// Parse reads an item of the table, strictly: it is never overwritten where it is not
// understood. Each member is there once, in any order. now is this machine's clock.
func Parse(data []byte, scope string, id int, now Millis) (Item, error) {
	if len(data) > maxItem {
		return Item{}, fmt.Errorf("%w: more than %d bytes", ErrItem, maxItem)
	}
	var i Item
	if err := json.Unmarshal(data, &i, json.RejectUnknownMembers(true)); err != nil {
		return Item{}, fmt.Errorf("%w: %w", ErrItem, err)
	}
	if err := i.check(scope, id, now); err != nil {
		return Item{}, err
	}
	if err := i.complete(data); err != nil {
		return Item{}, fmt.Errorf("%w: %w", ErrItem, err)
	}
	return i, nil
}

// complete refuses a document that is not the item's own: with a member missing, such as
// the mark, it would be read as a zero.
func (i Item) complete(data jsontext.Value) error {
	own, err := i.Encode()
	if err != nil {
		return err
	}
	read, written := data.Clone(), jsontext.Value(own)
	if err := errors.Join(read.Canonicalize(), written.Canonicalize()); err != nil {
		return err
	}
	if string(read) != string(written) {
		return errors.New("a member is missing, or written in another way")
	}
	return nil
}

// check returns an ErrItem for what cannot be an item of this id.
func (i Item) check(scope string, id int, now Millis) error {
	err := i.valid()
	switch {
	case err != nil:
	case i.Scope != scope || i.ID != id:
		err = fmt.Errorf("of scope %.64q, id %d", i.Scope, i.ID)
	case i.HW > now+farthest.Milliseconds():
		err = fmt.Errorf("high-water mark %d is more than %d hours ahead of this machine's clock", i.HW, farthest/time.Hour)
	default:
		return nil
	}
	return fmt.Errorf("%w: %w", ErrItem, err)
}

// valid refuses what no item can be, whatever its id and the clock.
func (i Item) valid() error {
	switch {
	case i.Schema != schema:
		return fmt.Errorf("schema %d", i.Schema)
	case CheckScope(i.Scope) != nil || i.ID < 0 || i.ID > MaxID:
		return fmt.Errorf("of scope %.64q, id %d", i.Scope, i.ID)
	case i.State != Held && i.State != Free:
		return fmt.Errorf("state %.16q", i.State)
	case i.Gen < 1 || i.Gen > maxGen:
		return fmt.Errorf("generation %d", i.Gen)
	case !isOwner(i.Owner):
		return fmt.Errorf("owner %.64q", i.Owner)
	case i.Nonce == Nonce{}:
		return errors.New("no nonce")
	case i.Slack < 0 || i.Slack > farthest.Milliseconds():
		return fmt.Errorf("slack of %d ms", i.Slack)
	case i.HW < 0:
		return fmt.Errorf("high-water mark %d", i.HW)
	}
	return nil
}

// isOwner reports whether s can be an instance id: 1 to 64 letters, digits, '-', '.' and '_'.
func isOwner(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
	return s != "" && len(s) <= 64 && strings.Trim(s, letters) == ""
}

// Encode is the item as a table stores it, in less than 400 bytes. An item that Parse
// would refuse whenever it is read is an error.
func (i Item) Encode() ([]byte, error) {
	i.Schema = schema
	if err := i.valid(); err != nil {
		return nil, fmt.Errorf("encode an item: %w", err)
	}
	return json.Marshal(i, json.Deterministic(true))
}

// encode is the item for the table of a scope, where it is the id's.
func (i Item) encode(scope string, id int) ([]byte, error) {
	if i.Scope != scope || i.ID != id {
		return nil, fmt.Errorf("write id %d of scope %.64q over id %d of %q", i.ID, i.Scope, id, scope)
	}
	return i.Encode()
}

// CheckScope refuses what cannot name a scope: it becomes a part of keys.
func CheckScope(scope string) error {
	if err := artifacts.CheckName(scope); err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	return nil
}
