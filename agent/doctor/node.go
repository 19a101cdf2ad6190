package doctor

import (
	"context"
	"fmt"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/lease"
	"koboshi/agent/report"
)

// askLease asks the disk, and systemd for the stop of an app that does not keep its
// bounds itself.
func (f *facts) askLease(ctx context.Context) {
	if !f.Config.NodeID.On() {
		return
	}
	together(
		func() { f.lease = local(ctx, f.Node.Lease) },
		func() {
			if f.Config.NodeID.Aware {
				return
			}
			f.stop = ask(ctx, func(ctx context.Context) (time.Time, error) {
				at, _, err := f.Units.StopArmed(ctx, f.Config.App)
				return at, err
			})
		},
	)
}

// tenure is the lease of this instance, and what the next start of the app does with it.
func (f *facts) tenure() (lease.Tenure, lease.Next) {
	r, n := f.lease.value.Record, f.config.NodeID
	if r.Table != n.Table.String() {
		return lease.Tenure{}, lease.ClaimAnew
	}
	recorded := lease.Record{Instance: r.Instance, Boot: r.Boot, Scope: r.Scope, Tenure: r.Tenure(), Phase: r.Phase, Mark: r.Mark}
	return recorded.Resume(f.who.value.ID, f.lease.value.Boot, n.Scope)
}

// bounds are those of the app.
func (f *facts) bounds(t lease.Tenure) lease.Bounds {
	n := f.config.NodeID
	slack := n.Quarantine
	if n.Aware {
		slack = 0
	}
	return t.Bounds(millis(n.Unit), millis(slack))
}

func millis(d config.Duration) lease.Millis { return time.Duration(d).Milliseconds() }

// checkNodeID is about the lease that this instance has, as its disk knows it.
func checkNodeID(f *facts) []Finding {
	l := f.lease.value
	switch {
	case !f.config.NodeID.On():
		return nil
	case f.lease.err != nil:
		return unknown(f.lease.err)
	case len(f.units) == 0 && !l.Watched: // else watch-unit has it
		return failure("start koboshi watch beside the app", "koboshi watch does not run: no node id is claimed, and no lease is renewed")
	case l.Wanted:
		return failure("node-table, node-capacity and node-clock show why none is claimed; koboshi watch tries again every minute", "the app is down for want of a node id")
	case l.Damage != nil:
		return warning("the next start of the app claims another id; the earlier one frees itself", "what is recorded of the lease cannot be used: %v", l.Damage)
	case f.who.err != nil:
		return unknown(errNoID)
	}
	t, next := f.tenure()
	switch next {
	case lease.GoOn:
		return fine("id %d of %s, generation %d, is held; the app is not running", t.ID, l.Record.Scope, t.Gen)
	case lease.Ask:
		return f.heldNode(t)
	}
	return f.noNode()
}

// noNode is why no id is held that counts.
func (f *facts) noNode() []Finding {
	r, n := f.lease.value.Record, f.config.NodeID
	const hint = "koboshi boot or koboshi sync claims one before it starts the app"
	switch {
	case r.Instance == "":
		return warning(hint, "no id is held")
	case r.Instance != f.who.value.ID:
		return warning(hint, "no id is held: what is recorded is of %s, and came with the image", r.Instance)
	case r.Scope != n.Scope || r.Table != n.Table.String():
		return warning("koboshi sync claims one of the scope that is configured, and gives the other one back", "id %d is held in scope %s of %s, which is not the configured one", r.ID, r.Scope, r.Table)
	case r.Phase == lease.Releasing:
		return warning(hint, "no id is held: id %d of %s was given back", r.ID, r.Scope)
	}
	return warning(hint, "no id is held: how far id %d of %s was used before this boot is not known, and it frees itself", r.ID, r.Scope)
}

// heldNode is about a lease under which the app may be running.
func (f *facts) heldNode(t lease.Tenure) []Finding {
	r := f.lease.value.Record
	left := time.UnixMilli(f.bounds(t).ValidUntil).Sub(f.Now)
	held := fmt.Sprintf("id %d of %s, generation %d", t.ID, r.Scope, t.Gen)
	switch {
	case left <= 0:
		return failure("koboshi sync claims anew and starts the app", "%s: the lease ended %s ago", held, report.Duration(-left))
	case r.Failures >= 2:
		return warning("node-table shows whether the table can be reached; the app may run until the lease ends",
			"%s: the last %d renewals have failed, and the lease ends in %s: %s", held, r.Failures, report.Duration(left), r.Failure)
	}
	return fine("%s: the lease ends in %s, and was renewed %s ago", held, report.Duration(left), report.Duration(max(0, f.Now.Sub(r.Renewed))))
}

// checkNodeStop is about the stop that systemd makes before the lease ends, whatever has
// become of koboshi by then.
func checkNodeStop(f *facts) []Finding {
	n := f.config.NodeID
	switch {
	case !n.On():
		return nil
	case n.Aware:
		return fine("the app keeps the bounds of its lease itself: node_id.aware")
	case f.lease.err != nil:
		return unknown(f.lease.err)
	case f.who.err != nil:
		return unknown(errNoID)
	}
	t, next := f.tenure()
	if next != lease.Ask {
		return fine("no app is running under a lease")
	}
	const hint = "the next renewal arms it; koboshi sync --force restarts the app, which arms it at once"
	end := time.UnixMilli(f.bounds(t).ValidUntil)
	switch at := f.stop.value; {
	case f.stop.err != nil:
		return unknown(f.stop.err)
	case at.IsZero():
		return failure(hint, "systemd would not stop the app when its lease ends: nothing is armed")
	case !at.Before(end):
		return failure(hint, "systemd stops the app %s after its lease has ended", report.Duration(at.Sub(end)))
	default:
		return fine("systemd begins to stop the app at %s, %s before its lease ends", at.UTC().Format(time.RFC3339), report.Duration(end.Sub(at)))
	}
}
