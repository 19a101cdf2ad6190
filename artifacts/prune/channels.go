package prune

import (
	"context"
	"errors"
	"fmt"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/publish"
)

// ErrChannel is a channel that cannot be read: it is not known what it points to.
var ErrChannel = errors.New("it is not known what a channel points to")

// channels are the versions that channels point to, roll out, or pointed to before, each
// with the reason for people. Where several apply, what a channel points to counts.
//
// Pointers are not verified: a false one keeps more, and one that was overwritten is
// one that instances refuse, too.
func channels(ctx context.Context, b bucket.Bucket, app string) (named map[string]string, err error) {
	all, err := publish.Pointers(ctx, b, app, artifacts.Trust{})
	if err != nil {
		return nil, err
	}
	named = map[string]string{}
	for _, c := range all {
		if c.Err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrChannel, artifacts.PointerKey(c.Name), c.Err)
		}
		before, err := publish.Previous(ctx, b, app, c.Document)
		if err != nil {
			return nil, err
		}
		if before != "" {
			named[before] = "channel " + c.Name + " pointed to it before"
		}
	}
	for _, c := range all {
		if next := c.Document.Next; next != nil {
			named[next.Version] = "channel " + c.Name + " rolls it out"
		}
	}
	for _, c := range all {
		named[c.Document.Version] = "channel " + c.Name + " points to it"
	}
	return named, nil
}
