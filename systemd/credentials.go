package systemd

import (
	"context"
	"errors"
)

// Credentials say as whom a service runs. The zero value is root.
type Credentials struct {
	User, Group string
	Groups      []string // SupplementaryGroups=
	Dynamic     bool     // DynamicUser=; two units with the same user share it
}

// Credentials returns as whom a service runs, as PID 1 has it: from the unit
// file, or by itself for DynamicUser=. The error is ErrNoUnit where there is no
// such unit.
func (m *Manager) Credentials(ctx context.Context, unit string) (c Credentials, err error) {
	if _, err := m.State(ctx, unit); err != nil {
		return c, err
	}
	var errs [4]error
	c.User, errs[0] = serviceProperty[string](ctx, m, unit, "User")
	c.Group, errs[1] = serviceProperty[string](ctx, m, unit, "Group")
	c.Groups, errs[2] = serviceProperty[[]string](ctx, m, unit, "SupplementaryGroups")
	c.Dynamic, errs[3] = serviceProperty[bool](ctx, m, unit, "DynamicUser")
	return c, errors.Join(errs[:]...)
}
