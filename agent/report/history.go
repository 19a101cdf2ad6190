package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// HistoryFile is what ran here before, in the state directory.
const HistoryFile = "history.json"

// maxRuns is how many runs are remembered.
const maxRuns = 100

const historySchema = 1

// Run is a report in short.
type Run struct {
	Started  time.Time `json:"started"`
	Command  string    `json:"command"`
	Verdict  Verdict   `json:"verdict"`
	Version  string    `json:"version,omitzero"` // what served when it ended
	Sequence int64     `json:"sequence,omitzero"`
	Target   string    `json:"target,omitzero"` // the version that was wanted
	MS       int64     `json:"ms"`
	Error    *Error    `json:"error,omitzero"`
}

type history struct {
	Schema int   `json:"schema"`
	Runs   []Run `json:"runs"`
}

// LoadHistory reads the runs that are remembered, the latest first. Where there
// is no history it is empty; the error is [ErrDamaged] for a file that is none.
func LoadHistory(dir *os.Root) ([]Run, error) {
	data, err := read(dir, HistoryFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var h history
	if err := decode(data, &h); err != nil {
		return nil, fmt.Errorf("read %s: %w", HistoryFile, err)
	}
	return h.Runs, nil
}

// Remember puts a run before the others. A history that cannot be read is begun
// anew: it is for people, and no run fails for it.
func Remember(dir *os.Root, r Report) error {
	runs, err := LoadHistory(dir)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	runs = append([]Run{r.inShort()}, runs...)
	return save(dir, HistoryFile, history{Schema: historySchema, Runs: runs[:min(len(runs), maxRuns)]})
}

func (r Report) inShort() Run {
	run := Run{Started: r.Started, Command: r.Command, Verdict: r.Verdict, MS: r.MS, Error: r.Error}
	if r.Release != nil {
		run.Version, run.Sequence = r.Release.Version, r.Release.Sequence
	}
	if r.Target != nil {
		run.Target = r.Target.Version
	}
	return run
}
