package converge

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"koboshi/agent/nodeid"
	"koboshi/agent/report"
)

// holdNode has a node id held before anything is started that needs one. Where the
// configuration does not require one, the app runs without.
func (r *Run) holdNode(ctx context.Context) error {
	if r.Node == nil || r.noID {
		return nil
	}
	err := r.Steps.Do(ctx, "node-id", func(ctx context.Context, s *report.Span) error {
		note, err := r.Node.Hold(ctx)
		s.Note(note)
		return err
	})
	if err != nil && ctx.Err() == nil && !r.Config.NodeID.Required {
		r.Warn("the app runs without a node id: %v", err)
		r.noID = true
		return nil
	}
	return err
}

// wantsNode reports whether the app, which is up, is to be started anew for a node id.
func (r *Run) wantsNode(ctx context.Context) bool {
	if r.Node == nil || r.Node.Serves() {
		return false
	}
	return r.Config.NodeID.Required || r.holdNode(ctx) == nil && !r.noID
}

// standDown stops the app where it has a node id, and readies that for its next start:
// no moment is used both before and after. An app that is only reloaded runs on.
func (r *Run) standDown(ctx context.Context) error {
	if r.Node == nil {
		return nil
	}
	if r.Config.Service.Reload && r.Node.Serves() {
		if running, err := r.Service.Running(ctx); err != nil || running {
			return err
		}
	}
	if err := r.Service.Load(ctx); err != nil {
		return err
	}
	if err := r.Service.Stop(ctx); err != nil {
		return fmt.Errorf("stop the app: %w", err)
	}
	err := r.Node.Down(ctx)
	switch {
	case r.noID && err != nil: // what the id was used for counts as used until now, and later
		r.Warn("%v", err)
		fallthrough
	case r.noID:
		return r.Node.Forgo(ctx)
	case err != nil:
		return err
	}
	return r.Node.Start(ctx)
}

// nodeEnv is the app's variables of its node id.
func (r *Run) nodeEnv() []string {
	if r.Node == nil || r.noID {
		return nil
	}
	return r.Node.Env()
}

// lasting is an environment without what differs at each start.
func lasting(env string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(env, "\n"), func(line string) bool {
		return slices.ContainsFunc(nodeid.Bounds(), func(name string) bool { return strings.HasPrefix(line, name) })
	})
	return strings.Join(lines, "")
}
