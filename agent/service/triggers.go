package service

import (
	"context"
	"fmt"
	"slices"

	"koboshi/systemd"
)

// involved are the units that have to be down where an app with a node id is: run is its
// own, behind those that they start at an event, and by is the sockets, timers and paths
// that start one of them. Without a node id they are the app's own.
func (u units) involved(ctx context.Context, m manager) (run, by []string, err error) {
	all := u.config.Service.AllUnits()
	if !u.config.NodeID.On() {
		return all, nil, nil
	}
	var of []string
	for _, unit := range all {
		triggers, err := m.Triggers(ctx, unit)
		if err != nil {
			return nil, nil, err
		}
		for _, t := range triggers {
			if !slices.Contains(all, t.Unit) {
				by = append(by, t.Unit)
			}
			if !slices.Contains(all, t.Starts) {
				of = append(of, t.Starts)
			}
		}
	}
	return append(of, all...), by, nil
}

// checkTriggers requires that what starts a unit at an event is started with it, since
// with a node id it is stopped with it.
func (u units) checkTriggers(ctx context.Context, m manager) error {
	if !u.config.NodeID.On() {
		return nil
	}
	all := u.config.Service.AllUnits()
	for _, unit := range all {
		triggers, err := m.Triggers(ctx, unit)
		if err != nil {
			return err
		}
		for _, t := range triggers {
			if t.Starts == unit && !t.Pulled && !slices.Contains(all, t.Unit) {
				return triggerError{t}
			}
		}
	}
	return nil
}

// triggerError is a trigger that would stay down once the app was stopped.
type triggerError struct{ systemd.Trigger }

func (e triggerError) Error() string {
	return fmt.Sprintf("%v: with a node id %s is stopped with %s, and would not be started with it", ErrUnusable, e.Unit, e.Starts)
}

// Unwrap is ErrUnusable.
func (triggerError) Unwrap() error { return ErrUnusable }

// Advice is the hint.
func (e triggerError) Advice() string {
	return fmt.Sprintf("write Requires=%s and After=%s into %s: koboshi help node-ids", e.Unit, e.Unit, e.Starts)
}

// optional reports whether a unit may be missing: one that comes with the release, and one
// that only another unit names.
func (u units) optional(unit string) bool {
	return u.config.Service.Brings(unit) || !slices.Contains(u.config.Service.AllUnits(), unit)
}
