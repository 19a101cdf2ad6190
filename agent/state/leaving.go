package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"koboshi/agent/report"
	"koboshi/artifacts/durable"
)

// ErrLeaving is an instance that is being drained: nothing is started on it any more.
var ErrLeaving = errors.New("the instance is being drained")

// leavingFile is the file in the run directory that says so. It goes with a reboot,
// the record of the drain does not.
const leavingFile = "leaving"

// Leave keeps every run of the app away from now on, and ends those under way.
func Leave(dir durable.Dir, reason string) error {
	if err := durable.WriteFile(dir, leavingFile, []byte(reason+"\n"), 0o644); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return nil
}

// Stay takes that back.
func Stay(dir durable.Dir) error {
	if err := durable.Remove(dir, leavingFile); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return nil
}

// Leaving is ErrLeaving, with the reason, if the app of that run directory is being
// drained.
func Leaving(run string) error {
	reason, err := os.ReadFile(filepath.Join(run, leavingFile)) //nolint:gosec // the run directory is root's
	if err != nil {
		return nil //nolint:nilerr // nearly always there is none
	}
	return fmt.Errorf("%w: %s", ErrLeaving, report.Clean(string(reason), 100))
}
