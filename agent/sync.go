package agent

import (
	"context"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/report"
	"koboshi/artifacts/store"
)

// SyncOptions are the choices of a [Agent.Sync].
type SyncOptions struct {
	Wait    bool         // for another run to end, instead of giving up at once
	Version string       // install this version in place of the channel's, for this run
	Force   bool         // verify the current tree, repair it, and start the app anew
	Spread  bool         // wait first for this machine's share of the time that the channel's signer spreads syncs over
	IfNew   bool         // end at once, and leave no report, where there is nothing to do: for a machine that looks every few minutes
	MaxRate *config.Rate // of the download, in place of install.max_rate
}

// Sync converges a live machine to its channel. It completes no lifecycle
// action, and whatever happens leaves a release running: the new one, or the one
// before.
func (a *Agent) Sync(ctx context.Context, o SyncOptions) (report.Report, error) {
	ctx, stop := a.staying(ctx)
	defer stop()
	r := a.begin("sync")
	defer r.close()
	limited, cancel := a.limit(ctx)
	defer cancel()
	if err := r.prepare(limited, o.Wait); err != nil {
		return r.refuse(err)
	}
	r.Version, r.Force, r.IfNew = o.Version, o.Force, o.IfNew
	if err := r.discoverToStart(limited); err != nil {
		return r.end(converge.Failed(limited, err))
	}
	r.look(limited)
	if o.IfNew {
		if out, idle := r.idle(limited); idle {
			return r.rest(out)
		}
	}
	if o.Spread {
		if turn := r.turn(limited); turn > 0 {
			return r.syncLater(ctx, turn, o)
		}
	}
	return r.syncNow(limited, o)
}

// syncLater is a sync at this machine's turn. Nothing is locked until then, and who
// this machine is, and what its tags choose, is asked again.
func (r *run) syncLater(ctx context.Context, turn time.Duration, o SyncOptions) (report.Report, error) {
	r.release()
	if err := r.pause(ctx, "spread", turn); err != nil {
		return r.refuse(converge.Failed(ctx, err).Err)
	}
	ctx, cancel := r.agent.limit(ctx)
	defer cancel()
	if err := r.lock(ctx, o.Wait); err != nil {
		return r.refuse(err)
	}
	r.report.Warnings = nil // what counts still is found again
	if err := r.discover(ctx); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	r.look(ctx)
	return r.syncNow(ctx, o)
}

func (r *run) syncNow(ctx context.Context, o SyncOptions) (report.Report, error) {
	if o.MaxRate != nil {
		r.Config.Install.MaxRate = *o.MaxRate
	}
	rep, err := r.end(r.follow(ctx))
	if o.IfNew {
		r.noteLook()
	}
	return rep, err
}

// follow converges a live machine, unless it is held at its release. The app has
// its share of the network there, so the download may be limited; at launch only
// the download needs it.
func (r *run) follow(ctx context.Context) converge.Outcome {
	if r.pooledHere() { // the boot starts the app, on the way out
		return r.stock(ctx)
	}
	r.Rate = r.Config.Install.MaxRate
	before, had, err := r.before()
	if err != nil {
		return converge.Failed(ctx, err)
	}
	if reason, held := r.held(); held && had && r.Version == "" {
		r.warn("held: %s", reason)
		r.report.Reason = reason
		return converge.Outcome{Verdict: report.Held}
	}
	out := r.Follow(ctx)
	if out.Err == nil {
		out = r.Recheck(ctx)
	}
	if out.Err != nil {
		out = r.SettleLive(ctx, out, before, had)
	}
	r.noteRejected(out)
	return out
}

// look asks whether the app is up. Converging does what is to be done about it.
func (r *run) look(ctx context.Context) {
	current, found := r.Current()
	if !found || !current.HealthyOn(r.Instance.ID) {
		return // it has to pass the gate
	}
	if err := r.Look(ctx); err != nil {
		r.warn("the app is not up: %v", err)
	}
}

// before is the release that this machine falls back to: the one that runs, or
// where that has never been healthy here, the last one that was.
func (r *run) before() (store.Release, bool, error) {
	if current, found := r.Current(); found && current.HealthyOn(r.Instance.ID) {
		return current, true, nil
	}
	return r.Store.LastKnownGood(r.Instance.ID)
}

// Plan is what a sync would do.
type Plan struct {
	converge.Plan
	Held string // why the machine would stay where it is, "" = it would not
}

// Plan asks what a [Agent.Sync] with the same options would change, and changes
// nothing but the sequence that was seen.
func (a *Agent) Plan(ctx context.Context, o SyncOptions) (p Plan, err error) {
	ctx, cancel := a.limit(ctx)
	defer cancel()
	r := a.begin("plan")
	defer r.close()
	if err := r.prepare(ctx, o.Wait); err != nil {
		return p, err
	}
	r.Version = o.Version
	if err := r.discover(ctx); err != nil {
		return p, err
	}
	if reason, held := r.held(); held && r.Version == "" {
		p.Held = reason
	}
	p.Plan, err = r.Plan(ctx)
	return p, err
}
