package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

const (
	// killAfter is how long a command has to end after SIGTERM.
	killAfter = 5 * time.Second
	// discardLimit bounds the removal of a command's unit.
	discardLimit = killAfter + 10*time.Second
	// outputGrace is how long the output of what has ended is waited for.
	outputGrace = time.Second

	// The priorities of syslog(3) up to which something is told.
	logEmergency, logDebug = 0, 7
)

// Command is a command to run in a unit of its own, which is made for it
// (systemd-run): no shell, /dev/null as standard input, no terminal, and no way
// to gain privileges.
type Command struct {
	Unit        string   // a name that no other command uses at the same time
	Description string   // for systemctl status and the journal
	Args        []string // the first is an absolute path
	Dir         string
	Env         []string // beside what systemd tells every service
	As          Credentials
	Timeout     time.Duration
	Output      io.Writer // standard output and error; written to by one goroutine
	Quiet       bool      // no word of it in the journal, even where it fails
}

// Run runs a command to its end. However it ends, nothing of it is left: when
// ctx or the timeout ends first its whole control group gets SIGTERM, and
// SIGKILL 5 s later. So does what an earlier process left in a unit of that
// name.
//
// Errors: *JobError where it failed; the cause of the context or of the
// timeout; ErrDisconnected.
func (m *Manager) Run(ctx context.Context, c Command) (err error) {
	if err := m.discard(ctx, c.Unit); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("no end within %v", c.Timeout))
	defer cancel()
	out, err := capture(c.Output)
	if err != nil {
		return err
	}
	if err = m.runUnit(ctx, c, out.to); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return errors.Join(err, m.discard(ctx, c.Unit), out.close())
}

// runUnit waits for the answer to a start that it has sent, even if ctx ends
// meanwhile: only what has started can be stopped.
func (m *Manager) runUnit(ctx context.Context, c Command, output *os.File) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardLimit)
	defer cancel()
	done := make(chan string, 1)
	if _, err := m.conn.StartTransientUnitContext(call, c.Unit, "fail", c.properties(output), done); err != nil {
		return unitError("start", c.Unit, err)
	}
	return m.await(ctx, c.Unit, done)
}

// discard ends what runs in a command's unit, and forgets that it failed. It
// does so after ctx has ended, too.
func (m *Manager) discard(ctx context.Context, unit string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardLimit)
	defer cancel()
	if err := m.Stop(ctx, unit); err != nil && !errors.Is(err, ErrNoUnit) {
		return err
	}
	err := m.conn.ResetFailedUnitContext(ctx, unit)
	if err != nil && !isDBusError(err, "org.freedesktop.systemd1.NoSuchUnit") {
		return unitError("reset", unit, err)
	}
	return nil
}

// properties are the unit's. What keeps it from harm leaves alone whatever its
// user may write to.
func (c Command) properties(output *os.File) []sdbus.Property {
	type exec struct { // of org.freedesktop.systemd1(5), ExecStartEx
		Path        string
		Args, Flags []string
	}
	pipe := dbus.UnixFD(output.Fd()) //nolint:gosec // a descriptor fits
	told := int32(logDebug)
	if c.Quiet {
		told = logEmergency
	}
	var all []sdbus.Property
	for _, p := range []struct {
		name  string
		value any
	}{
		{"Description", c.Description},
		{"Type", "oneshot"}, // its start lasts until the command has ended
		{"ExecStartEx", []exec{{c.Args[0], c.Args, []string{"no-env-expand"}}}},
		{"WorkingDirectory", c.Dir},
		{"Environment", c.Env},
		{"StandardOutputFileDescriptor", pipe},
		{"StandardErrorFileDescriptor", pipe},
		{"TimeoutStartUSec", usec(c.Timeout + discardLimit)}, // should we be gone by then
		{"TimeoutStopUSec", usec(killAfter)},
		{"KillMode", "control-group"},
		{"LogLevelMax", told}, // of what PID 1 says of the unit, too
		{"User", c.As.User},   // empty is systemd's default, and so with the next
		{"Group", c.As.Group},
		{"SupplementaryGroups", c.As.Groups},
		{"DynamicUser", c.As.Dynamic},
		{"NoNewPrivileges", true},
		{"PrivateTmp", true},
		{"ProtectControlGroups", true},
		{"ProtectKernelModules", true},
		{"ProtectKernelTunables", true},
		{"ProtectSystem", "full"},
		{"RestrictSUIDSGID", true},
	} {
		all = append(all, sdbus.Property{Name: p.name, Value: dbus.MakeVariant(p.value)})
	}
	return all
}

func usec(d time.Duration) uint64 { return uint64(max(d, 0).Microseconds()) } //nolint:gosec // not negative

// captured is a pipe whose one end goes to a unit, and whose other end is read.
type captured struct {
	to, from *os.File
	read     chan struct{} // closed at its end
}

func capture(output io.Writer) (*captured, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &captured{to: to, from: from, read: make(chan struct{})}
	go func() {
		defer close(c.read)
		_, _ = io.Copy(output, from) // it only tells what went on
	}()
	return c, nil
}

// close returns when all of the output has been read, or whoever may still hold
// the pipe has had the time to let go of it.
func (c *captured) close() error {
	_ = c.to.Close() // a copy is with the unit
	_ = c.from.SetReadDeadline(time.Now().Add(outputGrace))
	<-c.read
	return c.from.Close()
}
