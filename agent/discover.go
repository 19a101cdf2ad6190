package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/report"
	"koboshi/artifacts/pace"
)

// discover asks who this machine is and what its tags choose.
func (r *run) discover(ctx context.Context) error {
	if err := r.identify(ctx); err != nil {
		return err
	}
	return r.readTags(ctx)
}

// discoverToStart is discover for a run that may start the app.
func (r *run) discoverToStart(ctx context.Context) error {
	if err := r.discover(ctx); err != nil {
		return err
	}
	return r.notDraining(r.Instance.ID)
}

// identify asks who this machine is, and makes the clients: their credentials
// are fetched while the tags are read.
func (r *run) identify(ctx context.Context) (err error) {
	defer r.Steps.Begin("discover").End(&err)
	who, err := r.agent.Machine.Identity(ctx)
	if err != nil {
		return err
	}
	if r.Instance.ID != who.ID {
		r.Instance.ID = who.ID
		r.belong()
	}
	r.Instance = who
	r.tellNode()
	return r.connect(r.agent.Files, who)
}

// belong takes of the state what is this instance's.
func (r *run) belong() {
	r.stateLost = r.state.Instance != r.Instance.ID
	r.state = r.state.For(r.Instance.ID)
	r.tellNode()
}

func (r *run) connect(cfg *config.Config, who instance.Identity) (err error) {
	r.cloud, err = r.agent.Connect(cfg, who)
	r.Releases, r.Artifacts = r.cloud.Releases, r.cloud.Artifacts
	if r.Node != nil {
		r.Node.Tables = r.cloud.NodeTable
	}
	return err
}

// readTags asks what the instance's tags choose. While metadata fails that is
// repeated, for as long as a source would be waited for.
func (r *run) readTags(ctx context.Context) (err error) {
	s := r.Steps.Begin("configure")
	defer s.End(&err)
	limited, cancel := context.WithTimeout(ctx, time.Duration(r.agent.Files.Fallback.After))
	defer cancel()
	tags, err := r.tags(limited, s)
	switch {
	case errors.Is(err, instance.ErrTagsOff):
	case errors.Is(err, instance.ErrHostileTag):
		r.warn("%v", err)
	case err != nil:
		return failure.WithHint(fmt.Errorf("instance tags: %w", err), "instance metadata works, but the instance's tags cannot be read from it: switch them off with InstanceMetadataTags=disabled, or try again")
	}
	effective, warnings := r.agent.Files.WithTags(tags)
	r.Config = effective
	for _, w := range warnings {
		r.warn("%s", w)
	}
	return nil
}

// tagsPause is between two attempts at the tags, each of which has retries of its
// own.
const tagsPause = time.Second

func (r *run) tags(ctx context.Context, s *report.Span) (tags map[string]string, err error) {
	for {
		s.Attempt()
		tags, err = r.agent.Machine.Tags(ctx, config.TagChannel, config.TagHold, config.TagGroup)
		if !errors.Is(err, instance.ErrUnreachable) || pace.Sleep(ctx, tagsPause) != nil {
			return tags, err
		}
	}
}
