package publish

import (
	"context"
	"slices"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// What is before and after the version in a manifest's key, and before the name
// in a pointer's.
const (
	channelsPrefix = "channels/"
	releasesPrefix = "releases/"
	manifestSuffix = "/manifest.json"
)

// maxListed is how many objects [Versions] reads the names of.
const maxListed = 10_000

// Versions are those that have a manifest, the one that was written last first.
// No document is read: a version is only a name in the bucket. Of a bucket with
// more than 10,000 objects only the first are listed.
func Versions(ctx context.Context, b bucket.Bucket) ([]string, error) {
	var found []bucket.Object
	n := 0
	for object, err := range b.List(ctx, releasesPrefix) {
		if err != nil {
			return nil, err
		}
		if version, ok := nameBetween(object.Key, releasesPrefix, manifestSuffix, artifacts.CheckVersion); ok {
			object.Key = version
			found = append(found, object)
		}
		if n++; n == maxListed {
			break
		}
	}
	slices.SortStableFunc(found, func(x, y bucket.Object) int { return y.Modified.Compare(x.Modified) })
	versions := make([]string, len(found))
	for i, object := range found {
		versions[i] = object.Key
	}
	return versions, nil
}
