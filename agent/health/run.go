package health

import (
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/artifacts/pace"
)

const (
	minPause = 25 * time.Millisecond
	maxPause = time.Second
	lookEach = 200 * time.Millisecond // while a probe waits for its answer
)

// run is one wait at a gate.
type run struct {
	gate    Gate
	probe   func(context.Context) error
	process Process
	began   time.Time
	green   bool  // in the window that began report.FirstGreen after began
	last    error // of the last red try
	report  Report
}

// errGone ends a run: no later try can be green.
var errGone = errors.New("the app is gone")

func (r *run) wait(ctx context.Context) error {
	for {
		err := r.try(ctx)
		if ctx.Err() != nil {
			return r.interrupted(ctx)
		}
		elapsed := time.Since(r.began)
		r.judge(err, elapsed)
		if r.lost(elapsed) {
			return &UnhealthyError{Last: r.last, Waited: elapsed, Attempts: r.report.Attempts}
		}
		if r.green && elapsed >= r.end() {
			return nil
		}
		if pace.Sleep(ctx, min(pause(elapsed), r.end()-elapsed)) != nil {
			return r.interrupted(ctx)
		}
	}
}

// try runs the probe and then looks at the process, so that what answered is
// known to have lived until after it did. A probe that waits in a socket that
// nobody serves any more is not waited for.
func (r *run) try(ctx context.Context) error {
	r.report.Attempts++
	probing, stop := context.WithCancelCause(ctx)
	watched := make(chan error, 1)
	go func() { watched <- r.watch(probing, stop) }()
	red := limited(probing, r.gate.Probe.timeout(), "no answer", r.probe)
	stop(nil)
	if gone := <-watched; gone != nil {
		return gone
	}
	look := r.look(ctx)
	if red == nil || errors.Is(look, errGone) {
		return look
	}
	return red
}

// watch looks at the process until ctx ends, and stops that once the process
// is gone.
func (r *run) watch(ctx context.Context, stop context.CancelCauseFunc) error {
	for {
		if pace.Sleep(ctx, lookEach) != nil {
			return nil
		}
		if err := r.look(ctx); errors.Is(err, errGone) {
			stop(err)
			return err
		}
	}
}

func (r *run) look(ctx context.Context) error {
	return limited(ctx, r.gate.Probe.timeout(), "no word about the process", func(ctx context.Context) error {
		why, err := r.process.Gone(ctx)
		if why != "" {
			return fmt.Errorf("%w: %s", errGone, why)
		}
		return err
	})
}

// judge keeps what a try's outcome means for the window.
func (r *run) judge(err error, elapsed time.Duration) {
	switch {
	case err != nil:
		r.green, r.last = false, err
	case !r.green:
		r.green, r.report.FirstGreen = true, elapsed
	}
}

func (r *run) lost(elapsed time.Duration) bool {
	return !r.green && (errors.Is(r.last, errGone) || elapsed >= r.gate.Timeout)
}

// end is when, after began, the present phase is over: the last try of either
// phase is made at that moment.
func (r *run) end() time.Duration {
	if r.green {
		return r.report.FirstGreen + r.gate.Bake
	}
	return r.gate.Timeout
}

func (r *run) interrupted(ctx context.Context) error {
	err := fmt.Errorf("health gate left after %v: %w", time.Since(r.began).Round(time.Millisecond), context.Cause(ctx))
	if r.last == nil {
		return err
	}
	return fmt.Errorf("%w (last red try: %s)", err, r.last.Error()) // as text: it is not why the gate was left
}

// pause grows with the wait: an app that is up in 300 ms is seen at once, and
// one that takes a minute is not asked a thousand times.
func pause(elapsed time.Duration) time.Duration {
	return min(max(elapsed/10, minPause), maxPause)
}

// limited runs f with a deadline of its own. An f that was cut short by it says
// so in words: a context's error would look as if ctx had ended.
func limited(ctx context.Context, limit time.Duration, what string, f func(context.Context) error) error {
	cut := fmt.Errorf("%s within %v", what, limit)
	short, cancel := context.WithTimeoutCause(ctx, limit, cut)
	defer cancel()
	err := f(short)
	if err != nil && short.Err() != nil && ctx.Err() == nil && !errors.Is(err, cut) {
		return cut
	}
	return err
}
