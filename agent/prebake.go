package agent

import (
	"context"
	"fmt"
	"slices"

	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/report"
	"koboshi/agent/service"
)

// PrebakeOptions are the choices of a [Agent.Prebake].
type PrebakeOptions struct {
	Channel string // one of the configuration's channels; "" = the one that it is set to
}

// Prebake is everything but starting, while an image is made: what the channel
// names is installed and current, with the pointer that named it and when. It
// has passed no gate, so that an instance takes it for a candidate and no more.
//
// Nothing is tied to the machine that bakes: it is not asked who it is, what an
// earlier run left of it is forgotten, and of the state only the sequences
// stay. [Agent.Connect] is given no identity.
func (a *Agent) Prebake(ctx context.Context, o PrebakeOptions) (report.Report, error) {
	ctx, cancel := a.limit(ctx)
	defer cancel()
	r := a.begin("prebake")
	unlock, err := r.lock(ctx, false)
	if err != nil {
		return r.refuse(err)
	}
	defer unlock()

	r.state = r.state.For("")
	if err := r.choose(o.Channel); err != nil {
		return r.end(ctx, failed(err))
	}
	if r.cloud, err = r.Connect(r.config, instance.Identity{}); err != nil {
		return r.end(ctx, failed(err))
	}
	out := r.bake(ctx)
	if out.err == nil {
		r.prune(ctx)
	}
	return r.end(ctx, out)
}

// choose takes another channel than the configured one, as a tag may.
func (r *run) choose(channel string) error {
	if channel == "" {
		return nil
	}
	if !slices.Contains(r.config.Channels, channel) {
		return &config.Error{Err: fmt.Errorf("channel %q is not among channels %q", channel, r.config.Channels)}
	}
	chosen := *r.config
	chosen.Channel = channel
	r.config = &chosen
	return nil
}

// bake installs what the channel names and makes it current.
func (r *run) bake(ctx context.Context) outcome {
	t, err := r.look(ctx)
	if err != nil {
		return failed(err)
	}
	rel, err := r.install(ctx, t)
	if err != nil {
		return failed(err)
	}
	err = r.steps.Do(ctx, "activate", func(context.Context, *report.Span) error {
		return r.Store.Activate(rel)
	})
	if err != nil {
		return failed(fmt.Errorf("%w: %w", service.ErrActivate, err))
	}
	return outcome{verdict: r.verdict()}
}
