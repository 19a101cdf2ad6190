package drain

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"koboshi/agent/report"
)

// Flusher is one log shipper, or whatever else has to deliver what the app wrote.
type Flusher interface {
	// Before notes what the shipper has counted so far, just before the app is
	// stopped: errors before that are not the drain's.
	Before(ctx context.Context)
	// Await waits until everything that the app wrote is delivered, or until that
	// cannot be any more. The time of the shipper's own settings is in it.
	Await(ctx context.Context) report.Flush
}

// ErrLeft is a drain that ended before everything was known to be delivered.
var ErrLeft = errors.New("not everything was delivered")

// beforeStop has each shipper note what it has counted.
func (d *Drain) beforeStop(ctx context.Context) {
	d.each(func(_ int, f Flusher) { f.Before(ctx) })
}

// flush waits for all shippers, side by side.
func (d *Drain) flush(ctx context.Context) (string, error) {
	d.Report.Flush = make([]report.Flush, len(d.Flushers))
	d.each(func(i int, f Flusher) { d.Report.Flush[i] = f.Await(ctx) })
	var failed error
	for _, f := range d.Report.Flush {
		if !f.Done() {
			failed = errors.Join(failed, fmt.Errorf("%w: %s (%s): %s", ErrLeft, f.Name, f.Kind, f.Text()))
		}
	}
	if len(d.Flushers) == 0 {
		return "nothing to flush is configured", nil
	}
	return "", because(ctx, failed)
}

func (d *Drain) each(do func(int, Flusher)) {
	var all sync.WaitGroup
	for i, f := range d.Flushers {
		all.Go(func() { do(i, f) })
	}
	all.Wait()
}
