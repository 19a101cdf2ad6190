package agent

import (
	"context"
	"errors"
	"time"

	"koboshi/agent/drain"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/state"
)

// watchedDrain is a drain that this process runs.
type watchedDrain struct {
	notice notice.Notice
	events chan drain.Event
	cancel context.CancelFunc
	done   chan struct{}
	report report.Report // once it is done
	err    error
}

// resumed is the notice of a record.
func resumed(r drain.Record) notice.Notice {
	return notice.Notice{Reason: r.Reason, ID: r.Notice, Returns: r.Returns}
}

// start drains, beside the looks.
func (w *watch) start(ctx context.Context, n notice.Notice) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &watchedDrain{notice: n, events: make(chan drain.Event, 4), cancel: cancel, done: make(chan struct{})}
	w.drain = d
	if w.node != nil && w.node.renewed != nil {
		w.node.giveUp() // it keeps the record, and may take long
	}
	o := DrainOptions{Notice: n, Events: d.events}
	switch {
	case n.Reason == notice.Shutdown:
		o.Within = time.Duration(w.agent.Files.Drain.OnShutdown)
	case n.Reason == notice.Spot && !w.spotEnd.IsZero():
		o.Within = min(time.Duration(w.agent.Files.Drain.Deadline), time.Until(w.spotEnd))
	}
	go func() {
		defer func() { close(d.done); w.ended <- struct{}{} }()
		d.report, d.err = w.agent.Drain(own, o)
		if !errors.Is(d.err, state.ErrLocked) { // koboshi drain, or another watch, is at it
			w.Ended(d.report, d.err)
		}
	}()
}

// drainEnded is what follows from the end of a drain.
func (w *watch) drainEnded() {
	d := w.drain
	w.drain, w.over = nil, ""
	switch {
	case errors.Is(d.err, drain.ErrWithdrawn):
		w.fallen = d.report.Release == nil || !d.report.Release.Healthy
	case d.report.Verdict == report.Drained:
		w.over, w.fallen = d.notice.ID, false
	}
}

// follow keeps a drain to what the levels say meanwhile.
func (w *watch) follow(n notice.Notice, p notice.Policy) {
	if !w.meaning().Until(p).IsZero() {
		w.drain.send(drain.Event{Kind: drain.Sooner, In: time.Until(w.spotEnd)})
	}
	if w.withdrawn(n) {
		w.drain.send(drain.Event{Kind: drain.Withdrawn})
	}
}

// withdrawn reports whether the drain under way is to end while it may. What is not
// known takes nothing back. A drain that the group has not decided on completes no
// lifecycle action, so it gives way to one that it has.
func (w *watch) withdrawn(n notice.Notice) bool {
	was := w.drain.notice.Reason
	switch target := lifecycle.TargetOf(w.meaning().Target); {
	case n.Reason.ByGroup() && !was.ByGroup():
		return true
	case n != (notice.Notice{}) || w.unseen != nil || was == notice.Operator:
		return false
	case was.ByGroup():
		return target == lifecycle.Serve || target == lifecycle.Rest
	}
	return true
}

// send never blocks: what is still unread of the same is as good.
func (d *watchedDrain) send(e drain.Event) {
	select {
	case d.events <- e:
	default:
	}
}

// end is the end of the process. Where the machine goes on, the next one goes on, too.
func (w *watch) end(ctx context.Context) {
	select {
	case <-w.ended:
		w.drainEnded()
	default:
	}
	left := time.Duration(w.agent.Files.Drain.OnShutdown)
	down := (left > 0 || w.node != nil) && w.Stopping(ctx)
	switch {
	case w.drain == nil && (!down || left == 0 || len(w.agent.Files.Drain.Flush) == 0 || w.drained()): // systemd stops the app, and there is nothing to flush
		if down && w.node != nil {
			w.markNode(ctx)
		}
		return
	case w.drain == nil:
		w.start(ctx, notice.Notice{Reason: notice.Shutdown, ID: string(notice.Shutdown)})
	case down && left > 0:
		w.shutDown(left)
	default:
		w.drain.cancel()
	}
	alive := time.NewTicker(lookEvery)
	defer alive.Stop()
	for {
		select {
		case <-alive.C:
			w.Alive(w.status())
		case <-w.drain.done:
			return
		}
	}
}

// drained reports whether a drain has ended since the machine was started: nothing was
// written since.
func (w *watch) drained() bool {
	d := w.agent.openState()
	defer d.close()
	record, _ := w.recorded(d)
	return record.Instance == w.id && !record.Open() && record.Boot == w.agent.Clock.Boot
}

// shutDown lets the drain that is under way have so much time. It takes the place of
// events that are still unread: that drain may listen no more.
func (w *watch) shutDown(left time.Duration) {
	for {
		select {
		case w.drain.events <- drain.Event{Kind: drain.Shutdown, In: left}:
			return
		default:
		}
		select {
		case <-w.drain.events:
		default:
		}
	}
}
