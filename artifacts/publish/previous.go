package publish

import (
	"context"
	"errors"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// Previous is the version that a channel pointed to before the release that it points to
// now, by its history as [List] reads without trust: "" where that does not say. Where a
// promotion was not in effect it is what that one was to lead away from. Errors are those
// of the bucket.
func Previous(ctx context.Context, b bucket.Bucket, app string, now artifacts.Pointer) (version string, err error) {
	names, err := entriesOf(ctx, b, now.Channel)
	if err != nil {
		return "", err
	}
	l := look[artifacts.Move]{limit: artifacts.MaxMoveBytes}
	l.verified = func([]byte) (m artifacts.Move, err error) { return m, errors.New("no key is trusted") }
	l.about = func(m artifacts.Move) bool { return m.App == app && m.Channel == now.Channel }
	for _, name := range names[:min(len(names), maxBack)] {
		if sequenceOf(name) > now.Sequence {
			continue
		}
		found, err := l.at(ctx, b, name, artifacts.MovesPrefix(now.Channel)+name+".json")
		if err != nil {
			return "", err
		}
		if from := found.Document.From; found.Err == nil && from != nil && from.ManifestSHA256 != now.ManifestSHA256 {
			return from.Version, nil
		}
	}
	return "", nil
}
