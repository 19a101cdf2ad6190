package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// GuardedCommand is what runs while groups are kept still.
type GuardedCommand struct {
	// Start starts it, with these variables beside those of this process.
	Start   func(env []string) (Started, error)
	Signals <-chan os.Signal // for the command
	Timeout time.Duration    // 0 = none
}

// Started is a command that was started, with all that it has started in its process
// group: *process.Started.
type Started interface {
	Signal(os.Signal) // to the whole group
	Done() <-chan struct{}
	Code() int // once it is done; 128+n after a signal
}

// Ending is why a command has ended.
type Ending string

// The endings of a command.
const (
	ByItself  Ending = "exit"
	ByTimeout Ending = "timeout"
	ByLoss    Ending = "lost" // of the lock
)

// GuardOutcome is how a guarded command went.
type GuardOutcome struct {
	Held     []GroupHeld
	Started  bool
	Code     int    // of the command, where it was started
	Ending   Ending // "" where it was not started
	Restored []GroupRestored
}

// The variables that a guarded command gets.
const (
	GuardFence = "KOBOSHI_GUARD_FENCE" // the same for all groups
	GuardGroup = "KOBOSHI_GUARD_GROUP" // names with a space between them
)

// killAfter is how long a command has to end after SIGTERM.
const killAfter = 10 * time.Second

// Run runs a command while the groups are kept still, and puts them back.
//
// Errors before the command starts are *guard.HeldError, and [*guard.ReasonsError]; the
// command was then not started. [guard.ErrNotRestored] is returned where a group could not be
// put back. A lock that is lost while the command runs ends the command: see Ending.
func (g *Guard) Run(ctx context.Context, c GuardedCommand) (out GuardOutcome, err error) {
	h, err := g.hold(ctx)
	if err != nil {
		return out, err
	}
	out.Held = h.state()
	if err = context.Cause(ctx); err == nil {
		err = h.attend(c, &out)
	}
	err = errors.Join(h.undo(ctx), err)
	out.Restored = h.restored
	return out, err
}

// attend starts the command, and is with it until it has ended.
func (h *held) attend(c GuardedCommand, out *GuardOutcome) error {
	command, err := c.Start([]string{
		GuardFence + "=" + strconv.FormatInt(out.Held[0].Fence, 10),
		GuardGroup + "=" + strings.Join(h.Groups, " "),
	})
	if err != nil {
		return err
	}
	out.Started, out.Ending = true, ByItself
	var timeout, kill <-chan time.Time
	if c.Timeout > 0 {
		timeout = time.After(c.Timeout)
	}
	end := func(why Ending, within time.Duration) {
		out.Ending, timeout, kill = why, nil, time.After(within)
		command.Signal(syscall.SIGTERM)
	}
	lost := h.lost.Done()
	for ended := false; !ended; {
		select {
		case <-command.Done():
			ended = true
		case s := <-c.Signals:
			command.Signal(s)
		case <-timeout:
			h.Observe(out.Held[0].Group, fmt.Sprintf("the command has not ended after %s", c.Timeout))
			end(ByTimeout, killAfter)
		case <-lost:
			lost = nil
			h.Observe(out.Held[0].Group, fmt.Sprintf("the command is ended: %v", context.Cause(h.lost)))
			end(ByLoss, min(h.remaining()-h.Lease/12, killAfter*2))
		case <-kill:
			kill = nil
			command.Signal(syscall.SIGKILL)
		}
	}
	if out.Ending != ByItself { // what it has left behind in its group
		command.Signal(syscall.SIGKILL)
	}
	out.Code = command.Code()
	return nil
}

// remaining is for how long all leases hold for sure.
func (h *held) remaining() time.Duration {
	left := h.Lease
	for _, l := range h.locks {
		left = min(left, l.Remaining())
	}
	return left
}
