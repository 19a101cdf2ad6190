package drain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"koboshi/agent/flush"
	"koboshi/agent/report"
)

// Flusher is one log shipper, or whatever else has to deliver what the app wrote:
// flush.Flusher.
type Flusher interface {
	Name() string
	Kind() string
	Look(ctx context.Context) flush.Answer
	Before(ctx context.Context)
	Await(ctx context.Context) flush.Answer
	Close()
}

// ErrLeft is a drain that ended before everything was known to be delivered.
var ErrLeft = errors.New("not everything was delivered")

// beforeStop has each shipper note what it has counted.
func (d *Drain) beforeStop(ctx context.Context) {
	d.each(func(_ int, f Flusher) { f.Before(ctx) })
}

// letFilesGo ends what the shippers hold of the app's log files: a watch lives on, and
// a file that is deleted takes up space for as long as it is held.
func (d *Drain) letFilesGo() {
	d.each(func(_ int, f Flusher) { f.Close() })
}

// flush waits for all shippers, side by side.
func (d *Drain) flush(ctx context.Context) (string, error) {
	if len(d.Flushers) == 0 {
		return "nothing to flush is configured", nil
	}
	d.Report.Flush = make([]report.Flush, len(d.Flushers))
	d.each(func(i int, f Flusher) { d.Report.Flush[i] = await(ctx, f) })
	var failed error
	for _, f := range d.Report.Flush {
		if f.Outcome != string(flush.Done) {
			failed = errors.Join(failed, fmt.Errorf("%w: %s (%s): %s", ErrLeft, f.Name, f.Kind, f.Text()))
		}
	}
	return "", because(ctx, failed)
}

// await is what became of one shipper.
func await(ctx context.Context, f Flusher) report.Flush { return describe(ctx, f, f.Await) }

// Look is how far a shipper is while the app may still run. Nothing else is asked of it
// afterwards.
func Look(ctx context.Context, f Flusher) report.Flush {
	defer f.Close()
	return describe(ctx, f, f.Look)
}

func describe(ctx context.Context, f Flusher, ask func(context.Context) flush.Answer) report.Flush {
	began := time.Now()
	a := ask(ctx)
	return report.Flush{
		Name: f.Name(), Kind: f.Kind(), MS: time.Since(began).Milliseconds(),
		Outcome: string(a.Outcome), Left: a.Left, Lost: a.Lost, Unit: a.Unit, Note: report.Clean(a.Note, report.MaxText),
	}
}

func (d *Drain) each(do func(int, Flusher)) {
	var all sync.WaitGroup
	for i, f := range d.Flushers {
		all.Go(func() { do(i, f) })
	}
	all.Wait()
}
