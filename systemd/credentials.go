package systemd

import (
	"context"
	"errors"
	"fmt"
)

// Credentials are the user and groups that a service runs as. The zero value is
// root.
type Credentials struct {
	User, Group string
	Groups      []string // SupplementaryGroups=
	Dynamic     bool     // DynamicUser=; two units with the same user share it
}

// Credentials asks PID 1 which user a service runs as: that of the unit file, or
// the one that PID 1 chose for DynamicUser=. The error is ErrNoUnit where there
// is no such unit. A unit that systemd could not load is an error too: its empty
// user must not be taken for root.
func (m *Manager) Credentials(ctx context.Context, unit string) (c Credentials, err error) {
	if err := m.checkLoaded(ctx, unit, "the user"); err != nil {
		return c, err
	}
	var errs [4]error
	c.User, errs[0] = serviceProperty[string](ctx, m, unit, "User")
	c.Group, errs[1] = serviceProperty[string](ctx, m, unit, "Group")
	c.Groups, errs[2] = serviceProperty[[]string](ctx, m, unit, "SupplementaryGroups")
	c.Dynamic, errs[3] = serviceProperty[bool](ctx, m, unit, "DynamicUser")
	return c, errors.Join(errs[:]...)
}

// checkLoaded refuses to ask for what a unit file says where systemd has not read one.
func (m *Manager) checkLoaded(ctx context.Context, unit, what string) error {
	loaded, err := unitProperty[string](ctx, m, unit, "LoadState")
	switch {
	case err != nil:
		return err
	case loaded == "not-found":
		return unitError("ask for", unit, ErrNoUnit)
	case loaded != "loaded":
		return fmt.Errorf("ask for %s of %s: the unit is not loaded: %q", what, unit, loaded)
	}
	return nil
}
