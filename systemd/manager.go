package systemd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

var (
	// ErrNotBooted means that systemd is not PID 1 here.
	ErrNotBooted = errors.New("this machine was not booted with systemd")
	// ErrNoUnit means that systemd knows no such unit.
	ErrNoUnit = errors.New("no such unit")
	// ErrDisconnected means that systemd did not answer, over any connection, for
	// as long as it is waited for. The state of the units is then unknown.
	ErrDisconnected = errors.New("systemd does not answer")
)

// bootedDir exists exactly where systemd is PID 1: sd_booted(3).
const bootedDir = "/run/systemd/system"

// State is the state of a unit at one moment.
type State struct {
	Active     string // ActiveState: active, reloading, inactive, failed, activating, deactivating
	Sub        string // SubState, finer: running, exited, auto-restart, …
	Invocation string // 32 hex digits; "" for a unit that was never started
	Restarts   uint32 // NRestarts: how often Restart= has started it again; 0 for a unit that is no service
	MainPID    uint32 // 0 when nothing runs
	Enabled    string // UnitFileState: enabled, disabled, static, masked, …
	Loaded     string // LoadState: loaded, masked, bad-setting, …
	Name       string // Id: the unit's own name, where it was asked for by another
	Type       string // of a service: simple, notify, oneshot, …
	Reloads    bool   // CanReload: it has an ExecReload=
}

// Link makes the unit files at absolute paths known to systemd under their own
// names, in place of earlier ones of those names (systemctl link). The files are
// read from those paths, again at every [Manager.Reload].
func (m *Manager) Link(ctx context.Context, paths ...string) error {
	const lasting, replace = false, true
	if err := m.ask(ctx, func(c *sdbus.Conn) error {
		_, err := c.LinkUnitFilesContext(ctx, paths, lasting, replace)
		return err
	}); err != nil {
		return fmt.Errorf("link %s: %w", strings.Join(paths, ", "), err)
	}
	return m.Reload(ctx)
}

// Reload makes systemd read its unit files again (systemctl daemon-reload).
func (m *Manager) Reload(ctx context.Context) error {
	if err := m.ask(ctx, func(c *sdbus.Conn) error { return c.ReloadContext(ctx) }); err != nil {
		return fmt.Errorf("reload systemd: %w", err)
	}
	return nil
}

// State asks for the present state of a unit. The error is ErrNoUnit where
// there is no such unit.
func (m *Manager) State(ctx context.Context, unit string) (State, error) {
	props, err := m.unitProperties(ctx, unit)
	if err != nil {
		return State{}, err
	}
	invocation, _ := props["InvocationID"].([]byte)
	s := State{Invocation: hex.EncodeToString(invocation)}
	s.Active, _ = props["ActiveState"].(string)
	s.Sub, _ = props["SubState"].(string)
	s.Enabled, _ = props["UnitFileState"].(string)
	s.Loaded, _ = props["LoadState"].(string)
	s.Name, _ = props["Id"].(string)
	s.Reloads, _ = props["CanReload"].(bool)
	if !strings.HasSuffix(unit, ".service") {
		return s, nil
	}
	s.Restarts, err = serviceProperty[uint32](ctx, m, unit, "NRestarts")
	if err == nil {
		s.MainPID, err = serviceProperty[uint32](ctx, m, unit, "MainPID")
	}
	if err == nil {
		s.Type, err = serviceProperty[string](ctx, m, unit, "Type")
	}
	return s, err
}

// unitProperties are those that every unit has. The error is ErrNoUnit where
// there is no such unit.
func (m *Manager) unitProperties(ctx context.Context, unit string) (props map[string]any, err error) {
	err = m.ask(ctx, func(c *sdbus.Conn) (err error) {
		props, err = c.GetUnitPropertiesContext(ctx, unit)
		return err
	})
	if err == nil && props["LoadState"] == "not-found" {
		err = ErrNoUnit
	}
	if err != nil {
		return nil, unitError("ask for", unit, err)
	}
	return props, nil
}

// ControlGroup is the path of a service's control group, as seen from the root
// of systemd's own: /system.slice/web.service. It is "" for a unit that does not
// run and for one that has no processes of its own.
func (m *Manager) ControlGroup(ctx context.Context, unit string) (string, error) {
	if !strings.HasSuffix(unit, ".service") {
		return "", nil
	}
	return serviceProperty[string](ctx, m, unit, "ControlGroup")
}

// serviceProperty asks for a single property: for all properties of a service
// PID 1 reads a dozen cgroup files, and the gate asks often.
func serviceProperty[T any](ctx context.Context, m *Manager, unit, name string) (T, error) {
	var property *sdbus.Property
	err := m.ask(ctx, func(c *sdbus.Conn) (err error) {
		property, err = c.GetServicePropertyContext(ctx, unit, name)
		return err
	})
	return propertyValue[T](property, unit, name, err)
}

// property is one of PID 1's own, as the text that the library makes of it.
func (m *Manager) property(ctx context.Context, name string) (text string, err error) {
	err = m.ask(ctx, func(c *sdbus.Conn) (err error) {
		text, err = c.GetManagerProperty(name)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ask systemd for %s: %w", name, err)
	}
	return text, nil
}

// unitProperty asks for a single property that every unit has.
func unitProperty[T any](ctx context.Context, m *Manager, unit, name string) (T, error) {
	var property *sdbus.Property
	err := m.ask(ctx, func(c *sdbus.Conn) (err error) {
		property, err = c.GetUnitPropertyContext(ctx, unit, name)
		return err
	})
	return propertyValue[T](property, unit, name, err)
}

func propertyValue[T any](property *sdbus.Property, unit, name string, err error) (T, error) {
	var value T
	if err != nil {
		return value, unitError("ask for "+name+" of", unit, err)
	}
	value, ok := property.Value.Value().(T)
	if !ok {
		return value, fmt.Errorf("ask for %s of %s: got a %s", name, unit, property.Value.Signature())
	}
	return value, nil
}

// unitError adds what was tried to an error, and turns D-Bus's own error into ErrNoUnit.
func unitError(tried, unit string, err error) error {
	if err == nil {
		return nil
	}
	if isDBusError(err, "org.freedesktop.systemd1.NoSuchUnit") {
		err = ErrNoUnit
	}
	return fmt.Errorf("%s %s: %w", tried, unit, err)
}

// Denied reports whether systemd has refused a request because of who made it.
func Denied(err error) bool {
	return isDBusError(err, "org.freedesktop.DBus.Error.AccessDenied") ||
		isDBusError(err, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")
}

func isDBusError(err error, name string) bool {
	dbusErr, ok := errors.AsType[dbus.Error](err)
	return ok && dbusErr.Name == name
}
