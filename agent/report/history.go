package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/go-json-experiment/json"
)

// HistoryFile lists the last runs, in the state directory.
const HistoryFile = "history.json"

// maxRuns is how many runs the history has at most.
const maxRuns = 100

// Run is a report in short.
type Run struct {
	Order    int64     `json:"order"`
	Started  time.Time `json:"started"`
	Command  string    `json:"command"`
	Verdict  Verdict   `json:"verdict"`
	Version  string    `json:"version,omitzero"` // the current release when it ended
	Sequence int64     `json:"sequence,omitzero"`
	Target   string    `json:"target,omitzero"` // the version that was wanted
	By       string    `json:"by,omitzero"`     // as in the report, and so the next two
	Reason   string    `json:"reason,omitzero"`
	Until    time.Time `json:"until,omitzero"`
	Drain    string    `json:"drain,omitzero"` // of a drain: what it was for
	NodeID   *int      `json:"node_id,omitzero"`
	MS       int64     `json:"ms"`
	Error    *Error    `json:"error,omitzero"`
}

type history struct {
	Schema int   `json:"schema"`
	Runs   []Run `json:"runs"`
}

// LoadHistory reads the history, the latest run first. Without a file it is
// empty; the error is [ErrDamaged] for a file that is no history.
func LoadHistory(dir *os.Root) ([]Run, error) {
	data, err := read(dir, HistoryFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var h history
	if err := decode(data, &h, json.WithUnmarshalers(json.UnmarshalFromFunc(decodeText))); err != nil {
		return nil, fmt.Errorf("read %s: %w", HistoryFile, err)
	}
	return h.Runs, nil
}

func saveHistory(dir *os.Root, runs []Run) error {
	return save(dir, HistoryFile, history{Schema: Schema, Runs: runs[:min(len(runs), maxRuns)]})
}

// inShort is the report as a line of history.
func (r *Report) inShort() Run {
	run := Run{Order: r.Order, Started: r.Started, Command: r.Command, Verdict: r.Verdict, MS: r.MS, By: r.By, Reason: r.Reason, Until: r.Until, NodeID: r.NodeID}
	if r.Error != nil {
		run.Error = &Error{Code: r.Error.Code, Message: r.Error.Message, Hint: r.Error.Hint}
	}
	if r.Drain != nil {
		run.Drain = r.Drain.Reason
	}
	if r.Release != nil {
		run.Version, run.Sequence = r.Release.Version, r.Release.Sequence
	}
	if r.Target != nil {
		run.Target = r.Target.Version
	}
	return run
}
