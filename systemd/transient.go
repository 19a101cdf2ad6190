package systemd

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

const (
	// killAfter is how long a command has to end after SIGTERM.
	killAfter = 5 * time.Second
	// discardLimit bounds the removal of a transient unit.
	discardLimit = killAfter + 10*time.Second

	// LogLevelMax= takes the priorities of syslog(3).
	logEmergency, logDebug = 0, 7
)

// Transient is a command to run in a unit that is created for it
// (systemd-run): no shell, no terminal, and no way to gain privileges.
type Transient struct {
	Unit        string   // a name that no other command uses at the same time
	Description string   // for systemctl status and the journal
	Args        []string // the first is an absolute path
	Dir         string
	Env         []string  // in addition to what systemd sets for every service
	Inherited   Inherited // of another unit; its Env is not looked at
	View        *View     // nil = directories are what they are
	As          Credentials
	Timeout     time.Duration // systemd stops the unit soon after, should this process be gone by then
	Input       *os.File      // standard input; nil = /dev/null
	Output      *os.File      // takes standard output and error
	Quiet       bool          // nothing about it in the journal, even where it fails
	AtShutdown  bool          // runs also while the machine shuts down, which else forbids every start
	Bound       bool          // systemd stops the unit at once, should this process be gone by then
}

// RunTransient runs a command in its unit and returns when it has ended. When
// ctx ends first, its whole control group gets SIGTERM, and SIGKILL 5 s later.
// However it ends, the unit is removed. Where the answer to its start was lost,
// and nothing of the unit is there, it is started again: a command that is not
// bound and takes no time may then run twice.
//
// Errors: *JobError if the command failed; the cause of the context;
// ErrDisconnected.
func (m *Manager) RunTransient(ctx context.Context, t Transient) error {
	err := m.startTransient(ctx, t)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return errors.Join(err, m.Discard(ctx, t.Unit))
}

// startTransient waits for the answer to a start that it has sent, even if ctx
// ends meanwhile: only a unit that has started can be stopped.
func (m *Manager) startTransient(ctx context.Context, t Transient) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardLimit)
	defer cancel()
	unit, beside := t.properties(), []sdbus.PropertyCollection{}
	if t.Bound {
		us, err := newOwner(t.Unit)
		if err != nil {
			return unitError("start", t.Unit, err)
		}
		defer us.close()
		unit, beside = append(unit, us.binding()...), append(beside, us.collection(t.As))
	}
	asked, existed := false, false
	return m.run(ctx, job{
		unit: t.Unit,
		queue: func(c *sdbus.Conn, done chan<- string) (int, error) {
			id, err := c.StartTransientUnitAux(call, t.Unit, "fail", unit, beside, done)
			if asked && isDBusError(err, "org.freedesktop.systemd1.UnitExists") {
				existed = true // by the call whose answer was lost
				return 0, nil
			}
			asked = true
			return id, unitError("start", t.Unit, err)
		},
		judge: func(ctx context.Context, answered bool) (bool, error) {
			began, err := m.judgeStart(ctx, t.Unit, "")
			if errors.Is(err, ErrNoUnit) { // one that has failed is kept by systemd
				return answered || existed, nil
			}
			return began, err
		},
	})
}

// Discard stops a transient unit, if there is one of that name, and removes
// what systemd remembers of it. It does so even after ctx has ended.
func (m *Manager) Discard(ctx context.Context, unit string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardLimit)
	defer cancel()
	if err := m.Stop(ctx, unit); err != nil && !errors.Is(err, ErrNoUnit) {
		return err
	}
	return m.resetFailed(ctx, unit)
}

// properties are the unit's. The protection leaves alone every place that the
// command's user may write to.
func (t Transient) properties() []sdbus.Property {
	pipe := dbus.UnixFD(t.Output.Fd()) //nolint:gosec // a descriptor fits
	level := int32(logDebug)
	if t.Quiet {
		level = logEmergency
	}
	of := []property{
		{"Description", t.Description},
		{"Type", "oneshot"}, // its start lasts until the command has ended
		{"ExecStartEx", command(t.Args...)},
		{"WorkingDirectory", t.Dir},
		{"Environment", t.Env},
		{"StandardOutputFileDescriptor", pipe},
		{"StandardErrorFileDescriptor", pipe},
		{"TimeoutStartUSec", usec(t.Timeout + discardLimit)}, // should we be gone by then
		{"TimeoutStopUSec", usec(killAfter)},
		{"KillMode", "control-group"},
		{"LogLevelMax", level}, // also of PID 1's own lines about the unit
		{"User", t.As.User},    // empty is systemd's default, and so with the next
		{"Group", t.As.Group},
		{"SupplementaryGroups", t.As.Groups},
		{"DynamicUser", t.As.Dynamic},
		{"NoNewPrivileges", true},
		{"ProtectControlGroups", true},
		{"ProtectKernelModules", true},
		{"ProtectKernelTunables", true},
		{"ProtectSystem", "full"},
		{"RestrictSUIDSGID", true},
	}
	if t.Input != nil {
		of = append(of, property{"StandardInputFileDescriptor", dbus.UnixFD(t.Input.Fd())}) //nolint:gosec // a descriptor fits
	}
	return slices.Concat(t.Inherited.properties(), t.View.properties(), t.ownTmp(), properties(of))
}

// ownTmp gives the command temporary directories of its own. PrivateTmp= needs the
// mount units of /tmp and /var/tmp, which a shutdown stops, as it conflicts with every
// unit that has the default dependencies.
func (t Transient) ownTmp() []sdbus.Property {
	if !t.AtShutdown {
		return properties([]property{{"PrivateTmp", true}})
	}
	return properties([]property{
		{"DefaultDependencies", false},
		{"TemporaryFileSystem", []filesystem{{"/tmp", "mode=1777"}, {"/var/tmp", "mode=1777"}}},
	})
}

type property struct {
	name  string
	value any
}

func properties(of []property) (all []sdbus.Property) {
	for _, p := range of {
		all = append(all, sdbus.Property{Name: p.name, Value: dbus.MakeVariant(p.value)})
	}
	return all
}

// command is the value of ExecStartEx for one command, taken as it is.
func command(args ...string) any {
	type exec struct { // org.freedesktop.systemd1(5)
		Path        string
		Args, Flags []string
	}
	return []exec{{args[0], args, []string{"no-env-expand"}}}
}

func usec(d time.Duration) uint64 { return uint64(max(d, 0).Microseconds()) } //nolint:gosec // not negative
