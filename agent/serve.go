package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"koboshi/agent/status"
	"koboshi/artifacts"
	"koboshi/artifacts/durable"
	"koboshi/artifacts/store"
)

// ErrActivate is a release that could not be made current or started.
var ErrActivate = errors.New("the release could not be started")

// envFile is what the app's unit reads with EnvironmentFile=.
const envFile = "env"

// serve makes rel current, starts the app from it and waits until it is
// healthy. Only then is the release marked as one that served here.
func (r *run) serve(ctx context.Context, rel store.Release) error {
	override, err := r.healthOf(rel)
	if err != nil {
		return err
	}
	var gate Gate
	err = r.steps.Do(ctx, "activate", func(ctx context.Context, _ *status.Span) (err error) {
		gate, err = r.start(ctx, rel)
		return err
	})
	if err != nil {
		return err
	}
	err = r.steps.Do(ctx, "gate", func(ctx context.Context, s *status.Span) error {
		found, err := gate(ctx, override)
		s.SetAttempts(found.Attempts)
		if found.Note != "" {
			r.warn("%s", found.Note)
		}
		return err
	})
	if err != nil {
		return err
	}
	r.up = rel.ID()
	return r.Store.MarkHealthy(rel, r.who.ID, r.Now().UTC().Truncate(time.Second))
}

func (r *run) start(ctx context.Context, rel store.Release) (Gate, error) {
	r.up = ""
	if err := r.Store.Activate(rel); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrActivate, err)
	}
	env := r.environment(rel)
	if err := durable.WriteFile(r.Run, envFile, []byte(strings.Join(env, "\n")+"\n"), 0o644); err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrActivate, store.ErrDisk, err)
	}
	gate, err := r.Service.Restart(ctx, env)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrActivate, err)
	}
	return gate, nil
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

// healthOf is what the release itself says of its health. A tree whose manifest
// is not believed does not get to serve, whenever it came here.
func (r *run) healthOf(rel store.Release) (artifacts.Health, error) {
	manifest, err := r.Store.Manifest(rel, r.Trust)
	if err != nil {
		return artifacts.Health{}, err
	}
	return manifest.Manifest().Health, nil
}
