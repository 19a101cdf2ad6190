package prune

import (
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/retire"
)

// tries is how often a mark is read again because another one has changed it.
const tries = 3

// Keep keeps a release from every prune, and takes a mark off; with undo it is not kept
// any more. The result is the state that it had. A release that is being removed, or
// was, is [retire.ErrRetired]; one that does not exist is bucket.ErrNotFound.
func Keep(ctx context.Context, b bucket.Bucket, app, version, by string, undo bool) (was retire.State, err error) {
	if err := errors.Join(artifacts.CheckName(app), artifacts.CheckVersion(version)); err != nil {
		return "", err
	}
	if err := checkStore(ctx, b); err != nil {
		return "", err
	}
	for range tries {
		was, err = keep(ctx, b, app, version, by, undo)
		if !errors.Is(err, bucket.ErrChanged) && !errors.Is(err, bucket.ErrExists) {
			break
		}
	}
	if err != nil {
		return was, fmt.Errorf("keep %s %s: %w", app, version, err)
	}
	return was, nil
}

func keep(ctx context.Context, b bucket.Bucket, app, version, by string, undo bool) (retire.State, error) {
	found, err := retire.Read(ctx, b, app, version)
	if err != nil {
		return "", err
	}
	to := retire.Kept
	if undo {
		to = retire.Unmarked
	}
	switch s := found.State; {
	case s.Ends():
		return s, &retire.RetiredError{Version: version, State: s, At: found.At}
	case s == to, undo && s == "":
		return s, nil
	case undo && s == retire.Marked:
		return s, fmt.Errorf("%w: it is not kept, but marked", retire.ErrState)
	}
	if found.State == "" {
		body, _, err := b.Get(ctx, artifacts.ManifestKey(version), bucket.Range{Length: 1})
		if err != nil {
			return "", err
		}
		if err := body.Close(); err != nil {
			return "", err
		}
	}
	m, err := found.To(to, app, version, by, time.Now())
	if err != nil {
		return found.State, err
	}
	_, err = retire.Write(ctx, b, m, found)
	return found.State, err
}
