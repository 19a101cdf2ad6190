package guard

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/agent/group"
)

// schema is the version of the record's format.
const schema = 1

// MaxRecord is the size of a record that is read, in bytes.
const MaxRecord = 64 << 10

var (
	// ErrRecord is a record that is damaged, or of another group.
	ErrRecord = errors.New("the guard's record cannot be read")
	// ErrNewer is a record that a newer koboshi has written.
	ErrNewer = errors.New("the guard's record was written by a newer koboshi")
)

// State is what a record says of its group.
type State string

// The states of a record.
const (
	Held     State = "held"
	Released State = "released" // nothing is left to put back
)

// Record is who keeps a group still, and how. The zero Record is of a group that was
// never guarded.
type Record struct {
	Schema   int       `json:"schema"`
	Group    string    `json:"group"`
	Fence    int64     `json:"fence"` // grows with each holder
	State    State     `json:"state"`
	Holder   string    `json:"holder"`
	Nonce    string    `json:"nonce"` // another one in each write
	Reason   string    `json:"reason,omitempty"`
	Acquired time.Time `json:"acquired,omitzero"` // by the store's clock
	Until    time.Time `json:"lease_until,omitzero"`

	Want   []group.Process          `json:"want,omitempty"`
	Before map[group.Process]string `json:"before,omitempty"` // suspended by others, with the reasons
	Ours   map[group.Process]Claim  `json:"ours,omitempty"`
}

// Claim is why a suspension is the holder's: "intent TIME" before AWS has shown it,
// then the reason that AWS gives.
type Claim string

const intentPrefix = "intent "

// Intent is the claim of a process that is about to be suspended.
func Intent(at time.Time) Claim { return Claim(intentPrefix + at.UTC().Format(time.RFC3339)) }

// intent is the time of an intent.
func (c Claim) intent() (at time.Time, ok bool) {
	text, ok := strings.CutPrefix(string(c), intentPrefix)
	if !ok {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

// since is the time of an intent, or of the suspension that was recognised; zero where
// its reason has none.
func (c Claim) since() (at time.Time, intended bool) {
	if at, intended = c.intent(); intended {
		return at, true
	}
	at, _ = timeOf(string(c))
	return at, false
}

// Key is where the record of a group is, below the app's prefix.
func Key(name string) string { return Directory + url.PathEscape(name) + ".json" }

// Directory is where all records are.
const Directory = "guard/"

// GroupOf is the group whose record has a key.
func GroupOf(key string) (string, bool) {
	name, ok := strings.CutPrefix(key, Directory)
	name, isRecord := strings.CutSuffix(name, ".json")
	name, err := url.PathUnescape(name)
	return name, ok && isRecord && err == nil && name != ""
}

// Parse reads a group's record. Errors are ErrNewer and ErrRecord.
func Parse(text []byte, name string) (Record, error) {
	var version struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return Record{}, fmt.Errorf("%w: %s: %w", ErrRecord, Key(name), err)
	}
	if version.Schema > schema {
		return Record{}, fmt.Errorf("%w: %s has schema %d, this one knows %d", ErrNewer, Key(name), version.Schema, schema)
	}
	var r Record
	err := json.Unmarshal(text, &r, json.RejectUnknownMembers(true))
	if err == nil {
		err = r.check(name)
	}
	if err != nil {
		return Record{}, fmt.Errorf("%w: %s: %w", ErrRecord, Key(name), err)
	}
	return r, nil
}

func (r Record) check(name string) error {
	switch {
	case r.Schema != schema:
		return fmt.Errorf("schema %d", r.Schema)
	case r.Group != name:
		return fmt.Errorf("it is of group %q", r.Group)
	case r.State != Held && r.State != Released:
		return fmt.Errorf("state %q", r.State)
	case r.Fence < 0:
		return fmt.Errorf("fence %d", r.Fence)
	case r.State == Held && r.Until.IsZero():
		return errors.New("held without lease_until")
	}
	for p, claim := range r.Ours {
		if _, err := group.ParseProcess(string(p)); err != nil {
			return err
		}
		if _, ok := claim.intent(); !ok && strings.HasPrefix(string(claim), intentPrefix) || claim == "" {
			return fmt.Errorf("ours has %s as %q", p, claim)
		}
	}
	return nil
}

// Encode is the record as it is stored.
func (r Record) Encode() ([]byte, error) {
	r.Schema = schema
	text, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// clone is a copy whose maps may be changed.
func (r Record) clone() Record {
	r.Before, r.Ours = maps.Clone(r.Before), maps.Clone(r.Ours)
	if r.Before == nil {
		r.Before = map[group.Process]string{}
	}
	if r.Ours == nil {
		r.Ours = map[group.Process]Claim{}
	}
	return r
}
