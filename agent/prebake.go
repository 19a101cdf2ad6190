package agent

import (
	"context"
	"fmt"
	"slices"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/instance"
	"koboshi/agent/report"
	"koboshi/agent/service"
)

// PrebakeOptions are the choices of a [Agent.Prebake].
type PrebakeOptions struct {
	Channel string // one of the configuration's channels; "" = the one that it is set to
}

// Prebake is everything but starting, while an image is made: what the channel
// points to is installed and current, with the pointer and when it was seen. It
// has passed no gate, so an instance takes it for a candidate and no more.
//
// Nothing is tied to the machine that bakes: it is not asked who it is, what an
// earlier run left of it is forgotten, and of the state only the sequences
// stay. [Agent.Connect] is given no identity.
func (a *Agent) Prebake(ctx context.Context, o PrebakeOptions) (report.Report, error) {
	ctx, cancel := a.limit(ctx)
	defer cancel()
	r := a.begin("prebake")
	defer r.close()
	if err := r.prepare(ctx, false); err != nil {
		return r.refuse(err)
	}
	r.state = r.state.For("")
	if err := r.choose(o.Channel); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	if err := r.connect(r.Config, instance.Identity{}); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	return r.end(r.bake(ctx))
}

// choose takes another channel than the configured one, as a tag may.
func (r *run) choose(channel string) error {
	if channel == "" {
		return nil
	}
	if !slices.Contains(r.Config.Channels, channel) {
		return &config.Error{Err: fmt.Errorf("channel %q is not among channels %q", channel, r.Config.Channels)}
	}
	chosen := *r.Config
	chosen.Channel = channel
	r.Config = &chosen
	return nil
}

// bake installs what the channel points to and makes it current.
func (r *run) bake(ctx context.Context) converge.Outcome {
	t, err := r.Resolve(ctx)
	if err != nil {
		return converge.Failed(ctx, err)
	}
	rel, err := r.Install(ctx, t)
	if err != nil {
		return converge.Failed(ctx, err)
	}
	err = r.Steps.Do(ctx, "activate", func(context.Context, *report.Span) error { return r.Store.Activate(rel) })
	if err != nil {
		return converge.Failed(ctx, fmt.Errorf("%w: %w", service.ErrActivate, err))
	}
	return r.Reached()
}
