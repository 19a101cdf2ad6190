package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koboshi/agent/group"
	"koboshi/agent/guard"
	"koboshi/artifacts/pace"
)

const (
	// undoTime is for how long it is tried to put a group back.
	undoTime = 90 * time.Second
	// reserve is what is kept free before another may repair.
	reserve = guard.Grace / 4
)

// undo puts the groups back, and releases them. It goes on when ctx ends. An error is
// guard.ErrNotRestored.
func (h *held) undo(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	defer h.stop()
	var failed []error
	for _, l := range slices.Backward(h.locks) {
		if err := h.restore(ctx, l); err != nil {
			failed = append(failed, &guard.RestoreError{Group: l.Record().Group, Err: err})
		}
	}
	slices.SortFunc(h.restored, func(a, b GroupRestored) int { return cmp.Compare(a.Group, b.Group) })
	return errors.Join(failed...)
}

// restore puts one group back, for as long as no one else may.
func (h *held) restore(ctx context.Context, l *guard.Lock) error {
	if err := l.Lost(); err != nil {
		return err
	}
	if l.Record().State == guard.Released {
		h.Observe(l.Record().Group, "released already")
		h.restored = append(h.restored, GroupRestored{Group: l.Record().Group, Resumed: []group.Process{}})
		return nil
	}
	name := l.Record().Group
	until := time.Now().Add(undoTime)
	done := GroupRestored{Group: name, Resumed: []group.Process{}}
	for {
		left, err := h.mayUndo(ctx, l)
		if err != nil {
			return err
		}
		round, cancel := context.WithTimeout(ctx, min(left, time.Until(until)))
		var open bool
		open, err = h.putBack(round, l, &done)
		if err == nil && !open {
			err = l.Update(round, guard.Record.Release)
			if err == nil {
				cancel()
				h.observeRestored(done)
				h.restored = append(h.restored, done)
				return nil
			}
		}
		if errors.Is(err, guard.ErrLost) {
			cancel()
			return err
		}
		if err != nil {
			h.Observe(name, fmt.Sprintf("not put back yet: %v", err))
		}
		slept := pace.Sleep(round, between)
		cancel()
		switch {
		case slept != nil && err != nil:
			return err
		case slept != nil:
			return errors.New("AWS has not shown in time what was suspended")
		}
	}
}

// mayUndo is for how long no one else may repair the group. Where the lease has ended,
// it has to be renewed first: then no one has.
func (h *held) mayUndo(ctx context.Context, l *guard.Lock) (time.Duration, error) {
	if left := l.Remaining() + guard.Grace - reserve; left > 0 {
		return left, nil
	}
	short, cancel := context.WithTimeout(ctx, 2*between)
	defer cancel()
	if err := l.Renew(short); err != nil {
		return 0, fmt.Errorf("%w: %w", guard.ErrEnded, err)
	}
	return l.Remaining(), nil
}

// putBack resumes what is the guard's, as far as that is known by now.
func (h *held) putBack(ctx context.Context, l *guard.Lock, done *GroupRestored) (open bool, err error) {
	if err := l.Lost(); err != nil {
		return false, err
	}
	r := l.Record()
	if len(r.Ours)+len(r.Before) == 0 {
		return false, nil
	}
	seen, err := h.Scaling.Describe(ctx, r.Group)
	if errors.Is(err, group.ErrNoGroup) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	resume, left, open := r.Undo(seen, h.answered[r.Group])
	done.Left = left
	if len(resume) == 0 {
		return open, nil
	}
	if err := h.Scaling.Resume(ctx, r.Group, resume[0], resume[1:]...); err != nil {
		return open, err
	}
	for _, p := range resume {
		if !slices.Contains(done.Resumed, p) {
			done.Resumed = append(done.Resumed, p)
		}
	}
	return open, nil
}

func (h *held) observeRestored(done GroupRestored) {
	if len(done.Resumed) > 0 {
		h.Observe(done.Group, "resumed "+group.Names(done.Resumed))
	}
	for _, left := range done.Left {
		h.Observe(done.Group, fmt.Sprintf("left %s alone: %s", left.Process, left.Why))
	}
	h.Observe(done.Group, "released")
}
