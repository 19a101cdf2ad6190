package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"koboshi/artifacts"
	"koboshi/artifacts/durable"
)

// File is the name of the state's file in the state directory.
const File = "state.json"

// ErrDisk is the sentinel of everything that the system refused: permission,
// no space, read-only, I/O errors.
var ErrDisk = errors.New("disk")

// ErrDamaged is the sentinel of warnings: a part of the file, or all of it, is
// not what this package writes.
var ErrDamaged = errors.New("damaged")

// schema is the version of the file's format. New members do not change it; it
// grows when a member comes to mean something else.
const schema = 1

// maxFile bounds what is read of the file, in bytes.
const maxFile = 1 << 20

// stored is the state with what only the file has.
type stored struct {
	Schema int   `json:"schema"`
	State  State `json:",embed"`
}

// Load reads the state directory's state. Without a file it is zero. A warning
// says what could not be used of a file that is damaged or of a newer schema;
// the state then has the rest. An error is [ErrDisk]: the file could not be
// read, so nothing is known of its content.
func Load(dir durable.Dir) (s State, warning, err error) {
	data, err := durable.ReadFile(dir, File, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return State{}, nil, nil
	case errors.Is(err, durable.ErrUnusable):
		return State{}, fmt.Errorf("%w: %w", ErrDamaged, err), nil
	case err != nil:
		return State{}, nil, fmt.Errorf("%w: %w", ErrDisk, err)
	}
	s, warning = parse(data)
	return s, warning, nil
}

// parse decodes each member on its own, so that a damaged one costs no other.
func parse(data []byte) (State, error) {
	var members others
	err := json.Unmarshal(data, &members)
	if err == nil && members == nil {
		err = errors.New("null")
	}
	if err != nil {
		return State{}, fmt.Errorf("%s is %w: %w", File, ErrDamaged, err)
	}
	var s State
	var number int
	var sequences others
	problems := errors.Join(
		take(members, "schema", &number), take(members, "instance", &s.Instance), take(members, "sequences", &sequences),
		take(members, "signalled", &s.Signalled), take(members, "hold", &s.Hold), take(members, "rejected", &s.Rejected),
		take(members, "reported", &s.Reported))
	for channel := range sequences {
		q, err := parseSequence(sequences, channel)
		if err != nil {
			problems = errors.Join(problems, err)
			continue
		}
		if s.Sequences == nil {
			s.Sequences = map[string]Sequence{}
		}
		s.Sequences[channel] = q
	}
	if number > schema {
		problems = errors.Join(fmt.Errorf("%s was written by a newer agent: schema %d", File, number), problems)
	}
	s.Hold, s.Rejected = s.Hold.clean(), s.Rejected.clean()
	if len(members) > 0 {
		s.Others = members
	}
	return s, problems
}

// take moves a member into v. One that does not fit leaves v as it was.
func take[T any](members others, name string, v *T) error {
	raw, found := members[name]
	delete(members, name)
	var value T
	if !found {
		return nil
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return fmt.Errorf("%s: %s is %w: %w", File, name, ErrDamaged, err)
	}
	*v = value
	return nil
}

func parseSequence(sequences others, channel string) (q Sequence, err error) {
	if err := artifacts.CheckName(channel); err != nil {
		return q, fmt.Errorf("%s: a sequence is %w: %w", File, ErrDamaged, err)
	}
	if err := json.Unmarshal(sequences[channel], &q); err != nil {
		return q, fmt.Errorf("%s: the sequence of channel %s is %w: %w", File, channel, ErrDamaged, err)
	}
	if q.Number < 1 || q.Payload == (artifacts.Digest{}) {
		return q, fmt.Errorf("%s: the sequence of channel %s is %w: %d is no sequence", File, channel, ErrDamaged, q.Number)
	}
	return q, nil
}

// Save replaces the state in the state directory, readable by root alone. It
// writes nothing where the file has the same content and mode already, but makes sure that
// this is on the disk: the run that wrote it may have been killed before it was.
// Errors are [ErrDisk].
func (s State) Save(dir durable.Dir) error {
	data, err := encode(s)
	if err != nil {
		return fmt.Errorf("encode %s: %w", File, err)
	}
	const mode = 0o600
	before, readErr := durable.ReadFile(dir, File, maxFile)
	info, statErr := dir.Lstat(File)
	if readErr == nil && statErr == nil && bytes.Equal(before, data) && info.Mode().Perm() == mode {
		err = durable.SyncDir(dir, ".")
	} else {
		err = durable.WriteFile(dir, File, data, mode)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return nil
}

// encode never fails for a text: what is not UTF-8 is replaced.
func encode(s State) ([]byte, error) {
	s.Hold, s.Rejected = s.Hold.clean(), s.Rejected.clean()
	data, err := json.Marshal(stored{schema, s}, json.Deterministic(true), jsontext.WithIndent("  "), jsontext.AllowInvalidUTF8(true))
	return append(data, '\n'), err
}
