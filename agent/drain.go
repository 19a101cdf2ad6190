package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/drain"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/state"
)

// DrainOptions are the choices of a [Agent.Drain].
type DrainOptions struct {
	Notice     notice.Notice      // why
	Why        string             // in a person's words
	Within     time.Duration      // in place of drain.deadline; 0 = as configured
	NoComplete bool               // leave the lifecycle action to someone else
	Events     <-chan drain.Event // what comes between; nil = nothing does
}

// Drain takes the app out of service: it is let go by the load balancers, stopped,
// its logs are delivered, and the lifecycle action is completed. One that was begun
// and not ended, by whatever process, is gone on with at its step.
//
// Trouble with the disk, the metadata or AWS keeps none of the steps from being
// tried that can do without. The error is nil where the exit code is 0, and
// drain.ErrWithdrawn where the instance goes on.
func (a *Agent) Drain(ctx context.Context, o DrainOptions) (report.Report, error) {
	r := a.begin("drain")
	defer r.close()
	if err := r.open(); err != nil {
		r.warn("%v", err)
	}
	unlock, err := r.lockDrain(ctx)
	if err != nil {
		return r.refuse(err)
	}
	defer unlock()
	if err := r.know(ctx); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	record := r.drainRecord(o)
	d, unusable := r.newDrain(ctx, o, record)
	if record.Step != drain.First { // of another process, or before a reboot
		if err := r.leave(ctx); err != nil {
			r.warn("%v", err)
		}
	}
	err = errors.Join(d.Run(ctx), unusable)
	r.report.Lifecycle.Hook, r.Config.Lifecycle.Group = d.Action.Hook, cmp.Or(d.Action.Group, r.Config.Lifecycle.Group)
	r.report.Lifecycle.Heartbeats = int(d.Beats.Load())
	if d.Record.Reason == notice.Pooled && !d.Record.Open() {
		r.enterPool()
	}
	if d.Record.Told {
		r.report.Lifecycle.Result = string(lifecycle.Continue)
	}
	switch {
	case errors.Is(err, drain.ErrWithdrawn):
		return r.stay(ctx, err)
	case ctx.Err() != nil:
		return r.refuse(context.Cause(ctx)) // another process goes on
	case err != nil:
		return r.end(converge.Outcome{Verdict: report.Drained, Err: err})
	}
	return r.end(converge.Outcome{Verdict: report.Drained})
}

// lockDrain makes this the only drain of the app. Where the lock cannot be had for the
// disk there is no other one either.
func (r *run) lockDrain(ctx context.Context) (unlock func(), err error) {
	if r.RunDir == nil {
		return func() {}, nil
	}
	unlock, err = state.LockDrain(ctx, r.RunDir)
	if errors.Is(err, state.ErrLocked) {
		return nil, err
	}
	if err != nil {
		r.warn("%v", err)
		return func() {}, nil
	}
	return unlock, nil
}

// whoTime is how long metadata is waited for that says who the instance is: it did
// when the instance was launched, and the disk remembers.
const whoTime = 10 * time.Second

// know finds out who this machine is, if need be by its firmware or by what it knew
// before.
func (r *run) know(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, whoTime)
	defer cancel()
	err := r.identify(short)
	if err == nil {
		err = r.readTags(short)
	}
	if err == nil {
		return nil
	}
	if id, ok := r.agent.LocalID(); ok && r.Instance.ID == "" {
		r.Instance.ID = id
		r.belong()
	}
	if r.Instance.ID == "" && r.state.Instance == "" {
		return err
	}
	r.warn("%v", err)
	if r.Instance.Region != "" {
		return nil
	}
	if current, found := r.Current(); found && current.HealthyOn(r.state.Instance) {
		r.remember(r.state.Instance, current.HealthyAt())
		if err := r.connect(r.Config, r.Instance); err != nil {
			r.warn("%v", err)
		}
	}
	if r.Instance.ID == "" {
		return err
	}
	return nil
}

// drainRecord is the drain that is under way for this notice, or a new one.
func (r *run) drainRecord(o DrainOptions) drain.Record {
	if open := r.openDrain(); open.Open() && open.Instance == r.Instance.ID {
		open.NoComplete = open.NoComplete || o.NoComplete
		return open
	}
	record := drain.Begin(r.Instance.ID, o.Notice, r.drainTime(o), r.agent.Clock, r.Now())
	record.Why, record.NoComplete = o.Why, o.NoComplete
	return record
}

func (r *run) drainTime(o DrainOptions) time.Duration {
	switch limit := time.Duration(r.Config.Drain.Deadline); {
	case o.Within > 0:
		return o.Within
	case !o.Notice.Until.IsZero():
		left, doubt := timeLeft(o.Notice, r.Now())
		if doubt != nil {
			r.warn("%v", doubt)
		}
		return min(limit, left)
	default:
		return limit
	}
}

// openDrain is the record on the disk. One that cannot be read is none: a drain
// that begins anew does nothing twice that matters.
func (r *run) openDrain() drain.Record {
	if r.dirs.state == nil {
		return drain.Record{}
	}
	record, warning, err := drain.Load(r.dirs.state)
	if problem := errors.Join(warning, err); problem != nil {
		r.warn("what was drained already is not known: %v", problem)
	}
	return record
}

// newDrain is the drain with everything that this machine has for it. The error is
// that of log shippers which cannot be asked.
func (r *run) newDrain(ctx context.Context, o DrainOptions, record drain.Record) (d *drain.Drain, err error) {
	r.report.Drain = &report.Drain{Reason: string(record.Reason)}
	r.report.Reason = record.Why
	d = &drain.Drain{
		Record: record, Save: r.saveDrain, Clock: r.agent.Clock, Now: r.Now,
		Deadline: r.drainTime(o), Reserve: r.reserve(), Announce: r.leave,
		Hooks: r.cloud.Lifecycle, App: drained{r}, Events: o.Events,
		Steps: r.Steps, Warn: r.warn, Report: r.report.Drain,
	}
	if r.Node != nil {
		d.Release = func(ctx context.Context) (string, error) { return r.leaveNode(ctx, d.Record), nil }
	}
	d.Flushers, err = r.flushers()
	if record.Reason == notice.Shutdown { // everything else is too late
		return d, err
	}
	d.Groups = r.targetGroups(record.Reason)
	if !record.NoComplete && record.Reason.ByGroup() {
		var doubt error
		if d.Action, doubt = r.terminatingAction(ctx); doubt != nil {
			r.warn("%v", doubt)
			d.Find = r.terminatingAction
		}
	}
	return d, err
}

// flushers are what has to deliver the app's logs.
func (r *run) flushers() ([]drain.Flusher, error) {
	if r.agent.Flushers == nil {
		return nil, nil
	}
	return r.agent.Flushers(r.Config)
}

// targetGroups are those that have to let the instance go. Where no one takes it out
// of them they never would.
func (r *run) targetGroups(reason notice.Reason) drain.Groups {
	by := r.Config.Drain.Deregister
	deregister := by == config.DeregisterAlways || by == config.DeregisterSpot && !reason.ByGroup()
	if len(r.Config.Drain.TargetGroups) == 0 || !deregister && !reason.ByGroup() || r.cloud.Balancer == nil {
		return drain.Groups{}
	}
	return drain.Groups{ARNs: r.Config.Drain.TargetGroups, Deregister: deregister, Balancer: r.cloud.Balancer}
}

// lookupTime bounds the question for the group. Auto Scaling keeps the action waiting
// for far longer.
const lookupTime = time.Minute

// terminatingAction is the lifecycle action that waits for the drain, or will. The
// zero action is none.
func (r *run) terminatingAction(ctx context.Context) (lifecycle.Action, error) {
	action := lifecycle.Action{Group: r.Config.Lifecycle.Group, Hook: r.Config.Lifecycle.TerminateHook, Instance: r.Instance.ID}
	if action.Hook == "" {
		return lifecycle.Action{}, nil
	}
	if r.cloud.Lifecycle == nil {
		return lifecycle.Action{}, fmt.Errorf("%w: there are no clients of AWS", lifecycle.ErrNotCompleted)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	if action.Group == "" {
		group, err := r.lookUpGroup(ctx)
		if err != nil {
			return lifecycle.Action{}, fmt.Errorf("%w: %w", lifecycle.ErrNotCompleted, err)
		}
		if group == "" {
			return lifecycle.Action{}, nil
		}
		action.Group = group
	}
	if _, err := r.cloud.Lifecycle.HeartbeatTimeout(ctx, action.Group, action.Hook); errors.Is(err, lifecycle.ErrNoHook) {
		r.warn("group %s has no lifecycle hook %s: nothing waits for the drain", action.Group, action.Hook)
		return lifecycle.Action{}, nil
	}
	return action, nil
}

// stopTime is how long stopping the app is expected to take: systemd's default
// before it sends SIGKILL.
const stopTime = 90 * time.Second

// reserve is what the steps after the let-go may take.
func (r *run) reserve() time.Duration {
	longest := time.Duration(0)
	for _, f := range r.Config.Drain.Flush {
		longest = max(longest, f.Longest())
	}
	return time.Duration(r.Config.Hooks.Timeout) + stopTime + longest
}

// leave keeps every other run away, and waits for the one under way.
func (r *run) leave(ctx context.Context) error {
	if r.report.Drain.Reason == string(notice.Shutdown) { // systemd stops them, and what runs next is to start
		return nil
	}
	if r.RunDir == nil {
		return r.dirs.err
	}
	err := state.Leave(r.RunDir, r.report.Drain.Reason)
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	return errors.Join(err, r.lock(ctx, true))
}

// leaveTime is how long another run has to end: it sees the drain within a second.
const leaveTime = 10 * time.Second

// saveDrain records how far the drain is. One without a notice is not: it is over
// with the shutdown, and the next boot starts the app.
func (r *run) saveDrain(record drain.Record) error {
	if record.Reason == notice.Shutdown {
		return nil
	}
	if r.dirs.state == nil {
		return r.dirs.err
	}
	return record.Save(r.dirs.state)
}

// drained is the app of a run that drains.
type drained struct{ r *run }

func (d drained) Running(ctx context.Context) (bool, error) { return d.r.Service.Running(ctx) }
func (d drained) PreStop(ctx context.Context) (bool, error) { return d.r.PreStop(ctx) }

// Stop stops the app, and makes durable what it can have used of its node id.
func (d drained) Stop(ctx context.Context) error {
	d.r.stopErr = d.r.Service.Stop(ctx)
	if d.r.stopErr == nil && d.r.Node != nil {
		ctx, cancel := context.WithTimeout(ctx, leaveTime) // else it is for the release
		defer cancel()
		if err := d.r.Node.Down(ctx); err != nil {
			d.r.warn("%v", err)
		}
	}
	return d.r.stopErr
}
