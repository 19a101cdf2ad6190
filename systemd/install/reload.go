package install

import (
	"context"
	"errors"
	"slices"
	"strings"

	"koboshi/systemd"
)

// Reload lets the systemd that runs this machine read its units again, where
// the root is this machine's and the changes are to units. A container or a
// chroot without a running systemd needs none: nil.
func (r *Root) Reload(ctx context.Context, changes []Change) error {
	if r.dir != "/" || !slices.ContainsFunc(changes, func(c Change) bool { return strings.HasPrefix(c.Path, UnitDir+"/") }) {
		return nil
	}
	manager, err := systemd.Connect(ctx)
	if errors.Is(err, systemd.ErrNotBooted) {
		return nil
	}
	if err != nil {
		return err
	}
	defer manager.Close()
	return manager.Reload(ctx)
}
