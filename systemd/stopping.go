package systemd

import (
	"context"
	"fmt"
	"strings"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
)

// Stopping reports whether the machine is shutting down: SystemState, see
// systemctl(1), is-system-running.
func (m *Manager) Stopping(ctx context.Context) (bool, error) {
	state, err := m.property(ctx, "SystemState")
	return strings.Trim(state, `"`) == "stopping", err
}

// Enqueue queues a restart of the unit and does not wait for it.
func (m *Manager) Enqueue(ctx context.Context, unit string) error {
	if err := m.ask(ctx, func(c *sdbus.Conn) error {
		_, err := c.RestartUnitContext(ctx, unit, "replace", nil)
		return err
	}); err != nil {
		return fmt.Errorf("restart %s: %w", unit, err)
	}
	return nil
}
