package service

import "errors"

var (
	// ErrActivate is a release that could not be made current or started.
	ErrActivate = errors.New("the release could not be started")
	// ErrHook is a hook of a release that failed.
	ErrHook = errors.New("failed hook")
	// ErrUnknown is the answer of Running and Down where it cannot be determined.
	ErrUnknown = errors.New("it is not known whether the app runs")
	// ErrUnusable is a unit that systemd cannot start.
	ErrUnusable = errors.New("the unit cannot be started")
	// ErrNoReload is a unit that service.reload asks for and that cannot do that.
	ErrNoReload = errors.New("service.reload is set, but the unit has no ExecReload=")
	// ErrNoStop is the answer of Stop where there is no way to stop the app.
	ErrNoStop = errors.New("service.stop is not set")
	// ErrNoTimer is an app that systemd does not run, and cannot stop.
	ErrNoTimer = errors.New("systemd does not run the app")
	// ErrNoUser keeps a program of a release from running as root where the app
	// may not.
	ErrNoUser error = noUser{}
)

type noUser struct{}

func (noUser) Error() string { return "the user to run it as is not known" }

// Advice is the hint, the same for hooks and health commands.
func (noUser) Advice() string { return "set hooks.user in the configuration" }
