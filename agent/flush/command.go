package flush

import (
	"context"
	"fmt"
	"time"

	"koboshi/agent/config"
)

// commandEvery is the pause before a command is run again.
const commandEvery = time.Second

// again is the exit status of a command that is to be run again: EX_TEMPFAIL.
const again = 75

// command runs a command of the operator's: one exit 0 is the proof.
type command struct {
	name     string
	settings config.Flush
	run      Runner
}

func (c *command) look(ctx context.Context, _ []*file) (sight, error) {
	status, last, err := c.run(ctx, c.name, c.settings)
	switch {
	case err != nil:
		return sight{}, err
	case status == 0:
		return sight{settled: true}, nil
	case status == again:
		return sight{more: true, pending: "the command asks to be run again", note: last}, nil
	}
	return sight{settled: true, doubt: fmt.Sprintf("the command has exited with status %d", status), note: last}, nil
}
