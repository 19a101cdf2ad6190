package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/drain"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/pace"
)

// WatchOptions is what surrounds a [Agent.Watch]. Its maker sets every field.
type WatchOptions struct {
	Notices  notice.Source                   // instance metadata, with little patience: it is asked again soon
	Stopping func(ctx context.Context) bool  // whether the machine is shutting down
	Relaunch func(ctx context.Context) error // starts the boot again, out of a warm pool
	ClockSet <-chan struct{}                 // the machine's clock was set: it is looked at once; nil = that is not told
	Alive    func(status string)             // called at each look
	Ended    func(report.Report, error)      // called with the end of each drain
	Warn     func(format string, args ...any)
}

// lookEvery is how often the metadata is asked: three requests each time.
const lookEvery = 5 * time.Second

// Watch asks what is to become of this instance until ctx ends, and drains it when it
// has to go. It acts on levels: once for a notice, and what another process has begun
// is gone on with. When ctx ends because the machine shuts down, what the app has
// written is still flushed.
func (a *Agent) Watch(ctx context.Context, o WatchOptions) error {
	w := &watch{WatchOptions: o, agent: a, ended: make(chan struct{}, 1)}
	dirs := a.openState() // for all of its life
	defer dirs.close()
	if dirs.run != nil {
		unlock, err := state.LockWatch(ctx, dirs.run)
		if err != nil {
			return err
		}
		defer unlock()
	}
	w.keepNode(dirs)
	if err := w.begin(ctx); err != nil {
		return err
	}
	w.watchNode()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		w.look(ctx)
		w.act(ctx)
		w.tend(ctx)
		w.Alive(w.status())
		if !w.next(ctx, look.C) {
			w.end(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// next waits for the next look; false is the end of ctx. A drain that ends before is not
// followed by another at once: it may have found that another process is at it.
func (w *watch) next(ctx context.Context, look <-chan time.Time) bool {
	for {
		select {
		case <-look:
			return true
		case <-w.ClockSet:
			return true
		case <-w.ended:
			w.drainEnded()
		case <-ctx.Done():
			return false
		}
	}
}

// watch is one process that watches.
type watch struct {
	WatchOptions
	agent   *Agent
	id      string // of the instance
	levels  notice.Levels
	unseen  error // why the levels may be old
	unknown string
	asked   time.Time // when Auto Scaling was
	meant   string    // what the unknown target state was found to be
	spotID  string    // the Spot notice that was seen
	spotEnd time.Time // when everything has to be over for it

	relaunched time.Time
	drain      *watchedDrain // nil = none is under way here
	over       string        // the notice that holds and was drained for here, whatever the disk has of it
	ended      chan struct{}
	fallen     bool   // a notice was withdrawn, and the app is not up
	problem    string // with the disk, at the last look

	node *watchedNode // nil = the app has no node id
}

// begin finds out who the instance is, by the firmware or by the metadata, for as long
// as that takes.
func (w *watch) begin(ctx context.Context) error {
	if id, ok := w.agent.LocalID(); ok {
		w.id = id
		return nil
	}
	for {
		who, err := w.agent.Machine.Identity(ctx)
		if err == nil {
			w.id = who.ID
			return nil
		}
		w.Alive(err.Error())
		if err := pace.Sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// look asks the metadata. What it does not answer stays as it was.
func (w *watch) look(ctx context.Context) {
	before := w.unseen
	w.unseen = w.levels.Look(ctx, w.Notices)
	if w.unseen != nil && before == nil && ctx.Err() == nil {
		w.Warn("what is to become of the instance is not known just now: %v", w.unseen)
	}
	w.lookUp(ctx)
	w.timeSpot()
}

// lookUp asks Auto Scaling, until it answers, what a target state means that this agent
// does not know.
func (w *watch) lookUp(ctx context.Context) {
	target := w.levels.Target
	known := target == w.unknown
	if lifecycle.TargetOf(target) != lifecycle.Unknown || known && (w.meant != "" || time.Since(w.asked) < askAgain) {
		return
	}
	w.unknown, w.meant, w.asked = target, "", time.Now()
	r := w.agent.begin("watch")
	defer r.close()
	if err := r.know(ctx); err != nil || r.cloud.Lifecycle == nil {
		return
	}
	short, cancel := context.WithTimeout(ctx, meantTime)
	defer cancel()
	_, state, err := r.cloud.Lifecycle.Group(short, w.id)
	w.meant = state
	if known {
		return // it was told
	}
	w.Warn("the target lifecycle state %s is not known to this version: Auto Scaling has the instance as %q (%v)", target, state, err)
}

const (
	askAgain  = 5 * time.Minute  // where Auto Scaling did not answer
	meantTime = 20 * time.Second // no look may take as long as the watchdog waits
)

// timeSpot takes the time of a Spot notice when it is first seen: the machine's clock
// may be set later.
func (w *watch) timeSpot() {
	n := notice.Levels{Spot: w.levels.Spot}.Notice(notice.Policy{Spot: true})
	if n.Until.IsZero() || w.spotID == n.ID {
		return
	}
	left, doubt := timeLeft(n, w.agent.Now())
	if doubt != nil {
		w.Warn("%v", doubt)
	}
	w.spotID, w.spotEnd = n.ID, time.Now().Add(left)
}

// spotTime is how long before its end a Spot Instance is told, less what a look may be
// late, and what has to be left in the end.
const spotTime = 100 * time.Second

// timeLeft is how long it is until the notice ends the instance. Where that is not
// within the next two minutes the machine's clock is wrong.
func timeLeft(n notice.Notice, now time.Time) (left time.Duration, doubt error) {
	left = n.Until.Sub(now)
	if left > 0 && left <= 2*time.Minute {
		return left, nil
	}
	return spotTime, fmt.Errorf("the notice of %s ends the instance in %s by this machine's clock, which is taken for wrong", n.Reason, left.Round(time.Second))
}

// act does what the levels ask for.
func (w *watch) act(ctx context.Context) {
	d := w.agent.openState()
	defer d.close()
	record, launch := w.recorded(d)
	policy := w.policy(launch)
	n := w.meaning().Notice(policy)
	if n.ID != w.over && w.unseen == nil {
		w.over = "" // a notice that was gone comes anew
	}
	switch {
	case w.drain != nil:
		w.follow(n, policy)
	case record.Open() && record.Instance == w.id:
		w.start(ctx, resumed(record))
	case n != (notice.Notice{}) && !record.For(w.id, n) && n.ID != w.over:
		w.start(ctx, n)
	case lifecycle.TargetOf(w.levels.Target) == lifecycle.Serve && launch != nil && launch.Pooled:
		w.relaunch(ctx, d)
	case n == (notice.Notice{}) && w.unseen == nil && (w.fallen || w.resumes(record)):
		w.relaunch(ctx, d)
	case n == (notice.Notice{}) && launch != nil && w.node.wanted():
		w.startForNode(ctx)
	}
}

// resumes reports whether the instance was drained for a hibernation that is over:
// memory, and with it what keeps the app away, is as it was before.
func (w *watch) resumes(r drain.Record) bool {
	return r.Instance == w.id && r.Reason == notice.Spot && r.Returns && r.Stopped && r.Boot == w.agent.Clock.Boot
}

// recorded is what the disk has of a drain, and of the launch of this instance; nil is
// a launch that is not over.
func (w *watch) recorded(d dirs) (drain.Record, *state.Signal) {
	if d.state == nil {
		w.warnOnce(d.err)
		return drain.Record{}, nil
	}
	record, warning, err := drain.Load(d.state)
	w.warnOnce(errors.Join(warning, err))
	s, _, err := state.Load(d.state)
	if err != nil || s.Instance != w.id {
		return record, nil
	}
	return record, s.Signalled
}

// warnOnce warns of what was not wrong at the last look.
func (w *watch) warnOnce(problem error) {
	if problem != nil && w.problem != text(problem) {
		w.Warn("%v", problem)
	}
	w.problem = text(problem)
}

// policy is which notices count here and now. An instance that goes into a warm pool
// is not in service yet.
func (w *watch) policy(launch *state.Signal) notice.Policy {
	d := w.agent.Files.Drain
	return notice.Policy{Spot: d.Spot == config.DrainOn, Rebalance: d.Rebalance == config.DrainOn, Pooled: launch == nil || launch.Pooled}
}

// meaning is the levels with what an unknown target state was found to be.
func (w *watch) meaning() notice.Levels {
	levels := w.levels
	if levels.Target != "" && levels.Target == w.unknown {
		levels.Target = w.meant
	}
	return levels
}

// relaunch brings an instance into service that has left its warm pool, or whose end
// was called off.
func (w *watch) relaunch(ctx context.Context, d dirs) {
	if !w.fallen && !w.relaunched.IsZero() && time.Since(w.relaunched) < time.Duration(w.agent.Files.Lifecycle.Deadline) {
		return
	}
	w.relaunched, w.fallen = time.Now(), false
	if err := errors.Join(forgetEnded(d), w.Relaunch(ctx)); err != nil {
		w.Warn("the instance is to serve again, but the boot could not be started: %v", err)
	}
}

// status is one line for systemctl status.
func (w *watch) status() string {
	switch {
	case w.drain != nil:
		return fmt.Sprintf("draining: %s", w.drain.notice.Reason)
	case w.unseen != nil:
		return fmt.Sprintf("metadata does not answer: %v", w.unseen)
	case w.levels.Target == "":
		return "watching, in no Auto Scaling group"
	}
	return "watching, target state " + w.levels.Target
}
