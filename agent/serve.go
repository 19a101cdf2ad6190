package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts"
	"koboshi/artifacts/durable"
	"koboshi/artifacts/store"
)

// envFile is what the app's unit reads with EnvironmentFile=.
const envFile = "env"

// serve has the app run from rel and waits until it is healthy and its
// post_start hook is content. Only then is the release marked as one that
// served here.
func (r *run) serve(ctx context.Context, rel store.Release) error {
	manifest := rel.Manifest().Manifest()
	hooks := manifest.Hooks
	gate, err := r.start(ctx, rel, hooks)
	if err != nil {
		return err
	}
	if err := r.pass(ctx, gate, manifest.Health); err != nil {
		return err
	}
	if err := r.hook(ctx, rel, postStart, hooks.PostStart); err != nil {
		return err
	}
	r.up = rel.ID()
	return r.Store.MarkHealthy(rel, r.who.ID, r.Now().UTC().Truncate(time.Second))
}

// start runs the app from rel in place of what ran before. Until the pre_start
// hook has succeeded, nothing is touched.
func (r *run) start(ctx context.Context, rel store.Release, hooks artifacts.Hooks) (gate service.Gate, err error) {
	if err := r.hook(ctx, rel, preStart, hooks.PreStart); err != nil {
		return nil, err
	}
	r.makeWay(ctx)
	err = r.steps.Do(ctx, "activate", func(ctx context.Context, _ *report.Span) (err error) {
		gate, err = r.activate(ctx, rel)
		return err
	})
	return gate, err
}

func (r *run) activate(ctx context.Context, rel store.Release) (service.Gate, error) {
	r.up = ""
	if err := r.Store.Activate(rel); err != nil {
		return nil, fmt.Errorf("%w: %w", service.ErrActivate, err)
	}
	env := r.environment(rel)
	if err := durable.WriteFile(r.Run, envFile, []byte(strings.Join(env, "\n")+"\n"), 0o644); err != nil {
		return nil, fmt.Errorf("%w: %w: %w", service.ErrActivate, store.ErrDisk, err)
	}
	gate, err := r.Service.Restart(ctx, env)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", service.ErrActivate, err)
	}
	return gate, nil
}

// pass waits at the gate. override is what the release says of its health.
func (r *run) pass(ctx context.Context, gate service.Gate, override artifacts.Health) error {
	return r.steps.Do(ctx, "gate", func(ctx context.Context, s *report.Span) error {
		found, err := gate(ctx, override)
		s.SetAttempts(found.Attempts)
		if found.Note != "" {
			r.warn("%s", found.Note)
		}
		return err
	})
}

// environment is what the app may know of where it runs. Every value has been
// held against a grammar without spaces or quotes.
func (r *run) environment(rel store.Release) []string {
	return []string{
		"KOBOSHI_APP=" + r.config.App,
		"KOBOSHI_CHANNEL=" + r.config.Channel,
		"KOBOSHI_VERSION=" + rel.Version(),
		"KOBOSHI_MANIFEST_SHA256=" + rel.ManifestSHA256().String(),
		"KOBOSHI_INSTANCE_ID=" + r.who.ID,
		"KOBOSHI_REGION=" + r.who.Region,
		"KOBOSHI_AZ=" + r.who.AZ,
	}
}

// current is the release that the disk names. A link that leads nowhere is as
// good as none.
func (r *run) current() (store.Release, bool) {
	rel, found, err := r.Store.Current()
	if err != nil {
		r.warn("%v", err)
	}
	return rel, found
}
