package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/artifacts/bucket"
)

// Prober is a table that can be tried out on an item of its own, beside the ids of its
// scope, which no claimant takes for one of them. It stays: nothing may be deleted.
type Prober interface {
	Table

	// PutProbe writes it if there is none; if stale, in place of one that cannot be
	// there. ErrChanged is that the condition was not met.
	PutProbe(ctx context.Context, stale bool) error

	// GetProbe reads it. The time is the table's clock, zero = not known.
	GetProbe(ctx context.Context) (time.Time, error)
}

// probeText is what a probe has in it.
const probeText = "koboshi writes this to see whether the conditions of writes are honoured"

// Probed is what was found out about a table.
type Probed struct {
	Checks []bucket.Check
	Dated  bool          // the table tells its clock
	Clock  time.Duration // how far this machine's is ahead of that, at least; below 0 = behind
}

// Probe finds out whether a table can hold node ids: whether it can be listed, written and
// read, refuses a write whose condition is not met, and tells a time that is this
// machine's. No id is written.
func Probe(ctx context.Context, t Prober, now func() time.Time) Probed {
	p := &probing{ctx: ctx, table: t, now: now}
	_, err := t.List(ctx, 0)
	p.found("the ids are listed", "an id that can be had is looked for", err)
	if p.written() {
		p.read()
		p.refused("a write over an item, where there must be none, is refused", false)
		p.refused("a write over another item than was read is refused", true)
	}
	return p.Probed
}

type probing struct {
	Probed
	ctx   context.Context
	table Prober
	now   func() time.Time
}

// found keeps a check; of an error its text.
func (p *probing) found(what, needs string, err error) {
	instead := ""
	if err != nil {
		instead = err.Error()
	}
	p.Checks = append(p.Checks, bucket.Check{What: what, Found: instead, Needs: needs})
}

// written makes the probe, if no earlier one is there.
func (p *probing) written() bool {
	err := p.table.PutProbe(p.ctx, false)
	if errors.Is(err, ErrChanged) {
		err = nil
	}
	p.found("an item is written", "an id is claimed, renewed and released", err)
	return err == nil
}

// read reads the probe and the table's clock.
func (p *probing) read() {
	before := p.now()
	date, err := p.table.GetProbe(p.ctx)
	p.found("an item is read", "an id is claimed, renewed and released", err)
	if err != nil {
		return
	}
	const what = "this machine's clock is the table's"
	if p.Dated = !date.IsZero(); !p.Dated {
		p.found(what, "", errors.New("the table has no clock in its answers"))
		return
	}
	p.Clock = ahead(date, before, p.now())
	err = nil
	if p.Clock.Abs() > apart {
		err = fmt.Errorf("it is %s the table's", inWords(p.Clock))
	}
	p.found(what, "a lease is as long as it is meant to be", err)
}

// refused writes the probe under a condition that is not met.
func (p *probing) refused(what string, stale bool) {
	err := p.table.PutProbe(p.ctx, stale)
	switch {
	case err == nil:
		err = errors.New("it was stored")
	case errors.Is(err, ErrChanged):
		err = nil
	}
	p.found(what, "no id has two holders", err)
}
