package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/retire"
)

// Listing is what an app has in a bucket.
type Listing struct {
	Releases []ListedRelease             // the newest first, by the time they were created
	Gone     []string                    // versions that koboshi releases prune has removed
	Channels []Listed[artifacts.Pointer] // by name
}

// ListedRelease is a manifest and the channels that point to it.
type ListedRelease struct {
	Listed[artifacts.Manifest]
	Channels []string // that point to the version and these bytes of its manifest
	Rollouts []string // channels that point to them for a share of their instances
	State    retire.State
}

// List reads every manifest and every pointer of an app. Trust may be zero: then
// nothing is verified, but every document is well-formed and matches its key: names,
// versions, platforms and times are safe to print. Any other document is listed
// with its error. Where the bucket cannot be read List fails.
// Manifests are listed without their chunks.
func List(ctx context.Context, b bucket.Bucket, app string, trust artifacts.Trust) (Listing, error) {
	if err := artifacts.CheckName(app); err != nil {
		return Listing{}, err
	}
	channels, err := listChannels(ctx, b, app, trust)
	if err != nil {
		return Listing{}, fmt.Errorf("channels of %s: %w", app, err)
	}
	manifests, marked, err := listManifests(ctx, b, app, trust)
	if err != nil {
		return Listing{}, fmt.Errorf("releases of %s: %w", app, err)
	}
	releases := make([]ListedRelease, len(manifests))
	for i, m := range manifests {
		all, share := naming(channels, m.Name, m.SHA256)
		releases[i] = ListedRelease{Listed: m, Channels: all, Rollouts: share}
		if marked[m.Name] {
			if err := releases[i].readMark(ctx, b, app); err != nil {
				return Listing{}, err
			}
			delete(marked, m.Name)
		}
	}
	slices.SortStableFunc(releases, func(x, y ListedRelease) int {
		return cmp.Or(y.Document.Created.Compare(x.Document.Created), strings.Compare(x.Name, y.Name))
	})
	return Listing{Releases: releases, Gone: slices.Sorted(maps.Keys(marked)), Channels: channels}, nil
}

// readMark reads how far a release is on its way out.
func (r *ListedRelease) readMark(ctx context.Context, b bucket.Bucket, app string) error {
	found, err := retire.Read(ctx, b, app, r.Name)
	if errors.Is(err, artifacts.ErrUntrusted) || errors.Is(err, artifacts.ErrTooOld) {
		r.Err, err = errors.Join(r.Err, err), nil
	}
	r.State = found.State
	return err
}

// naming is the channels that point to a version with these bytes, for all of their
// instances or for a share.
func naming(channels []Listed[artifacts.Pointer], version string, sum artifacts.Digest) (all, share []string) {
	for _, c := range channels {
		if c.Document.Version == version && c.Document.ManifestSHA256 == sum {
			all = append(all, c.Name)
		}
		if next := c.Document.Next; next != nil && next.Version == version && next.ManifestSHA256 == sum {
			share = append(share, c.Name)
		}
	}
	return all, share
}

// Pointers reads every pointer of an app, as [List] does.
func Pointers(ctx context.Context, b bucket.Bucket, app string, trust artifacts.Trust) ([]Listed[artifacts.Pointer], error) {
	if err := artifacts.CheckName(app); err != nil {
		return nil, err
	}
	channels, err := listChannels(ctx, b, app, trust)
	if err != nil {
		return nil, fmt.Errorf("channels of %s: %w", app, err)
	}
	return channels, nil
}

// PointerOf reads the pointer of one channel, as [List] does. Nothing is listed for it.
func PointerOf(ctx context.Context, b bucket.Bucket, app, channel string, trust artifacts.Trust) (Listed[artifacts.Pointer], error) {
	if err := errors.Join(artifacts.CheckName(app), artifacts.CheckName(channel)); err != nil {
		return Listed[artifacts.Pointer]{}, err
	}
	l, err := lookAtPointer(ctx, b, app, channel, trust)
	if err != nil {
		err = fmt.Errorf("channel %s of %s: %w", channel, app, err)
	}
	return l, err
}

func listChannels(ctx context.Context, b bucket.Bucket, app string, trust artifacts.Trust) ([]Listed[artifacts.Pointer], error) {
	names, err := namesBetween(ctx, b, channelsPrefix, ".json", artifacts.CheckName)
	if err != nil {
		return nil, err
	}
	return readEach(ctx, names, pointersAtATime, func(ctx context.Context, name string) (Listed[artifacts.Pointer], error) {
		return lookAtPointer(ctx, b, app, name, trust)
	})
}

func lookAtPointer(ctx context.Context, b bucket.Bucket, app, name string, trust artifacts.Trust) (Listed[artifacts.Pointer], error) {
	l := look[artifacts.Pointer]{limit: artifacts.MaxPointerBytes}
	l.verified = func(data []byte) (artifacts.Pointer, error) {
		verified, err := trust.Pointer(data, app, name)
		if err != nil {
			return artifacts.Pointer{}, err
		}
		return verified.Pointer(), nil
	}
	l.about = func(p artifacts.Pointer) bool { return p.App == app && p.Channel == name }
	return l.at(ctx, b, name, artifacts.PointerKey(name))
}

// listManifests reads every manifest; marked are the versions that have a mark.
func listManifests(ctx context.Context, b bucket.Bucket, app string, trust artifacts.Trust) (all []Listed[artifacts.Manifest], marked map[string]bool, err error) {
	var versions []string
	marked = map[string]bool{}
	for object, err := range b.List(ctx, releasesPrefix) {
		if err != nil {
			return nil, nil, err
		}
		if version, ok := nameBetween(object.Key, releasesPrefix, manifestSuffix, artifacts.CheckVersion); ok {
			versions = append(versions, version)
		}
		if version, ok := nameBetween(object.Key, releasesPrefix, "/"+retire.Name, artifacts.CheckVersion); ok {
			marked[version] = true
		}
	}
	all, err = readEach(ctx, versions, manifestsAtATime, func(ctx context.Context, version string) (Listed[artifacts.Manifest], error) {
		return readListed(ctx, b, app, version, trust)
	})
	return all, marked, err
}

// ReadManifest reads one manifest as [List] does without trust.
func ReadManifest(ctx context.Context, b bucket.Bucket, app, version string) (Listed[artifacts.Manifest], error) {
	return readListed(ctx, b, app, version, artifacts.Trust{})
}

func readListed(ctx context.Context, b bucket.Bucket, app, version string, trust artifacts.Trust) (Listed[artifacts.Manifest], error) {
	l := look[artifacts.Manifest]{limit: artifacts.MaxManifestBytes}
	l.verified = func(data []byte) (artifacts.Manifest, error) {
		verified, err := trust.Manifest(data, artifacts.Reference{App: app, Version: version})
		if err != nil {
			return artifacts.Manifest{}, err
		}
		return verified.Manifest(), nil
	}
	l.about = func(m artifacts.Manifest) bool { return m.App == app && m.Version == version }
	found, err := l.at(ctx, b, version, artifacts.ManifestKey(version))
	for i := range found.Document.Artifacts {
		found.Document.Artifacts[i].Chunks = nil // nearly all of a large manifest
	}
	return found, err
}

// namesBetween lists what is between prefix and suffix of keys, where it is a
// valid name.
func namesBetween(ctx context.Context, b bucket.Bucket, prefix, suffix string, check func(string) error) (names []string, err error) {
	for object, err := range b.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if name, ok := nameBetween(object.Key, prefix, suffix, check); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func nameBetween(key, prefix, suffix string, check func(string) error) (string, bool) {
	name, isKey := strings.CutPrefix(key, prefix)
	name, isDocument := strings.CutSuffix(name, suffix)
	return name, isKey && isDocument && check(name) == nil
}

// How many documents are read in parallel. One manifest can be 4 MiB, and takes
// several times that while it is verified: these come one after the other.
const (
	pointersAtATime  = 8
	manifestsAtATime = 1
)

func errgroupOf(ctx context.Context, atATime int) (*errgroup.Group, context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atATime)
	return group, ctx
}

func readEach[D any](ctx context.Context, names []string, atATime int, read func(context.Context, string) (Listed[D], error)) ([]Listed[D], error) {
	all := make([]Listed[D], len(names))
	group, ctx := errgroupOf(ctx, atATime)
	for i, name := range names {
		group.Go(func() (err error) {
			all[i], err = read(ctx, name)
			return err
		})
	}
	return all, group.Wait()
}
