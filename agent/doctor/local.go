package doctor

import (
	"cmp"
	"errors"
	"io/fs"
	"os/user"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/service"
	"koboshi/artifacts/store"
	"koboshi/systemd"
)

func checkCurrent(f *facts) []Finding {
	tree, err := f.current.value, f.current.err
	again := "koboshi sync installs what the channel points to"
	switch {
	case tree == nil && absent(err):
		return warning(again, "no release is installed")
	case err != nil:
		return failure(again+"; what is there stays until then", "%v", err)
	case f.who.err != nil:
		return fine("%s is current; whether it passed the gate on this instance is not known", tree.Version)
	case !tree.HealthyOn(f.who.value.ID) && f.resting() != "":
		return fine("%s is current; it goes through the gate when it is started", tree.Version)
	case !tree.HealthyOn(f.who.value.ID):
		return warning("koboshi boot or koboshi sync runs the gate", "%s is current, but has not passed the gate on this instance", tree.Version)
	}
	return fine("%s is current, and passed the gate on this instance", tree.Version)
}

// absent reports that nothing was found where nothing needs to be, unlike a link
// that points nowhere.
func absent(err error) bool {
	_, broken := errors.AsType[*store.LinkError](err)
	return err == nil || errors.Is(err, fs.ErrNotExist) && !broken
}

func checkPrevious(f *facts) []Finding {
	tree, err := f.before.value, f.before.err
	switch {
	case tree == nil && absent(err):
		return fine("there is no previous release yet, so nothing to go back to")
	case err != nil:
		return warning("the next release that passes the gate leaves one to go back to", "%v", err)
	}
	return fine("rollback goes to %s", tree.Version)
}

// checkApp probes the app now, where a release is installed.
func checkApp(f *facts) []Finding {
	switch {
	case f.current.err != nil || f.current.value == nil:
		return unknown(errors.New("no release is installed"))
	case errors.Is(f.healthy.err, health.ErrListener):
		return unknown(f.healthy.err) // the check of the listener has the hint
	case f.healthy.err != nil && f.resting() != "":
		return fine("the app does not run: this instance is %s", f.resting())
	case f.healthy.err != nil:
		return failure("check the app's own log; koboshi verify shows whether its tree was altered", "the app is not healthy now: %v", f.healthy.err)
	}
	return fine("the app is healthy now")
}

// checkListener explains what a report only notes: that it cannot be seen which
// process answers for the app.
func checkListener(f *facts) []Finding {
	app := cmp.Or(f.Config.Service.FirstUnit(), "what the restart command started")
	switch err := f.answers.err; {
	case f.current.err != nil || f.current.value == nil:
		return nil // nothing should answer
	case f.healthy.err != nil && f.resting() != "":
		return nil
	case f.Config.Health.Listener == config.ListenerAny:
		return fine("health.listener is \"any\": whatever answers counts as the app")
	case f.healthy.err != nil && !errors.Is(f.healthy.err, health.ErrListener):
		return unknown(errors.New("the app is not healthy"))
	case errors.Is(err, health.ErrUnseen):
		return warning("if that is as it should be, as with a container or a socket of systemd's, set health.listener = \"any\"",
			"%v, so it may not be %s that answers", err, app)
	case errors.Is(err, health.ErrListener):
		return failure("stop what has the app's port; if it answers for the app, as a proxy does, set health.listener = \"any\"", "%v", err)
	case err != nil:
		return unknown(err)
	}
	if f.Config.Service.FirstUnit() == "" {
		return fine("the process that answers can be seen: a sync finds out whether it is an old one")
	}
	return fine("what answers is %s", app)
}

func checkUnit(f *facts) (found []Finding) {
	if len(f.units) == 0 {
		return fine("the app is started by a command, not by systemd")
	}
	for i, u := range f.units {
		found = append(found, checkOneUnit(f, i, u)...)
	}
	return found
}

func checkOneUnit(f *facts, i int, u unitFacts) []Finding {
	unit, state, err := u.name, u.state.value, u.state.err
	switch {
	case errors.Is(err, systemd.ErrNotBooted):
		return failure("without systemd as PID 1 set service.restart, and service.stop, in place of service.unit", "%s: %v", unit, err)
	case errors.Is(err, systemd.ErrNoUnit) && f.Config.Service.Brings(unit) && f.current.value == nil:
		return fine("%s comes with the first release", unit)
	case errors.Is(err, systemd.ErrNoUnit):
		return failure("install the unit file and run systemctl daemon-reload, or correct service.unit or service.units", "%s: %v", unit, err)
	case err != nil:
		return unknown(err)
	case state.Enabled == "masked" || state.Enabled == "masked-runtime":
		return failure("systemctl unmask it", "%s is masked: it cannot be started", unit)
	}
	switch err := service.CheckUnit(unit, state, f.Config.Service.Reload); {
	case errors.Is(err, service.ErrNoReload):
		return failure("add ExecReload= to the unit, or remove service.reload", "%v", err)
	case err != nil:
		return failure("systemd-analyze verify shows what is wrong with it", "%v", err)
	case state.Enabled == "enabled" || state.Enabled == "enabled-runtime":
		return warning("systemctl disable it: koboshi starts it", "%s is enabled: systemd may start it before koboshi has checked the channel", unit)
	case state.Active == "failed":
		return warning("systemctl status and journalctl -u show why", "%s has failed (%s)", unit, state.Sub)
	case state.Active == "inactive" && f.resting() == "" && f.current.value != nil && !service.MayEnd(i, state):
		return warning("koboshi sync starts it, and so does systemctl start", "%s is inactive (%s), while %s is installed", unit, state.Sub, f.current.value.Version)
	}
	return fine("%s is %s (%s), and %s as it should be", unit, state.Active, state.Sub, state.Enabled)
}

// checkOrdering finds the deadlock before it happens: koboshi starts the units
// and waits for them, while one of them waits for koboshi. Without a unit there is
// nothing to find.
func checkOrdering(f *facts) (found []Finding) {
	for _, u := range f.units {
		found = append(found, checkOrder(f, u)...)
	}
	return found
}

func checkOrder(f *facts, u unitFacts) []Finding {
	unit, through := u.name, u.order.value
	drop := "remove its After= on " + f.BootUnit + " and on what waits for that (multi-user.target, cloud-final.service)"
	switch {
	case u.order.err != nil:
		return unknown(u.order.err)
	case through == unit:
		return failure(drop, "%s is ordered after %s, which starts it: a boot would wait for itself, so it refuses to start it", unit, f.BootUnit)
	case through != "" && u.through.value.Active == "active": // so it was part of this boot, and will be of the next
		return failure(drop, "%s is ordered after %s, and that after %s, which starts it: a boot would wait for itself, so it refuses to start it", unit, through, f.BootUnit)
	case through != "":
		return warning(drop, "%s is ordered after %s, and that after %s: a boot that starts both would wait for itself", unit, through, f.BootUnit)
	}
	return fine("%s does not wait for %s, which starts it", unit, f.BootUnit)
}

// checkBootUnit checks whether koboshi runs by itself, where apps are units.
func checkBootUnit(f *facts) []Finding {
	switch {
	case len(f.units) == 0:
		return nil
	case errors.Is(f.boot.err, systemd.ErrNoUnit):
		return warning("koboshi install brings it and enables it", "there is no %s: koboshi does not run by itself", f.BootUnit)
	case f.boot.err != nil:
		return unknown(f.boot.err)
	case f.boot.value.Enabled != "enabled" && f.boot.value.Enabled != "enabled-runtime":
		return warning("systemctl enable "+f.BootUnit, "%s is %s: koboshi does not run at the next start", f.BootUnit, f.boot.value.Enabled)
	}
	return fine("%s is enabled", f.BootUnit)
}

// checkHookUser checks which user will run the hooks and the health command of
// the release that the channel points to, and the configuration's. Without any
// there is no need of one.
func checkHookUser(f *facts) []Finding {
	if f.manifest.err != nil {
		return nil // the check of the release reports it
	}
	m := f.manifest.value.Manifest()
	if len(m.Hooks.PreStart)+len(m.Hooks.PostStart)+len(m.Hooks.PreStop)+len(m.Health.Command)+len(f.Config.Health.Command)+len(f.Config.Notify.Command) == 0 {
		return nil
	}
	name, err := f.hookUser.value, f.hookUser.err
	_, stranger := errors.AsType[user.UnknownUserError](err)
	switch {
	case errors.Is(err, systemd.ErrNotBooted), errors.Is(err, systemd.ErrNoUnit):
		return unknown(err) // the check of the unit has the hint
	case stranger:
		return warning("create the user when the image is built, or correct hooks.user", "the programs of %s run as %s, a user that is not in /etc/passwd", m.Version, name)
	case err != nil:
		return failure("set hooks.user", "the programs of %s cannot be run: %v", m.Version, err)
	}
	return fine("the programs of %s (hooks, health command) run as %s", m.Version, name)
}
