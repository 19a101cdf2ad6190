package drain

import (
	"context"
	"errors"
	"fmt"
)

// App is the app's service on this machine.
type App interface {
	// Running reports whether the app runs. An error means that it may.
	Running(ctx context.Context) (bool, error)
	// PreStop runs the pre_stop hook of the release that is current, if it has one.
	PreStop(ctx context.Context) (found bool, err error)
	// Stop stops the app; one that does not run is no error.
	Stop(ctx context.Context) error
}

// ErrStop is an app that could not be stopped.
var ErrStop = errors.New("the app could not be stopped")

// preStop runs the release's hook. What is wrong with it keeps nothing from being
// stopped.
func (d *Drain) preStop(ctx context.Context) (string, error) {
	if running, err := d.App.Running(ctx); err == nil && !running {
		return notRunning, nil
	}
	found, err := d.App.PreStop(ctx)
	if err != nil {
		d.warn("the app is stopped all the same: %v", err)
	}
	if !found {
		return "no such hook", nil
	}
	return "", nil
}

const notRunning = "no release is running"

// stop is the last moment at which the notice may be withdrawn, unless another process
// has begun to stop the app.
func (d *Drain) stop(ctx context.Context) (string, error) {
	if d.withdrawn.Load() && !d.Record.Stopped {
		return "", ErrWithdrawn
	}
	if running, err := d.App.Running(ctx); err == nil && !running {
		d.Record.Stopped = true
		return notRunning, nil
	}
	d.beforeStop(ctx)
	d.Record.Stopped = true
	d.save() // before: what was stopped is never taken for what never ran
	if err := d.App.Stop(ctx); err != nil {
		return "", fmt.Errorf("%w: %w", ErrStop, because(ctx, err))
	}
	return "", nil
}

// because puts the end of the time before what failed because of it.
func because(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), ErrDeadline) && !errors.Is(err, ErrDeadline) {
		return fmt.Errorf("%w: %w", ErrDeadline, err)
	}
	return err
}
