package lease

import (
	"context"
	"errors"
	"fmt"
)

// confirm reads the item of the tenure, and until when that goes on. Errors are ErrLost
// and the table's.
func (r *trip) confirm(ctx context.Context, t Tenure) (Stored, Tenure, error) {
	s, err := r.get(ctx, t.ID)
	switch {
	case err != nil:
		return Stored{}, t, fmt.Errorf("read node id %d: %w", t.ID, err)
	case s.Bad != nil:
		return Stored{}, t, fmt.Errorf("node id %d: %w", t.ID, s.Bad)
	case s.Item == nil:
		return Stored{}, t, fmt.Errorf("%w: %s has no item of node id %d", ErrLost, r.Table, t.ID)
	}
	confirmed, err := t.Confirmed(*s.Item)
	if err != nil {
		return Stored{}, t, fmt.Errorf("%w: node id %d is %s, generation %d of %s", err, t.ID, s.Item.State, s.Item.Gen, s.Item.Owner)
	}
	r.remember(s)
	return s, confirmed, nil
}

// Renew moves the end of the tenure. Errors are ErrLost, ErrClock and the table's, after
// which the tenure has the end that it had.
func (h *Holder) Renew(ctx context.Context, t Tenure) (Tenure, error) {
	r := &trip{Holder: h, left: tripCalls}
	renewed, err := r.renew(ctx, t)
	if err != nil {
		h.remember(Stored{})
		return t, err
	}
	return renewed, nil
}

// renew swaps until the item is seen to have the mark that the clock asks for, be it by
// an earlier request or by another process of the same tenure.
func (r *trip) renew(ctx context.Context, t Tenure) (Tenure, error) {
	s, err := r.recall(t), error(nil)
	if s.Item == nil {
		s, _, err = r.confirm(ctx, t)
	}
	for asked := false; ; asked = true {
		if err = errors.Join(err, r.off); err != nil {
			return t, err
		}
		next, err := t.Renew(*s.Item, r.Terms, r.millis())
		if err != nil {
			return t, err
		}
		if asked && next.HW == s.Item.HW {
			return t.Confirmed(*s.Item)
		}
		stored, failed := r.swap(ctx, s, r.stamp(next))
		if failed == nil {
			return r.stored(t, stored)
		}
		var now Tenure
		if s, now, err = r.confirm(ctx, t); err != nil {
			return t, fmt.Errorf("%w, after: %w", err, failed)
		}
		if now.Until >= next.HW {
			return now, r.off
		}
		if !errors.Is(failed, ErrChanged) && !errors.Is(failed, ErrBusy) {
			return t, fmt.Errorf("renew node id %d: %w", t.ID, failed)
		}
	}
}

// stored is the tenure after a swap that was answered.
func (r *trip) stored(t Tenure, s Stored) (Tenure, error) {
	if r.off != nil {
		return t, r.off
	}
	r.remember(s)
	return t.Confirmed(*s.Item)
}

// Release ends the tenure, whose app has stopped and has used nothing above mark. That it
// is over already is no error. After any other error it frees itself when its end has
// passed.
func (h *Holder) Release(ctx context.Context, t Tenure, mark Millis) error {
	r := &trip{Holder: h, left: tripCalls}
	err := r.release(ctx, t, mark)
	h.remember(Stored{})
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

func (r *trip) release(ctx context.Context, t Tenure, mark Millis) error {
	s, err := r.recall(t), error(nil)
	if s.Item == nil {
		s, _, err = r.confirm(ctx, t)
	}
	for err == nil {
		var next Item
		if next, err = t.Release(*s.Item, mark); err != nil {
			return err
		}
		_, failed := r.swap(ctx, s, r.stamp(next))
		if failed == nil {
			return nil
		}
		if s, _, err = r.confirm(ctx, t); err == nil && !errors.Is(failed, ErrChanged) && !errors.Is(failed, ErrBusy) {
			return fmt.Errorf("release node id %d: %w", t.ID, failed)
		} else if err != nil && !errors.Is(err, ErrLost) {
			return fmt.Errorf("%w, after: %w", err, failed)
		}
	}
	return err
}
