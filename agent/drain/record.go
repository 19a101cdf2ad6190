package drain

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/durable"
)

// File is the name of the record in the state directory.
const File = "drain.json"

// schema is the version of the record's format.
const schema = 1

// maxFile bounds what is read of the record, in bytes.
const maxFile = 64 << 10

// Record is a drain that is under way or done, as <state>/drain.json holds it.
type Record struct {
	Schema     int           `json:"schema"`
	Instance   string        `json:"instance"`
	Reason     notice.Reason `json:"reason"`
	Notice     string        `json:"notice"`               // the id of the notice
	Returns    bool          `json:"returns,omitzero"`     // the instance comes back, and keeps its node id
	Why        string        `json:"why,omitzero"`         // of a person
	Noticed    time.Time     `json:"noticed"`              // UTC
	Deadline   time.Time     `json:"deadline,omitzero"`    // UTC, for people: the clock may be set
	Boot       string        `json:"boot"`                 // the boot that Until counts in
	Until      int64         `json:"until_ms"`             // the deadline, in milliseconds since that boot
	Step       string        `json:"step"`                 // the one that is under way, or was the last
	Stopped    bool          `json:"stopped,omitzero"`     // the app was stopped
	Ended      time.Time     `json:"ended,omitzero"`       // UTC; zero = open
	Told       bool          `json:"told,omitzero"`        // the lifecycle action was completed
	NoComplete bool          `json:"no_complete,omitzero"` // the lifecycle action is left to someone else
}

// Open reports whether the drain is not over.
func (r Record) Open() bool { return r.Instance != "" && r.Ended.IsZero() }

// For reports whether the record is about that notice on that instance.
func (r Record) For(instance string, n notice.Notice) bool {
	return r.Instance == instance && r.Notice == n.ID
}

// Load reads the record. Without a file it is zero. The warning says why a file
// could not be used: nothing is then known to have been done. An error is
// state.ErrDisk.
func Load(dir durable.Dir) (r Record, warning, err error) {
	data, err := durable.ReadFile(dir, File, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Record{}, nil, nil
	case errors.Is(err, durable.ErrUnusable):
		return Record{}, fmt.Errorf("%s: %w", File, err), nil
	case err != nil:
		return Record{}, nil, fmt.Errorf("%w: %w", state.ErrDisk, err)
	}
	r, warning = parse(data)
	return r, warning, nil
}

func parse(data []byte) (r Record, err error) {
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("%s: %w: %w", File, state.ErrDamaged, err)
	}
	switch {
	case r.Schema != schema:
		err = fmt.Errorf("schema %d", r.Schema)
	case r.Instance == "":
		err = errors.New("no instance")
	case new(Drain).position(r.Step) < 0:
		err = fmt.Errorf("step %.32q", r.Step)
	}
	if err != nil {
		return Record{}, fmt.Errorf("%s: %w: %w", File, state.ErrDamaged, err)
	}
	r.Why = report.Clean(r.Why, report.MaxText)
	return r, nil
}

// Save replaces the record, readable by root alone. Errors are state.ErrDisk.
func (r Record) Save(dir durable.Dir) error {
	r.Schema = schema
	r.Why = report.Clean(r.Why, report.MaxText)
	data, err := json.Marshal(r, jsontext.WithIndent("  "), jsontext.AllowInvalidUTF8(true))
	if err == nil {
		err = durable.WriteFile(dir, File, append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", state.ErrDisk, File, err)
	}
	return nil
}

// Remove forgets a drain: the instance serves.
func Remove(dir durable.Dir) error {
	if err := durable.Remove(dir, File); err != nil {
		return fmt.Errorf("%w: %s: %w", state.ErrDisk, File, err)
	}
	return nil
}
