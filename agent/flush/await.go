package flush

import (
	"context"
	"errors"
	"slices"
	"time"

	"koboshi/agent/config"
	"koboshi/artifacts/pace"
)

// lookTimeout bounds one look: a shipper that hangs must not use up the time in
// which the answer could still be known.
const lookTimeout = 5 * time.Second

// errLook is the cause of a look that took too long.
var errLook = errors.New("no answer after " + lookTimeout.String())

// Before is called while the app still runs: it holds the log files, so that one
// that is rotated away meanwhile is not missed, and takes the error counters as
// they are. What it cannot find out is asked again by Await.
func (f *Flusher) Before(ctx context.Context) {
	if f.asks() {
		return
	}
	if s := f.look(ctx); s.counted {
		f.baseline = &s
	}
}

// asks reports a kind that knows nothing before its one question: a look would
// already be an act.
func (f *Flusher) asks() bool {
	return f.settings.Kind == config.FlushCommand || f.settings.Kind == config.FlushWait
}

// Await is called once the app has stopped. It waits until the shipper has
// delivered everything, for at most the flush's timeout or until ctx ends.
func (f *Flusher) Await(ctx context.Context) Answer {
	if limit := time.Duration(f.settings.Timeout); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if k, ok := f.kind.(interface{ begin() }); ok {
		k.begin() // what was read while the app still ran proves nothing
	}
	p, began := pacingOf(f.settings), time.Now()
	var first, last sight // the first of the looks that agree; the last that was not cut off
	var since time.Time   // when the first was over
	for looks := 0; ; looks++ {
		at := time.Now()
		now := f.look(ctx)
		if ctx.Err() != nil && looks > 0 {
			return last.undone(f.baseline, "not confirmed by a second look")
		}
		last = now
		if f.baseline == nil && now.counted {
			f.baseline = &now
		}
		switch {
		case now.settled && now.doubt == "":
			return now.done(f.baseline)
		case now.settled:
			return now.undone(f.baseline, "")
		case !now.quiet() || at.Sub(began) < p.stale:
			since = time.Time{}
		case since.IsZero() || !first.agrees(now):
			first, since = now, time.Now()
		case at.Sub(since) >= p.still && (now.made == 0 || now.made != first.made):
			return now.done(f.baseline)
		}
		if pace.Sleep(ctx, p.every) != nil {
			return last.undone(f.baseline, "not confirmed by a second look")
		}
	}
}

// Look is how far the shipper is now, while the app may still be writing. Done
// means that nothing is waiting at this moment. A command is not run.
func (f *Flusher) Look(ctx context.Context) Answer {
	switch f.settings.Kind {
	case config.FlushCommand:
		return Answer{Outcome: Unknown, Note: "the command is run only after the app has stopped"}
	case config.FlushWait:
		return Answer{Outcome: Unknown, Note: "waits " + time.Duration(f.settings.For).String() + " and checks nothing"}
	}
	s := f.look(ctx)
	s.unconfirmed = ""
	if s.quiet() {
		return s.done(&s)
	}
	return s.undone(&s, "")
}

// look measures the files, then asks the shipper.
func (f *Flusher) look(ctx context.Context) sight {
	if !f.asks() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, lookTimeout, errLook)
		defer cancel()
	}
	files, err := f.files.measure()
	if err != nil {
		return sight{doubt: err.Error()}
	}
	s, err := f.kind.look(ctx, files)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return sight{doubt: err.Error()}
	}
	s.counted = true
	for _, file := range files {
		s.inputs = append(s.inputs, int64(file.inode), file.size)
	}
	s.doubt = join(s.doubt, f.files.doubt(), f.restarted(s.growing))
	return s
}

// restarted is the doubt about a shipper whose counters have begun anew: what it
// had in memory may be gone, and nothing shows it.
func (f *Flusher) restarted(growing []int64) string {
	for i, n := range growing {
		f.restart = f.restart || len(f.growing) == len(growing) && n < f.growing[i]
	}
	f.growing = growing
	if f.restart {
		return "the shipper was restarted meanwhile: what it had in memory may be lost"
	}
	return ""
}

// quiet reports a look in which nothing was left.
func (s sight) quiet() bool {
	return s.doubt == "" && s.left == 0 && s.pending == "" && s.unconfirmed == "" && !s.more
}

// agrees reports a look in which nothing has changed.
func (s sight) agrees(other sight) bool { return slices.Equal(s.inputs, other.inputs) }
