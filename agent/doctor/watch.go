package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"koboshi/systemd"
	"koboshi/systemd/install"
)

// order is that in which the machine stops, and whether koboshi install has written it.
type order struct {
	install.Order
	written bool
}

// app is NAME of the app's configuration.
func (f *facts) app() string {
	name, _ := systemd.AppOf(systemd.BootUnit, f.BootUnit)
	return cmp.Or(name, systemd.FirstApp)
}

// watchUnit is the unit that drains the app.
func (f *facts) watchUnit() string { return systemd.UnitOf(systemd.WatchUnit, f.app()) }

func (f *facts) askOrder() (order, error) {
	o, written, err := f.Units.WatchOrder(f.app(), f.Config)
	return order{o, written}, err
}

// checkWatchUnit checks whether the instance is drained before it ends, and in which
// order the machine stops, where apps are units.
func checkWatchUnit(f *facts) (found []Finding) {
	unit, state := f.watchUnit(), f.watch.value
	report, without := warning, "the instance is not drained before it ends"
	if f.config.NodeID.On() {
		report, without = failure, "no node id is claimed, no lease is renewed, and "+without
	}
	switch {
	case len(f.units) == 0:
		return nil
	case errors.Is(f.watch.err, systemd.ErrNoUnit):
		return report("koboshi install brings it and enables it", "there is no %s: %s", unit, without)
	case f.watch.err != nil:
		return unknown(f.watch.err)
	case state.Enabled != "enabled" && state.Enabled != "enabled-runtime":
		found = report("systemctl enable "+unit, "%s is %s: it does not run after the next start", unit, state.Enabled)
	case state.Active != "active":
		found = report("systemctl start it; journalctl -u shows why it does not run", "%s is %s (%s): %s", unit, state.Active, state.Sub, without)
	}
	found = append(found, f.checkStopOrder(unit)...)
	if len(found) > 0 {
		return found
	}
	return fine("%s is running, and stops %s", unit, f.order.value.words())
}

// checkStopOrder is about the drop-in that koboshi install writes for it.
func (f *facts) checkStopOrder(unit string) (found []Finding) {
	switch {
	case f.order.err != nil:
		return unknown(fmt.Errorf("the order in which the machine stops: %w", f.order.err))
	case !f.order.value.written:
		return warning("koboshi install writes it", "the drop-in of %s is not that of the configuration: the machine may stop its log shippers too early", unit)
	}
	for _, left := range f.order.value.LeftOut {
		found = append(found, warning("remove that ordering; what is left out may be stopped before its logs are delivered",
			"when the machine stops, %s does not wait as it should: an ordering cycle would come of %s", unit, left)...)
	}
	return found
}

// words is the order for people.
func (o order) words() string {
	var words []string
	if len(o.Before) > 0 {
		words = append(words, "after "+strings.Join(o.Before, ", "))
	}
	if len(o.After) > 0 {
		words = append(words, "before "+strings.Join(o.After, ", "))
	}
	return cmp.Or(strings.Join(words, " and "), "when the machine does")
}
