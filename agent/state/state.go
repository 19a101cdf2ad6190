package state

import (
	"errors"
	"maps"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"koboshi/agent/report"
	"koboshi/artifacts"
)

// ErrNotLaunched says that no boot has ended on this machine, so that there is
// nothing to hold.
var ErrNotLaunched = errors.New("no boot has ended on this machine")

// State is the content of <state>/state.json. Instance is the id of the
// instance it belongs to, empty while an AMI is baked. Signalled is nil until
// the launch of this instance has ended and Auto Scaling knows, or does not
// have to know: a crash between gate and signal is still a launch.
type State struct {
	Instance  string              `json:"instance"`
	Sequences map[string]Sequence `json:"sequences"` // by channel
	Signalled *Signal             `json:"signalled,omitzero"`
	Hold      *Hold               `json:"hold,omitzero"`
	Rejected  *Rejected           `json:"rejected,omitzero"`
	Reported  *Reported           `json:"reported,omitzero"`
	Others    others              `json:",embed"`
}

// others are members that this agent does not know, kept for the one that does.
type others = map[string]jsontext.Value

// Sequence is the newest pointer of a channel that passed verification: its
// number and the hash of its payload.
type Sequence struct {
	Number  int64            `json:"number"`
	Payload artifacts.Digest `json:"payload"`
	Others  others           `json:",embed"`
}

// Signal is the result of the launch, CONTINUE, ABANDON, or empty where no
// lifecycle action waited, and when it was sent. Pooled is set where the launch led
// into a warm pool: the app is installed, and serves nobody yet.
type Signal struct {
	Result string    `json:"result"`
	At     time.Time `json:"at"`
	Pooled bool      `json:"pooled,omitzero"`
	Stack  string    `json:"stack,omitzero"` // the signal to a CloudFormation stack: SUCCESS, FAILURE, or empty where none waited
	Others others    `json:",embed"`
}

// Rejected is what the channel pointed to when it failed on this live instance, with
// the exit code and the message: a machine that follows its channel by itself does
// not try it again.
type Rejected struct {
	Sequence Sequence         `json:"sequence"`
	Manifest artifacts.Digest `json:"manifest_sha256,omitzero"`
	Version  string           `json:"version"`
	Code     int              `json:"code"`
	Message  string           `json:"message"`
	At       time.Time        `json:"at"`
	Others   others           `json:",embed"`
}

// Reported is the last health record that was written: its key, what of its content makes
// it another one, and when that was.
type Reported struct {
	Key     string    `json:"key"`
	Content string    `json:"content"`
	At      time.Time `json:"at"`
	Others  others    `json:",embed"`
}

// clean returns what was rejected with texts that are fit to print.
func (f *Rejected) clean() *Rejected {
	if f == nil {
		return nil
	}
	printable := *f
	printable.Version = report.Clean(f.Version, report.MaxText)
	printable.Message = report.Clean(f.Message, report.MaxText)
	return &printable
}

// Hold keeps an instance at its release. Until is zero for a hold without an
// end; By is the operator who set it. Left are the manifests (lower-case hex hash
// of the envelope) of the releases that were rolled back from while it is held.
type Hold struct {
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"`
	By     string    `json:"by"`
	Left   []string  `json:"left,omitzero"`
	Others others    `json:",embed"`
}

// Active reports whether there is a hold and it has not run out.
func (h *Hold) Active(now time.Time) bool {
	return h != nil && (h.Until.IsZero() || now.Before(h.Until))
}

// clean returns the hold with texts that are fit to print.
func (h *Hold) clean() *Hold {
	if h == nil {
		return nil
	}
	printable := *h
	printable.Reason = report.Clean(h.Reason, report.MaxText)
	printable.By = report.Clean(h.By, report.MaxText)
	return &printable
}

// For returns what of the state counts on the given instance: all of it where
// it belongs, elsewhere only the sequences. Members that this agent does not
// know are dropped with the rest, because they may belong to the instance. An
// empty id belongs to no instance.
func (s State) For(instance string) State {
	if instance == "" || s.Instance != instance {
		s = State{Instance: instance, Sequences: s.Sequences}
	}
	s.Sequences = maps.Clone(s.Sequences)
	return s
}

// Sequence is the newest sequence of the channel that was verified here, zero
// where there was none.
func (s State) Sequence(channel string) artifacts.Sequence {
	q := s.Sequences[channel]
	return artifacts.Sequence{Number: q.Number, Payload: q.Payload}
}

// SetSequence replaces the sequence of a channel.
func (s *State) SetSequence(channel string, q artifacts.Sequence) {
	if s.Sequence(channel) == q {
		return
	}
	if s.Sequences == nil {
		s.Sequences = map[string]Sequence{}
	}
	s.Sequences[channel] = Sequence{Number: q.Number, Payload: q.Payload}
}
