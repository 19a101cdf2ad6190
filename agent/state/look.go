package state

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/agent/report"
	"koboshi/artifacts/durable"
)

// LookFile is the name of a [Look] in the run directory.
const LookFile = "look.json"

// Look is when the machine last looked at its channel by itself, and how that ended:
// Code is the exit code.
type Look struct {
	At      time.Time      `json:"at"`
	Verdict report.Verdict `json:"verdict"`
	Code    int            `json:"code"`
}

// Save writes the look into the run directory, readable by all. Errors are [ErrDisk].
func (l Look) Save(run durable.Dir) error {
	data, err := json.Marshal(l)
	if err == nil {
		err = durable.WriteFile(run, LookFile, append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return nil
}

// LoadLook reads the last look. The error is fs.ErrNotExist where there was none
// since the machine started, and [ErrDamaged] for a file that is none.
func LoadLook(run durable.Dir) (l Look, err error) {
	data, err := durable.ReadFile(run, LookFile, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Look{}, err
	case err != nil:
		return Look{}, fmt.Errorf("%w: %w", ErrDisk, err)
	}
	if err := json.Unmarshal(data, &l); err != nil || l.At.IsZero() {
		return Look{}, fmt.Errorf("%s is %w", LookFile, ErrDamaged)
	}
	l.Verdict = report.Verdict(report.Clean(string(l.Verdict), report.MaxText))
	return l, nil
}
