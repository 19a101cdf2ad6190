package report

import (
	"fmt"
	"os"
	"time"

	"github.com/go-json-experiment/json"
)

// Verdict says how a run ended.
type Verdict string

// The verdicts of a run.
const (
	Fresh   Verdict = "fresh"   // installed the target
	Current Verdict = "current" // had the target already
	Stale   Verdict = "stale"   // target not to be had, last good serves within the allowed age
	Held    Verdict = "held"    // an operator holds this instance where it is
	Failed  Verdict = "failed"
)

// Release names an installed or wanted release. ManifestSHA256 is the
// lower-case hex hash of the manifest envelope. ActivatedAt is zero for a
// release that is not, or not yet, current. Healthy says that the run left it up
// and past the gate.
type Release struct {
	Version        string    `json:"version"`
	ManifestSHA256 string    `json:"manifest_sha256"`
	Sequence       int64     `json:"sequence"`
	ActivatedAt    time.Time `json:"activated_at,omitzero"`
	Healthy        bool      `json:"healthy,omitzero"`
}

// Instance is the machine the run was on. Group is empty outside an Auto
// Scaling group.
type Instance struct {
	ID     string `json:"id"`
	Region string `json:"region"`
	AZ     string `json:"az"`
	Group  string `json:"group"`
}

// Lifecycle is what the launch hook was told: Result is CONTINUE, ABANDON or
// empty, Heartbeats how often the hook was asked to wait longer.
type Lifecycle struct {
	Hook       string `json:"hook"`
	Result     string `json:"result"`
	Heartbeats int    `json:"heartbeats"`
}

// Error is why a run failed: the exit code, one line, and what can be done
// about it.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitzero"`
}

// File is the last run's report in the state directory.
const File = "report.json"

// reportSchema is the version of the report's format. New keys do not change
// it; it grows when a key comes to mean something else.
const reportSchema = 1

// Report is the last run, as <state>/report.json holds it and `status --json`
// prints it. Command is "boot" or "sync", Agent the agent's version, Started
// UTC, MS the duration in milliseconds. A release that there is none of is
// nil, as are NodeID and Error.
type Report struct {
	Schema    int       `json:"schema"`
	Agent     string    `json:"agent"`
	Command   string    `json:"command"`
	App       string    `json:"app"`
	Channel   string    `json:"channel"`
	Verdict   Verdict   `json:"verdict"`
	Started   time.Time `json:"started"`
	MS        int64     `json:"ms"`
	Release   *Release  `json:"release,omitzero"`
	Previous  *Release  `json:"previous,omitzero"`
	Target    *Release  `json:"target,omitzero"`
	Instance  Instance  `json:"instance"`
	Lifecycle Lifecycle `json:"lifecycle"`
	NodeID    *int      `json:"node_id,omitzero"`
	Steps     []Step    `json:"steps"`
	Error     *Error    `json:"error,omitzero"`
	Warnings  []string  `json:"warnings,omitzero"`
}

// Load reads the last run's report from the state directory. Keys it
// does not know are ignored and missing ones are zero, so that it reads what
// older and newer agents wrote. The error is fs.ErrNotExist where nothing has
// run yet and [ErrDamaged] for a file that is no report.
func Load(dir *os.Root) (Report, error) {
	data, err := read(dir, File)
	if err != nil {
		return Report{}, err
	}
	return Parse(data)
}

// Parse reads a report that was kept elsewhere, such as the output of
// status --json, in the same way.
func Parse(data []byte) (Report, error) {
	var r Report
	texts := json.WithUnmarshalers(json.UnmarshalFromFunc(decodeText))
	if err := decode(data, &r, texts); err != nil {
		return Report{}, fmt.Errorf("parse %s: %w", File, err)
	}
	r.Verdict = Verdict(Clean(string(r.Verdict), MaxText))
	return r, nil
}

// Save replaces the report in the state directory, readable by all.
func (r Report) Save(dir *os.Root) error {
	r.Schema = reportSchema
	return save(dir, File, r)
}
