package converge

import (
	"bytes"
	"cmp"
	"context"
	"time"

	"koboshi/artifacts/store"
)

// Unchanged reads the channel and reports whether there is nothing to do: it points
// to the release that was found up and healthy a moment ago, with the environment
// that this has. Where it is not, [Run.Follow] goes by the same answer.
func (r *Run) Unchanged(ctx context.Context) bool {
	current, found := r.Current()
	if !found || !r.Up(current) || !r.knows(current) || r.Node != nil && !r.Node.Serves() || r.mayRun(current) != nil {
		return false
	}
	pointer, err := r.Peek(ctx)
	if err != nil || pointer.Choose(r.Instance.ID).ManifestSHA256 != current.ManifestSHA256() {
		return false
	}
	r.noteSeen(current)
	return true
}

// usualAge stands in for fallback.max_age where that is 0: then only people look at
// when the channel was last seen.
const usualAge = 24 * time.Hour

// noteSeen records that the channel still points to a release, unless that was
// recorded lately: a machine that looks often is not to write each time.
func (r *Run) noteSeen(rel store.Release) {
	now := r.targetOf(r.known.Known).sighting()
	before, ok := rel.SeenOn(r.Config.Channel)
	if age := now.Seen.Sub(before.Seen); ok && age >= 0 && age <= cmp.Or(time.Duration(r.Config.Fallback.MaxAge), usualAge)/10 &&
		before.Source == now.Source && before.ETag == now.ETag && bytes.Equal(before.Pointer.Envelope(), now.Pointer.Envelope()) {
		return
	}
	if err := r.Store.MarkSeen(rel, now); err != nil {
		r.Warn("that channel %s points to %s could not be recorded: %v", r.Config.Channel, rel.Version(), err)
	}
}
