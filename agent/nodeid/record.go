package nodeid

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"koboshi/agent/lease"
	"koboshi/artifacts/durable"
)

// Names in the state directory and in the run directory.
const (
	RecordFile = "node-id.json" // what this machine knows of its lease
	AppFile    = "node-id.json" // what the app may look at
	wantedFile = "node-id.wanted"
)

const (
	schema  = 1
	maxFile = 16 << 10 // bytes that are read of a record
)

// Record is <state>/node-id.json: the lease of this machine, and one that it held under
// another scope until the app is started under this one. Times are in milliseconds
// since 1970 by this machine's clock.
//
// The phase is [lease.Holding] from before the app is started until after it has ended,
// and [lease.Stopped] else: then the app uses nothing above the mark.
type Record struct {
	Schema   int          `json:"schema"`
	Instance string       `json:"instance"`
	Boot     string       `json:"boot_id"`
	Scope    string       `json:"scope"`
	Table    string       `json:"table"` // for people
	ID       int          `json:"id"`
	Gen      int64        `json:"gen"`
	Nonce    lease.Nonce  `json:"nonce"`
	Floor    lease.Millis `json:"floor_ms"`
	Until    lease.Millis `json:"until_ms"`
	Slack    lease.Millis `json:"slack_ms"`
	Phase    lease.Phase  `json:"phase"`
	Mark     lease.Millis `json:"mark_ms,omitzero"` // of an app that has ended

	Started lease.Millis `json:"started_ms,omitzero"` // by the clock, when the app was started or the clock was set later
	Uptime  lease.Millis `json:"uptime_ms,omitzero"`  // of the machine at that moment
	Highest lease.Millis `json:"highest_ms,omitzero"` // that the clock may have shown before it was set
	Stop    lease.Millis `json:"stop_ms,omitzero"`    // when PID 1 begins to stop the app; 0 = it keeps the bounds itself

	Renewed  time.Time `json:"renewed,omitzero"`  // UTC, the last renewal or the claim
	Failures int       `json:"failures,omitzero"` // renewals that have failed since
	Failure  string    `json:"failure,omitzero"`  // the last one

	Before *Record `json:"before,omitzero"` // the lease that the app still runs under
}

// Tenure is the lease as its rules have it.
func (r Record) Tenure() lease.Tenure {
	return lease.Tenure{ID: r.ID, Gen: r.Gen, Nonce: r.Nonce, Floor: r.Floor, Until: r.Until, Slack: r.Slack}
}

func (r *Record) set(t lease.Tenure) {
	r.ID, r.Gen, r.Nonce, r.Floor, r.Until, r.Slack = t.ID, t.Gen, t.Nonce, t.Floor, t.Until, t.Slack
}

// resume is how the lease goes on in the boot of this machine.
func (r Record) resume(instance, boot, scope string) (lease.Tenure, lease.Next) {
	l := lease.Record{Instance: r.Instance, Boot: r.Boot, Scope: r.Scope, Tenure: r.Tenure(), Phase: r.Phase, Mark: r.Mark}
	return l.Resume(instance, boot, scope)
}

// Load reads the record. Without a file it is zero. The warning says why a file could
// not be used: then nothing is known of a lease. An error is of the disk.
func Load(dir durable.Dir) (r Record, warning, err error) {
	data, err := durable.ReadFile(dir, RecordFile, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Record{}, nil, nil
	case errors.Is(err, durable.ErrUnusable):
		return Record{}, fmt.Errorf("%s: %w", RecordFile, err), nil
	case err != nil:
		return Record{}, nil, err
	}
	r, warning = parse(data)
	return r, warning, nil
}

func parse(data []byte) (r Record, err error) {
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("%s is damaged: %w", RecordFile, err)
	}
	if err := r.check(); err != nil {
		return Record{}, fmt.Errorf("%s is damaged: %w", RecordFile, err)
	}
	if r.Before != nil {
		if err := r.Before.check(); err != nil || r.Before.Before != nil {
			return Record{}, fmt.Errorf("%s is damaged: the lease before: %w", RecordFile, err)
		}
	}
	return r, nil
}

func (r Record) check() error {
	switch {
	case r.Schema != schema:
		return fmt.Errorf("schema %d", r.Schema)
	case r.Instance == "" || r.Boot == "":
		return errors.New("of no instance, or no boot")
	case lease.CheckScope(r.Scope) != nil:
		return fmt.Errorf("scope %.64q", r.Scope)
	case r.ID < 0 || r.ID > lease.MaxID || r.Gen < 1:
		return fmt.Errorf("id %d, generation %d", r.ID, r.Gen)
	case r.Phase != lease.Holding && r.Phase != lease.Stopped && r.Phase != lease.Releasing:
		return fmt.Errorf("phase %.16q", r.Phase)
	case r.Floor < -1 || r.Until < r.Floor || r.Mark < -1 || r.Slack < 0:
		return fmt.Errorf("from %d to %d, mark %d", r.Floor, r.Until, r.Mark)
	}
	return nil
}

func (r Record) save(dir durable.Dir) error {
	r.Schema = schema
	data, err := json.Marshal(r, jsontext.WithIndent("  "), jsontext.AllowInvalidUTF8(true))
	if err == nil {
		err = durable.WriteFile(dir, RecordFile, append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", RecordFile, err)
	}
	return nil
}
