package systemd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

var (
	// ErrNotBooted means that systemd is not PID 1 here.
	ErrNotBooted = errors.New("this machine was not booted with systemd")
	// ErrNoUnit means that systemd knows no such unit.
	ErrNoUnit = errors.New("no such unit")
	// ErrDisconnected means that the connection to systemd was lost while a job
	// was running; how the job ended is not known.
	ErrDisconnected = errors.New("connection to systemd lost")
)

// bootedDir exists exactly where systemd is PID 1: sd_booted(3).
const bootedDir = "/run/systemd/system"

// Manager is a connection to PID 1. It is safe for concurrent use.
type Manager struct {
	conn   *sdbus.Conn
	cancel context.CancelFunc
}

// State is the state of a unit at one moment.
type State struct {
	Active     string // ActiveState: active, reloading, inactive, failed, activating, deactivating
	Sub        string // SubState, finer: running, exited, auto-restart, …
	Invocation string // 32 hex digits; "" for a unit that was never started
	Restarts   uint32 // NRestarts: how often Restart= has started it again; 0 for a unit that is no service
	MainPID    uint32 // 0 when nothing runs
	Enabled    string // UnitFileState: enabled, disabled, static, masked, …
}

// Connect connects to systemd over the system bus or, for root, its private
// socket. ctx bounds only the connecting: the connection stays open until Close.
// The error is ErrNotBooted where there is no systemd to talk to.
func Connect(ctx context.Context) (*Manager, error) {
	if _, err := os.Lstat(bootedDir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotBooted, err)
	}
	return connect(ctx, sdbus.NewWithContext)
}

func connect(ctx context.Context, dial func(context.Context) (*sdbus.Conn, error)) (*Manager, error) {
	// godbus closes a connection when the context of its dial ends.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	release := context.AfterFunc(ctx, cancel)
	conn, err := dial(life)
	if !release() { // ctx ended, which closed the connection
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return &Manager{conn: conn, cancel: cancel}, nil
}

// Close ends the connection. Queued jobs continue.
func (m *Manager) Close() {
	m.conn.Close()
	m.cancel()
}

// Link makes the unit file at an absolute path known to systemd under its own
// name, in place of an earlier one of that name (systemctl link). The file is
// read from that path, again at every [Manager.Reload].
func (m *Manager) Link(ctx context.Context, path string) error {
	const lasting, replace = false, true
	if _, err := m.conn.LinkUnitFilesContext(ctx, []string{path}, lasting, replace); err != nil {
		return fmt.Errorf("link %s: %w", path, err)
	}
	return m.Reload(ctx)
}

// Reload makes systemd read its unit files again (systemctl daemon-reload).
func (m *Manager) Reload(ctx context.Context) error {
	if err := m.conn.ReloadContext(ctx); err != nil {
		return fmt.Errorf("reload systemd: %w", err)
	}
	return nil
}

// State asks for the present state of a unit. The error is ErrNoUnit where
// there is no such unit.
func (m *Manager) State(ctx context.Context, unit string) (State, error) {
	props, err := m.conn.GetUnitPropertiesContext(ctx, unit)
	if err != nil {
		return State{}, unitError("ask for", unit, err)
	}
	if props["LoadState"] == "not-found" {
		return State{}, unitError("ask for", unit, ErrNoUnit)
	}
	invocation, _ := props["InvocationID"].([]byte)
	s := State{Invocation: hex.EncodeToString(invocation)}
	s.Active, _ = props["ActiveState"].(string)
	s.Sub, _ = props["SubState"].(string)
	s.Enabled, _ = props["UnitFileState"].(string)
	if strings.HasSuffix(unit, ".service") {
		s.Restarts, err = serviceProperty[uint32](ctx, m, unit, "NRestarts")
		if err == nil {
			s.MainPID, err = serviceProperty[uint32](ctx, m, unit, "MainPID")
		}
	}
	return s, err
}

// serviceProperty asks for a single property: for all properties of a service
// PID 1 reads a dozen cgroup files, and the gate asks often.
func serviceProperty[T any](ctx context.Context, m *Manager, unit, name string) (T, error) {
	var value T
	property, err := m.conn.GetServicePropertyContext(ctx, unit, name)
	if err != nil {
		return value, unitError("ask for "+name+" of", unit, err)
	}
	value, ok := property.Value.Value().(T)
	if !ok {
		return value, fmt.Errorf("ask for %s of %s: got a %s", name, unit, property.Value.Signature())
	}
	return value, nil
}

// unitError adds what was tried, and turns D-Bus's own error into ErrNoUnit.
func unitError(tried, unit string, err error) error {
	if isDBusError(err, "org.freedesktop.systemd1.NoSuchUnit") {
		err = ErrNoUnit
	}
	return fmt.Errorf("%s %s: %w", tried, unit, err)
}

func isDBusError(err error, name string) bool {
	dbusErr, ok := errors.AsType[dbus.Error](err)
	return ok && dbusErr.Name == name
}
