package systemd

import (
	"context"
	"errors"
	"strings"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/coreos/go-systemd/v22/unit"
)

// Mount is a file system that PID 1 mounts, in the name space of the host, by a
// transient unit: what is mounted so is there for every service, and gone after a
// reboot.
//
// It has no default dependencies: a shutdown would unmount it while the app may
// still run. systemd unmounts all that is left at the very end.
type Mount struct {
	What, Where string // absolute, clean paths
	Type        string
	Options     []string
	Description string
}

// mountUnit is the name of the unit of a mount point.
func mountUnit(where string) string { return unit.UnitNamePathEscape(where) + ".mount" }

// Mount mounts, and returns when that is done. A mount point that has its unit
// already, by an earlier call for the same, is mounted by that.
//
// Errors: *JobError where mounting failed, with mount(8)'s reason in the journal of
// the unit; ErrDisconnected; ErrNotBooted.
func (m *Manager) Mount(ctx context.Context, mount Mount) error {
	name := mountUnit(mount.Where)
	if err := m.resetFailed(ctx, name); err != nil {
		return err
	}
	return m.run(ctx, job{
		unit: name,
		queue: func(c *sdbus.Conn, done chan<- string) (int, error) {
			id, err := c.StartTransientUnitAux(ctx, name, "fail", mount.properties(), nil, done)
			if isDBusError(err, "org.freedesktop.systemd1.UnitExists") {
				id, err = c.StartUnitContext(ctx, name, "fail", done)
			}
			return id, unitError("start", name, err)
		},
		judge: func(ctx context.Context, _ bool) (bool, error) {
			s, err := m.State(ctx, name)
			if errors.Is(err, ErrNoUnit) {
				return false, nil
			}
			return s.Active == "active", err
		},
	})
}

// properties make a later stop lazy: what is still in use goes away with its last
// user.
func (m Mount) properties() []sdbus.Property {
	return properties([]property{
		{"Description", m.Description},
		{"What", m.What},
		{"Type", m.Type},
		{"Options", strings.Join(m.Options, ",")},
		{"LazyUnmount", true},
		{"DefaultDependencies", false},
		{"CollectMode", "inactive-or-failed"},
	})
}

// Unmount unmounts a mount point, lazily where [Manager.Mount] has mounted it. One
// that is not mounted is a success.
func (m *Manager) Unmount(ctx context.Context, where string) error {
	name := mountUnit(where)
	if err := m.Stop(ctx, name); err != nil && !errors.Is(err, ErrNoUnit) {
		return err
	}
	return m.resetFailed(ctx, name)
}
