package agent

import (
	"context"
	"fmt"

	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts/store"
)

// The hooks of a release, in the order in which a new one meets them.
const (
	preStart  = "pre_start"  // in its own tree, while what served before still serves
	preStop   = "pre_stop"   // of what serves now, before it is stopped
	postStart = "post_start" // once it is healthy
)

// hook runs one of a release's hooks as a step of its own, where it has it.
func (r *run) hook(ctx context.Context, rel store.Release, name string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return r.steps.Do(ctx, name, func(ctx context.Context, _ *report.Span) error {
		h := service.Hook{Name: name, Version: rel.Version(), Dir: rel.Dir(), Args: args, Env: r.environment(rel)}
		if err := r.Service.RunHook(ctx, h); err != nil {
			return fmt.Errorf("%w %s of %s: %w", service.ErrHook, name, rel.Version(), err)
		}
		return nil
	})
}

// makeWay runs the pre_stop hook of what serves now, which is about to be
// stopped. It is on its way out: whatever is wrong with its hook is a warning.
func (r *run) makeWay(ctx context.Context) {
	leaving, found := r.current()
	if !found || r.up != leaving.ID() {
		return
	}
	if err := r.hook(ctx, leaving, preStop, leaving.Manifest().Manifest().Hooks.PreStop); err != nil {
		r.warn("%s is stopped all the same: %v", leaving.Version(), err)
	}
}
