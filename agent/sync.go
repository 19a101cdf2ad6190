package agent

import (
	"context"

	"koboshi/agent/config"
	"koboshi/agent/report"
)

// SyncOptions are the choices of a [Agent.Sync].
type SyncOptions struct {
	Wait    bool         // for another run to end, instead of giving up at once
	Version string       // install this version in place of the channel's, for this run
	Force   bool         // verify what serves already, repair it, and start the app anew
	Spread  bool         // wait first for this machine's part of what the channel's signer spreads re-syncs over
	MaxRate *config.Rate // of the download, in place of install.max_rate
}

// Sync converges a live machine to its channel. It never signals a hook, and
// whatever happens leaves a release serving: the new one, or the one before.
func (a *Agent) Sync(ctx context.Context, o SyncOptions) (report.Report, error) {
	r := a.begin("sync")
	if o.Spread {
		if err := r.awaitTurn(ctx, o.Wait); err != nil {
			return r.refuse(err)
		}
	}
	ctx, cancel := a.limit(ctx)
	defer cancel()
	unlock, err := r.lock(ctx, o.Wait)
	if err != nil {
		return r.refuse(err)
	}
	defer unlock()

	r.pin, r.force = o.Version, o.Force
	if err := r.discover(ctx); err != nil {
		return r.end(ctx, failed(err))
	}
	r.assumeCurrentIsUp(ctx)
	out := r.follow(ctx, o.MaxRate)
	if out.err == nil {
		r.prune(ctx)
	}
	return r.end(ctx, out)
}

// assumeCurrentIsUp spares a release that was healthy here a restart, unless
// somebody has stopped the app: then it has to serve anew.
func (r *run) assumeCurrentIsUp(ctx context.Context) {
	current, found := r.current()
	if !found || !current.HealthyOn(r.who.ID) {
		return
	}
	if running, err := r.Service.Running(ctx); err == nil && !running {
		r.warn("the app was not running")
		return
	}
	r.up = current.ID() // also where it is not known: a live app is not restarted on a guess
}

// follow converges a machine that serves, unless it is held where it is. The
// app has its share of the network there, so that a download may be limited;
// at launch nobody but the download needs it.
func (r *run) follow(ctx context.Context, rate *config.Rate) outcome {
	r.rate = r.config.Install.MaxRate
	if rate != nil {
		r.rate = *rate
	}
	before, had, err := r.Store.LastGood(r.who.ID)
	if err != nil {
		return failed(err)
	}
	if reason, held := r.held(); held && had && r.pin == "" {
		r.warn("held: %s", reason)
		return outcome{verdict: report.Held}
	}
	out := r.converge(ctx)
	if out.err != nil {
		out = r.settleLive(ctx, out, before, had)
	}
	return out
}
