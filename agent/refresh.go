package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koboshi/agent/group"
	"koboshi/agent/refresh"
	"koboshi/artifacts/pace"
)

// refreshing is what a [Refresher] needs of Auto Scaling: *group.Client.
type refreshing interface {
	Describe(ctx context.Context, group string) (group.Group, error)
	Refreshes(ctx context.Context, group string, ids ...string) ([]group.Refresh, error)
	StartRefresh(ctx context.Context, group string, o group.RefreshOptions) (id string, err error)
	CancelRefresh(ctx context.Context, group string) error
	RollbackRefresh(ctx context.Context, group string) error
}

// Refresher starts, follows and ends the instance refresh of a group. Auto Scaling alone
// replaces instances.
type Refresher struct {
	Scaling refreshing
	Group   string
	Observe func(group.Refresh) // each time it was looked at; never nil
}

const (
	// refreshLook is how often a refresh is looked at in the end: calls of Auto Scaling
	// share one budget in an account and region.
	refreshLook = 10 * time.Second
	// noAnswer is for how long it is looked for a refresh that is not shown.
	noAnswer = 10 * time.Minute
)

// Start starts a refresh that fits the group, and returns its id. Errors are
// *[refresh.RefusedError] and [group.ErrRefreshing], where nothing was started.
func (r *Refresher) Start(ctx context.Context, o group.RefreshOptions) (id string, err error) {
	g, err := r.Scaling.Describe(ctx, r.Group)
	if err != nil {
		return "", err
	}
	if err := refresh.Fits(o, g); err != nil {
		return "", err
	}
	last, err := r.Newest(ctx)
	switch {
	case errors.Is(err, group.ErrNoRefresh):
	case err != nil:
		return "", err
	case last.Active():
		return "", fmt.Errorf("group %s: %w, %s, since %s", r.Group, group.ErrRefreshing, last.Status, last.Started.Format(time.RFC3339))
	}
	id, err = r.Scaling.StartRefresh(ctx, r.Group, o)
	if errors.Is(err, group.ErrRefreshing) { // by this very call, if its first answer was lost
		if last, e := r.Newest(ctx); e == nil && last.Active() && !last.Started.Before(g.At) && refresh.Matches(o, last) {
			return last.ID, nil
		}
	}
	return id, err
}

// Newest is the newest refresh of the group, [group.ErrNoRefresh] where there is none.
func (r *Refresher) Newest(ctx context.Context) (group.Refresh, error) {
	all, err := r.Scaling.Refreshes(ctx, r.Group)
	if err != nil {
		return group.Refresh{}, err
	}
	if len(all) == 0 {
		return group.Refresh{}, fmt.Errorf("group %s: %w", r.Group, group.ErrNoRefresh)
	}
	return all[0], nil
}

// Follow waits until a refresh has ended, as wanted or else with *[refresh.EndedError].
// When ctx ends the refresh goes on.
func (r *Refresher) Follow(ctx context.Context, id, want string) (last group.Refresh, err error) {
	pause := pace.Backoff{First: time.Second, Most: refreshLook}
	for looks, lost := 1, time.Now().Add(noAnswer); ; looks++ {
		all, err := r.Scaling.Refreshes(ctx, r.Group, id)
		switch i := slices.IndexFunc(all, func(found group.Refresh) bool { return found.ID == id }); {
		case err != nil && (!errors.Is(err, group.ErrUnavailable) || !time.Now().Before(lost)):
			return last, err
		case err != nil:
		case i < 0 && !time.Now().Before(lost): // Describe may lag behind the start, but not for so long
			return last, fmt.Errorf("group %s: %w with the id %s", r.Group, group.ErrNoRefresh, id)
		case i >= 0:
			last, lost = all[i], time.Now().Add(noAnswer)
			r.Observe(last)
		}
		if last.ID == id && !last.Active() {
			if last.Status != want {
				return last, &refresh.EndedError{Group: r.Group, Refresh: last}
			}
			return last, nil
		}
		if err := pace.Sleep(ctx, pause.Pause(looks, 1)); err != nil {
			return last, err
		}
	}
}

// Cancel cancels the active refresh, and returns its id.
func (r *Refresher) Cancel(ctx context.Context) (id string, err error) {
	last, err := r.active(ctx)
	if err != nil {
		return "", err
	}
	return last.ID, r.Scaling.CancelRefresh(ctx, r.Group)
}

func (r *Refresher) active(ctx context.Context) (group.Refresh, error) {
	last, err := r.Newest(ctx)
	if err == nil && !last.Active() {
		err = fmt.Errorf("group %s: %w is active: the last one has ended as %s", r.Group, group.ErrNoRefresh, last.Status)
	}
	return last, err
}

// Rollback rolls the active refresh back, and returns its id. Instances that a rollback
// launches follow their channel: so prepare, which moves that, has to succeed before, and
// is not called for a rollback that AWS would refuse.
func (r *Refresher) Rollback(ctx context.Context, prepare func(context.Context) error) (id string, err error) {
	last, err := r.active(ctx)
	if err != nil {
		return "", err
	}
	g, err := r.Scaling.Describe(ctx, r.Group)
	if err != nil {
		return "", err
	}
	if err := refresh.MayRollBack(last, g); err != nil {
		return "", err
	}
	if err := prepare(ctx); err != nil {
		return "", err
	}
	return last.ID, r.Scaling.RollbackRefresh(ctx, r.Group)
}
