package install

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"koboshi/agent/config"
	"koboshi/systemd"
)

// Order is the order in which a machine stops: the app, its watch, the log shippers.
// It is the reverse of the one in which it starts.
type Order struct {
	After   []string // the units of the log shippers
	Before  []string // the app's
	LeftOut []string // those that would close an ordering cycle, and why
	text    string   // of the drop-in
}

const orderFile = "10-order.conf"

// stopMargin is how long a watch may take to end, besides drain.on_shutdown.
const stopMargin = 15 * time.Second

// shipperUnits are the units of a kind of log shipper, by the names that their
// packages give them. systemd ignores an ordering on a name that does not exist.
func shipperUnits(kind string) []string {
	switch kind {
	case config.Rsyslog:
		return []string{"rsyslog.service"}
	case config.CloudWatchAgent:
		return []string{"amazon-cloudwatch-agent.service"}
	case config.KinesisAgent:
		return []string{"aws-kinesis-agent.service"}
	case config.FluentBit:
		return []string{"fluent-bit.service"}
	case config.OTelCollector:
		return []string{"otelcol.service", "otelcol-contrib.service"}
	}
	return nil // any program: its unit has no name of its own
}

// WatchOrder finds the order for the watch of an app by the unit files of the root,
// and reports whether the drop-in there is the one that [Root.Install] writes.
func (r *Root) WatchOrder(app string, cfg *config.Config) (o Order, written bool, err error) {
	units, err := r.readOrdering()
	if err != nil {
		return o, false, err
	}
	watch, boot := systemd.UnitOf(systemd.WatchUnit, app), systemd.UnitOf(systemd.BootUnit, app)
	links, err := wantedBy(systemd.BootUnit, app)
	if err != nil {
		return o, false, err
	}
	for _, link := range links { // the boot will be enabled
		units.order(strings.TrimSuffix(path.Base(path.Dir(link)), ".wants"), boot)
	}
	for _, unit := range cfg.Service.AllUnits() {
		o.place(&o.Before, unit, units.wait(watch, unit))
	}
	for _, unit := range shippersOf(cfg) { // which the app then starts after, and a boot waits for the app
		o.place(&o.After, unit, units.wait(unit, append([]string{boot}, o.Before...)...))
	}
	o.text = orderDropIn(o, time.Duration(cfg.Drain.OnShutdown))
	return o, r.holds(dropInOf(systemd.WatchUnit, app, orderFile), []byte(o.text)), nil
}

// place puts a unit where it belongs, unless there is a reason why it would close a cycle.
func (o *Order) place(list *[]string, unit, cycle string) {
	if kind := path.Ext(unit); kind != ".service" && kind != ".timer" {
		return // a socket or path starts before any service does, and writes no logs
	}
	if cycle != "" {
		o.LeftOut = append(o.LeftOut, unit+", since "+cycle)
		return
	}
	*list = append(*list, unit)
}

// shippersOf are the units of all log shippers of a configuration, in name order.
func shippersOf(cfg *config.Config) (units []string) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Drain.Flush)) {
		units = append(units, shipperUnits(cfg.Drain.Flush[name].Kind)...)
	}
	slices.Sort(units)
	return slices.Compact(units)
}

// orderDropIn is the text of a drop-in for such an order.
func orderDropIn(o Order, onShutdown time.Duration) string {
	var text strings.Builder
	text.WriteString("# Written by koboshi install: the app is stopped first, then the watch, then the log shippers.\n[Unit]\n")
	for _, left := range o.LeftOut {
		fmt.Fprintf(&text, "# Left out, since it would close an ordering cycle: %s.\n", left)
	}
	for _, unit := range o.After {
		fmt.Fprintf(&text, "After=%s\n", unit)
	}
	for _, unit := range o.Before {
		fmt.Fprintf(&text, "Before=%s\n", unit)
	}
	fmt.Fprintf(&text, "[Service]\nTimeoutStopSec=%gs\n", (onShutdown + stopMargin).Seconds())
	return text.String()
}

// orderWatch writes the drop-in.
func (r *Root) orderWatch(app string, cfg *config.Config) error {
	o, written, err := r.WatchOrder(app, cfg)
	if err != nil || written {
		return err
	}
	return r.file(dropInOf(systemd.WatchUnit, app, orderFile), []byte(o.text), 0o644)
}
