package status

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// ErrNotLaunched tells that no boot has been through here, so that there is
// nothing to hold.
var ErrNotLaunched = errors.New("this machine has not been through a boot")

// State is what one run leaves for the next in <state>/state.json. Instance
// is the id of the instance it belongs to, empty while an AMI is baked.
// Sequences holds the last believed pointer of each channel. Signalled is nil
// until a launch hook was told a result: a crash between gate and signal is
// still a launch.
type State struct {
	Instance  string              `json:"instance"`
	Sequences map[string]Sequence `json:"sequences"`
	Signalled *Signal             `json:"signalled,omitzero"`
	Hold      *Hold               `json:"hold,omitzero"`
}

// Sequence is the last pointer of a channel that was believed: its number, the
// lower-case hex SHA-256 of its payload, and when it was last seen.
type Sequence struct {
	Number  int64     `json:"number"`
	Payload string    `json:"payload"`
	Seen    time.Time `json:"seen"`
}

// Signal is what the launch hook was told, CONTINUE or ABANDON, and when.
type Signal struct {
	Result string    `json:"result"`
	At     time.Time `json:"at"`
}

// Hold keeps an instance at its release. Until is zero for a hold without an
// end; By says who asked for it.
type Hold struct {
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"`
	By     string    `json:"by"`
}

// Active reports whether there is a hold and it has not run out.
func (h *Hold) Active(now time.Time) bool {
	return h != nil && (h.Until.IsZero() || now.Before(h.Until))
}

// For returns what of the state counts on the given instance: all of it where
// it belongs, elsewhere only the sequences. An empty id is nobody's.
func (s State) For(instance string) State {
	if instance == "" || s.Instance != instance {
		s = State{Instance: instance, Sequences: s.Sequences}
	}
	s.Sequences = maps.Clone(s.Sequences)
	return s
}

// LoadState reads the state directory's state. Without a file it is zero, as
// it is beside every error; [ErrDamaged] means there was a file and what it
// knew is lost, any other error that it could not be read.
func LoadState(dir *os.Root) (State, error) {
	data, err := read(dir, StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, err
	}
	return parseState(data)
}

func parseState(data []byte) (State, error) {
	var s State
	err := decode(data, &s, json.RejectUnknownMembers(true))
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return State{}, fmt.Errorf("parse %s: %w", StateFile, err)
	}
	return s, nil
}

// Save replaces the state in the state directory, readable by root alone. What
// [LoadState] would not believe is [ErrDamaged] and is not written.
func (s State) Save(dir *os.Root) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("save %s: %w", StateFile, err)
	}
	return save(dir, StateFile, s, 0o600)
}

func (s State) check() error {
	for channel, q := range s.Sequences {
		if channel == "" || channel != Clean(channel, maxText) {
			return fmt.Errorf("%w: channel %q: not a name", ErrDamaged, channel)
		}
		sum, err := hex.DecodeString(q.Payload)
		if err != nil || len(sum) != 32 || q.Payload != strings.ToLower(q.Payload) {
			return fmt.Errorf("%w: channel %q: payload is not a SHA-256", ErrDamaged, channel)
		}
		if q.Number < 0 {
			return fmt.Errorf("%w: channel %q: negative sequence", ErrDamaged, channel)
		}
	}
	return nil
}
