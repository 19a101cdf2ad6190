package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koboshi/agent/group"
	"koboshi/agent/guard"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/pace"
)

// Guard keeps Auto Scaling groups still around a deploy. Its maker sets the fields.
type Guard struct {
	Records bucket.Bucket
	Local   func() time.Time // the clock of a store that has none of its own, see guard.Open
	Scaling scaling
	Groups  []string // sorted, each of them once

	Holder, Reason string
	Suspend        []group.Process
	Lease          time.Duration
	Wait           time.Duration // for the groups to be quiet, in all; 0 = look once
	Allow          []guard.Code  // reasons that do not count
	Application    string        // of CodeDeploy; "" = it is not asked
	Deployments    string        // the deployment group of Application

	Observe func(group, line string) // what is done, for people
}

// scaling is Auto Scaling and CodeDeploy: *group.Client.
type scaling interface {
	Describe(ctx context.Context, name string) (group.Group, error)
	Activities(ctx context.Context, name string) ([]group.Event, error)
	Refreshes(ctx context.Context, name string, ids ...string) ([]group.Refresh, error)
	Deployments(ctx context.Context, app, deploymentGroup string) ([]string, error)
	Suspend(ctx context.Context, name string, first group.Process, more ...group.Process) error
	Resume(ctx context.Context, name string, first group.Process, more ...group.Process) error
}

// Check looks for reasons for which the groups are not safe to deploy to, until there
// are none, until there is one that waiting does not help, or until g.Wait is over. It
// changes nothing.
func (g *Guard) Check(ctx context.Context) (all []guard.GroupReasons, err error) {
	until := time.Now().Add(g.Wait)
	var told pace.Told
	for {
		all = nil
		for _, name := range g.Groups {
			lock, err := guard.Open(ctx, g.Records, name, g.Local)
			if err != nil {
				return nil, err
			}
			look, err := g.look(ctx, name, group.Group{})
			if err != nil {
				return nil, err
			}
			reasons := look.Reasons(lock.Record(), g.Allow)
			if !slices.Contains(g.Allow, guard.Locked) {
				reasons = append(lock.Record().HeldReason(lock.Now()), reasons...)
			}
			all = append(all, guard.GroupReasons{Group: name, Safe: len(reasons) == 0, Reasons: append([]guard.Reason{}, reasons...)})
		}
		unsafe := guard.Unsafe(all)
		if unsafe == nil || errors.Is(unsafe, guard.ErrNotSafe) || time.Now().After(until) {
			return all, nil
		}
		if told.Due(unsafe.Error()) {
			g.observeReasons(all)
		}
		if err := pace.Sleep(ctx, between); err != nil {
			return nil, err
		}
	}
}

// between is the pause between two looks at a group that is not quiet: each costs three
// or four calls of the account's rate.
const between = 5 * time.Second

// look asks what a group is doing. The group itself is not asked for where it was seen
// just now.
func (g *Guard) look(ctx context.Context, name string, seen group.Group) (l guard.Look, err error) {
	if l.Group = seen; seen.Name == "" {
		if l.Group, err = g.Scaling.Describe(ctx, name); err != nil {
			return l, err
		}
	}
	if l.Activities, err = g.Scaling.Activities(ctx, name); err != nil {
		return l, err
	}
	if l.Refreshes, err = g.Scaling.Refreshes(ctx, name); err != nil {
		return l, err
	}
	if g.Application != "" {
		l.Deployments, err = g.Scaling.Deployments(ctx, g.Application, g.Deployments)
	}
	return l, err
}

// GroupStatus is what is recorded of a group.
type GroupStatus struct {
	Record guard.Record
	Now    time.Time // by the store's clock; zero where there is no record
}

// Status reads the records of the groups, or of all groups where none are given. A group
// without one is left out.
func (g *Guard) Status(ctx context.Context) (all []GroupStatus, err error) {
	names := g.Groups
	if len(names) == 0 {
		if names, err = guard.List(ctx, g.Records); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		lock, err := guard.Open(ctx, g.Records, name, g.Local)
		if err != nil {
			return nil, err
		}
		if lock.Exists() {
			all = append(all, GroupStatus{lock.Record(), lock.Now()})
		}
	}
	return all, nil
}

// GroupHeld is a group that is kept still.
type GroupHeld struct {
	Group     string
	Fence     int64
	Until     time.Time       // the lease's end, by the store's clock
	Suspended []group.Process // by the guard
	Before    []group.Process // by others before it
}

// GroupRestored is a group that was put back.
type GroupRestored struct {
	Group   string          `json:"group"`
	Was     string          `json:"holder,omitempty"` // of the record that was repaired
	Resumed []group.Process `json:"resumed"`
	Left    []guard.Left    `json:"left"`
}

// Acquire takes the groups and keeps them still until someone releases or repairs them:
// all of them, or none. Errors are those of [Guard.Run] before its command starts.
func (g *Guard) Acquire(ctx context.Context) ([]GroupHeld, error) {
	h, err := g.hold(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.extend(); err != nil {
		return nil, errors.Join(h.undo(ctx), err)
	}
	h.stop()
	return h.state(), nil
}

// Renew extends the lease that has the fence.
func (g *Guard) Renew(ctx context.Context, fence int64) ([]GroupHeld, error) {
	h, err := g.goOn(ctx, fence)
	if err != nil {
		return nil, err
	}
	for _, l := range h.locks {
		if r := l.Record(); r.State == guard.Released || l.Remaining() <= 0 {
			return nil, fmt.Errorf("group %s: %w, at %s", r.Group, guard.ErrEnded, r.Until.Format(time.RFC3339))
		}
	}
	for _, l := range h.locks {
		if err := l.Renew(ctx); err != nil {
			return nil, err
		}
	}
	return h.state(), nil
}

// Release puts the groups back that are held with the fence. What is released already is
// no error.
func (g *Guard) Release(ctx context.Context, fence int64) ([]GroupRestored, error) {
	h, err := g.goOn(ctx, fence)
	if err != nil {
		return nil, err
	}
	h.keep()
	err = h.undo(ctx)
	return h.restored, err
}

// Repair puts back what dead holders have left, and releases the groups. The error is
// *guard.HeldError while a lease has not ended a minute ago, unless it is forced.
func (g *Guard) Repair(ctx context.Context, force bool) ([]GroupRestored, error) {
	h := &held{Guard: g}
	var was []string
	for _, name := range g.Groups {
		lock, err := guard.Open(ctx, g.Records, name, g.Local)
		if err != nil {
			return nil, err
		}
		if lock.Record().State == guard.Released {
			g.Observe(name, "nothing to repair")
			continue
		}
		h.locks, was = append(h.locks, lock), append(was, lock.Record().Holder)
	}
	for n, lock := range h.locks {
		if err := lock.TakeOver(ctx, g.Holder, g.Lease, force); err != nil {
			h.locks = h.locks[:n]
			h.keep()
			err = errors.Join(h.undo(ctx), err)
			return h.restored, err
		}
	}
	h.keep()
	err := h.undo(ctx)
	for n := range h.restored {
		h.restored[n].Was = was[slices.IndexFunc(h.locks, func(l *guard.Lock) bool { return l.Record().Group == h.restored[n].Group })]
	}
	return h.restored, err
}
