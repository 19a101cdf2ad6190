package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"koboshi/agent/group"
	"koboshi/agent/guard"
	"koboshi/artifacts/pace"
)

// held are groups whose records name this process as their holder.
type held struct {
	*Guard
	locks    []*guard.Lock
	answered map[string]bool // whether AWS has answered the last Suspend of a group
	restored []GroupRestored

	lost context.Context // ends when the lock of a group is lost, or cannot be renewed in time
	stop func()          // renewing
}

// hold takes the groups, waits until they are quiet, and suspends their processes: all
// groups or none. Where it fails, what it has done is undone.
func (g *Guard) hold(ctx context.Context) (*held, error) {
	h := &held{Guard: g, answered: map[string]bool{}}
	if err := h.acquire(ctx); err != nil {
		return nil, err
	}
	h.keep()
	if err := h.still(ctx); err != nil {
		if lost := context.Cause(h.lost); lost != nil {
			err = lost
		}
		return nil, errors.Join(h.undo(ctx), err)
	}
	return h, nil
}

// acquire makes this the holder of all groups, with one fence.
func (h *held) acquire(ctx context.Context) error {
	var locks []*guard.Lock
	fence := int64(0)
	for _, name := range h.Groups {
		lock, err := guard.Open(ctx, h.Records, name, h.Local)
		if err != nil {
			return err
		}
		if !lock.Exists() { // no record for a misspelled name
			if _, err := h.Scaling.Describe(ctx, name); err != nil {
				return err
			}
		}
		locks, fence = append(locks, lock), max(fence, lock.Record().Fence+1)
	}
	for _, lock := range locks {
		if err := lock.Create(ctx); err != nil {
			return err
		}
	}
	for n, lock := range locks {
		err := lock.Acquire(ctx, guard.Claimant{Holder: h.Holder, Reason: h.Reason, Want: h.Suspend, Lease: h.Lease}, fence)
		if err != nil {
			h.locks = locks[:n]
			h.keep()
			return errors.Join(h.undo(ctx), err)
		}
	}
	h.locks = locks
	h.each(func(r guard.Record) { h.Observe(r.Group, fmt.Sprintf("acquired, fence %d", r.Fence)) })
	return nil
}

// goOn is what another process has acquired, by its fence.
func (g *Guard) goOn(ctx context.Context, fence int64) (*held, error) {
	h := &held{Guard: g}
	for _, name := range g.Groups {
		lock, err := guard.Open(ctx, g.Records, name, g.Local)
		if err == nil {
			err = lock.Continue(fence, g.Lease)
		}
		if err != nil {
			return nil, err
		}
		h.locks = append(h.locks, lock)
	}
	return h, nil
}

func (h *held) each(do func(guard.Record)) {
	for _, l := range h.locks {
		do(l.Record())
	}
}

func (h *held) state() (all []GroupHeld) {
	h.each(func(r guard.Record) {
		all = append(all, GroupHeld{r.Group, r.Fence, r.Until, slices.Sorted(maps.Keys(r.Ours)), slices.Sorted(maps.Keys(r.Before))})
	})
	return all
}

// The lease is renewed when a quarter of it is over. A command gets SIGTERM when a
// quarter is left, and SIGKILL when a twelfth is left.
func (h *held) margin() time.Duration { return h.Lease / 4 }

// keep renews the leases until stop, or until one is lost.
func (h *held) keep() {
	var lose context.CancelCauseFunc
	h.lost, lose = context.WithCancelCause(context.Background())
	renewing, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	h.stop = func() {
		end()
		running.Wait()
	}
	running.Go(func() {
		for pace.Sleep(renewing, h.margin()) == nil {
			for _, l := range h.locks {
				if err := h.renew(renewing, l); err != nil {
					lose(err)
					return
				}
			}
		}
	})
}

// renew tries until the rest of the lease is only enough to end the command. That it is
// stopped is no error.
func (h *held) renew(ctx context.Context, l *guard.Lock) error {
	for {
		round, cancel := context.WithTimeout(ctx, l.Remaining()-h.margin())
		err := l.Renew(round)
		if err != nil && !errors.Is(err, guard.ErrLost) && round.Err() == nil {
			h.Observe(l.Record().Group, fmt.Sprintf("the lease is not renewed yet: %v", err))
			_ = pace.Sleep(round, min(h.margin()/6, between)) // tried again anyway
		}
		over := round.Err() != nil
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was stopped
		case errors.Is(err, guard.ErrLost):
			return err
		case over:
			return fmt.Errorf("group %s: %w: %w", l.Record().Group, guard.ErrEnded, err)
		}
	}
}

// extend gives the leases their full length.
func (h *held) extend() error {
	for _, l := range h.locks {
		if err := l.Renew(h.lost); err != nil {
			return err
		}
	}
	return nil
}

// still waits until the groups are quiet, suspends what is wanted, and waits again: an
// instance may have been launched before the suspension took effect.
func (h *held) still(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.lost, func() { cancel(context.Cause(h.lost)) })()
	until := time.Now().Add(h.Wait)
	seen, err := h.quiet(ctx, until, nil)
	if err != nil {
		return err
	}
	for _, l := range h.locks {
		name := l.Record().Group
		if seen[name], err = h.suspend(ctx, l, seen[name]); err != nil {
			return err
		}
	}
	_, err = h.quiet(ctx, until, seen)
	return err
}

// quiet waits until no group has a reason for which it is not safe. Groups that were
// seen just now are not asked for again in the first round.
func (h *held) quiet(ctx context.Context, until time.Time, seen map[string]group.Group) (map[string]group.Group, error) {
	var told pace.Told
	for {
		now := map[string]group.Group{}
		var all []guard.GroupReasons
		for _, l := range h.locks {
			r := l.Record()
			look, err := h.look(ctx, r.Group, seen[r.Group])
			if err != nil {
				return nil, err
			}
			reasons := look.Reasons(r, h.Allow)
			now[r.Group], all = look.Group, append(all, guard.GroupReasons{Group: r.Group, Safe: len(reasons) == 0, Reasons: reasons})
		}
		seen = nil
		unsafe := guard.Unsafe(all)
		if unsafe == nil {
			return now, nil
		}
		if errors.Is(unsafe, guard.ErrNotSafe) || !time.Now().Before(until) {
			return nil, unsafe
		}
		if told.Due(unsafe.Error()) {
			h.observeReasons(all)
		}
		if err := pace.Sleep(ctx, min(between, time.Until(until))); err != nil {
			return nil, err
		}
	}
}

func (g *Guard) observeReasons(all []guard.GroupReasons) {
	for _, found := range all {
		for _, r := range found.Reasons {
			g.Observe(found.Group, "waiting: "+r.Text)
		}
	}
}

const (
	// fresh is how old an answer may be that an intent is made from.
	fresh = 10 * time.Second
	// reach is how long after the answer the suspension has to have reached AWS.
	reach = guard.Horizon - fresh
	// often is how often someone else may resume what is suspended before it is given up.
	often = 4
)

// suspend suspends what is wanted of one group, and recognises by AWS's answers what is
// the guard's. It returns the group as it was seen last.
func (h *held) suspend(ctx context.Context, l *guard.Lock, seen group.Group) (group.Group, error) {
	name := seen.Name
	heard := time.Now()
	for range often {
		r := l.Record()
		if len(r.Lacking(seen)) == 0 {
			return seen, nil
		}
		var err error
		if time.Since(heard) > fresh {
			if seen, err = h.Scaling.Describe(ctx, name); err != nil {
				return seen, err
			}
			heard = time.Now()
		}
		if missing := r.Missing(seen); len(missing) > 0 {
			if err := h.intend(ctx, l, seen, missing, heard.Add(reach)); err != nil {
				return seen, err
			}
		}
		if seen, err = h.recognise(ctx, l); err != nil {
			return seen, err
		}
		heard = time.Now()
		if len(l.Record().Lacking(seen)) == 0 {
			h.Observe(name, "suspended "+cmp.Or(group.Names(slices.Collect(maps.Keys(l.Record().Ours))), "nothing more: someone else already has"))
		}
	}
	lacking := l.Record().Lacking(seen)
	return seen, &guard.ReasonsError{Kind: guard.ErrNotSafe, Groups: []guard.GroupReasons{{Group: name, Reasons: []guard.Reason{{Text: "someone keeps resuming " + group.Names(lacking)}}}}}
}

// intend writes down what is about to be suspended, and suspends it, in time.
func (h *held) intend(ctx context.Context, l *guard.Lock, seen group.Group, missing []group.Process, until time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	h.answered[seen.Name] = false
	if err := l.Update(ctx, func(r guard.Record) guard.Record { return r.Intend(seen) }); err != nil {
		return err
	}
	if err := h.Scaling.Suspend(ctx, seen.Name, missing[0], missing[1:]...); err != nil {
		return err
	}
	h.answered[seen.Name] = true
	return nil
}

// recognise waits until AWS shows what was suspended, and writes down which of it is the
// guard's.
func (h *held) recognise(ctx context.Context, l *guard.Lock) (group.Group, error) {
	for {
		seen, err := h.Scaling.Describe(ctx, l.Record().Group)
		if err != nil {
			return seen, err
		}
		if _, settled := l.Record().Recognise(seen); settled {
			return seen, l.Update(ctx, func(r guard.Record) guard.Record {
				next, _ := r.Recognise(seen)
				return next
			})
		}
		if err := pace.Sleep(ctx, between); err != nil {
			return seen, err
		}
	}
}
