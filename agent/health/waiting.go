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
	lookEach = 200 * time.Millisecond // while a probe waits for an answer

	// unknownLimit is how much longer a gate waits for a look at the process, if
	// it may take that long itself.
	unknownLimit = 30 * time.Second
)

// waiting is one wait at a gate.
type waiting struct {
	gate    Gate
	probe   func(context.Context) error
	process Process
	began   time.Time
	green   bool          // inside the window that began report.FirstGreen after began
	last    error         // of the last red try
	unknown error         // why the last try could not be made, which does not make the app unhealthy; nil = it was made
	said    string        // the reason that Gate.Red was last told
	saidAt  time.Duration // and when, after began
	report  Report
}

// errGone ends the wait: no later try can be green.
var errGone = errors.New("the app is gone")

func (w *waiting) wait(ctx context.Context) error {
	for {
		err := w.try(ctx)
		if ctx.Err() != nil {
			return w.interrupted(ctx)
		}
		elapsed := time.Since(w.began)
		w.judge(err, elapsed)
		if w.unknown != nil && elapsed >= w.end()+min(unknownLimit, w.gate.Timeout+w.gate.Bake) {
			return fmt.Errorf("health gate after %v: %w", elapsed.Round(time.Millisecond), w.unknown)
		}
		if w.lost(elapsed) {
			return &UnhealthyError{Last: w.last, Waited: elapsed, Attempts: w.report.Attempts}
		}
		if w.green && w.unknown == nil && elapsed >= w.end() {
			return nil
		}
		w.tell(elapsed)
		next := pause(elapsed)
		if left := w.end() - elapsed; left > 0 {
			next = min(next, left)
		}
		if pace.Sleep(ctx, next) != nil {
			return w.interrupted(ctx)
		}
	}
}

// try runs the probe and then looks at the process, so that the process that
// answered was still alive afterwards. It does not wait for a probe whose
// connection is queued on a socket that no process accepts from any more.
func (w *waiting) try(ctx context.Context) error {
	w.report.Attempts++
	probing, stop := context.WithCancelCause(ctx)
	watched := make(chan error, 1)
	go func() { watched <- w.watch(probing, stop) }()
	timeout := w.gate.Probe.timeout()
	red := limited(probing, timeout, fmt.Errorf("no answer within %v", timeout), w.probe)
	stop(nil)
	seen := <-watched
	if errors.Is(seen, errGone) {
		return seen
	}
	look := w.look(ctx)
	switch {
	case look != nil && !errors.Is(look, ErrUnknown) && !errors.Is(look, ErrUnseen):
		return look // it explains why nothing answers, if that is so
	case seen != nil:
		return seen
	case red != nil:
		return red
	}
	return look
}

// watch looks at the process until ctx ends, and returns what it first found wrong.
// Once the process is gone it ends ctx by stop.
func (w *waiting) watch(ctx context.Context, stop context.CancelCauseFunc) (found error) {
	for pace.Sleep(ctx, lookEach) == nil {
		switch err := w.look(ctx); {
		case errors.Is(err, errGone):
			stop(err)
			return err
		case found == nil && !errors.Is(err, ErrUnknown) && !errors.Is(err, context.Canceled):
			found = err
		}
	}
	return found
}

func (w *waiting) look(ctx context.Context) error {
	timeout := w.gate.Probe.timeout()
	return limited(ctx, timeout, fmt.Errorf("%w within %v", ErrUnknown, timeout), func(ctx context.Context) error {
		why, err := w.process.Gone(ctx)
		if why != "" {
			return fmt.Errorf("%w: %s", errGone, why)
		}
		return err
	})
}

// judge records what the outcome of a try means for the window.
func (w *waiting) judge(err error, elapsed time.Duration) {
	w.unknown = nil
	switch {
	case errors.Is(err, ErrUnknown): // neither begins the window nor ends it
		w.unknown = err
	case err != nil:
		w.green, w.last = false, err
	case !w.green:
		w.green, w.report.FirstGreen = true, elapsed
	}
}

// Reasons are told after this time, and not again within it.
const tellAfter = time.Second

// tell passes on why the last try was red. The more time has passed, the less often.
func (w *waiting) tell(elapsed time.Duration) {
	if w.gate.Red == nil || w.green || w.last == nil || elapsed-w.saidAt < max(tellAfter, elapsed/10) {
		return
	}
	if why := w.last.Error(); why != w.said {
		w.gate.Red(w.last)
		w.said, w.saidAt = why, elapsed
	}
}

func (w *waiting) lost(elapsed time.Duration) bool {
	return !w.green && w.unknown == nil && (errors.Is(w.last, errGone) || elapsed >= w.gate.Timeout)
}

// end is when the present phase is over, counted from began: the last try of
// either phase is made exactly then.
func (w *waiting) end() time.Duration {
	if w.green {
		return w.report.FirstGreen + w.gate.Bake
	}
	return w.gate.Timeout
}

func (w *waiting) interrupted(ctx context.Context) error {
	err := fmt.Errorf("health gate interrupted after %v: %w", time.Since(w.began).Round(time.Millisecond), context.Cause(ctx))
	if w.last == nil {
		return err
	}
	return fmt.Errorf("%w (last red try: %s)", err, w.last.Error()) // as text: it is not the cause
}

// pause grows with the time that has passed: an app that is up in 300 ms is
// noticed at once, and one that takes a minute is not asked a thousand times.
func pause(elapsed time.Duration) time.Duration {
	return min(max(elapsed/10, minPause), maxPause)
}

// limited runs f with a deadline of its own. When that ends f, the error is cut:
// a context's error would look as if ctx had ended.
func limited(ctx context.Context, limit time.Duration, cut error, f func(context.Context) error) error {
	short, cancel := context.WithTimeoutCause(ctx, limit, cut)
	defer cancel()
	err := f(short)
	if err != nil && short.Err() != nil && ctx.Err() == nil && !errors.Is(err, cut) && !errors.Is(err, ErrUnknown) {
		return cut
	}
	return err
}
