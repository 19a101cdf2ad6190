package artifacts

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Choose is the release that the pointer has for an instance, by its manifest and no
// other: that of the rollout where the instance is in, else the pointer's own.
func (p Pointer) Choose(instance string) Reference {
	if p.InRollout(instance) {
		return Reference{App: p.App, Version: p.Next.Version, ManifestSHA256: p.Next.ManifestSHA256}
	}
	return Reference{App: p.App, Version: p.Version, ManifestSHA256: p.ManifestSHA256}
}

// InRollout reports whether an instance is among those that get the pointer's next
// release. Without a rollout none is, and without an id, as while an image is made,
// none ever is.
func (p Pointer) InRollout(instance string) bool {
	return p.Next != nil && Member(p.App, p.Channel, p.Next.Version, instance, p.Next.Percent)
}

// Member reports whether an instance is in a rollout of a version to a percentage of
// a channel's instances, 0 to 100. An instance that is in at one percentage is in at each
// higher one; with another version others are first.
func Member(app, channel, version, instance string, percent int) bool {
	return instance != "" && Place(app, channel, version, instance) < percent
}

// Place is where an instance stands in the rollout of a version, 0 to 99: it is in at
// every percentage above that.
func Place(app, channel, version, instance string) int {
	text := "koboshi rollout\x00" + app + "\x00" + channel + "\x00" + version + "\x00" + instance
	sum := sha256.Sum256([]byte(text))
	place, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:8]), 100)
	return int(place) //nolint:gosec // below 100
}

// PointsTo reports whether the pointer points to a manifest, for all instances or for
// some. Whether for a given one, [Pointer.Choose] decides.
func (p Pointer) PointsTo(manifest Digest) bool {
	return p.ManifestSHA256 == manifest || p.Next != nil && p.Next.ManifestSHA256 == manifest
}

// Same reports whether two pointers point to the same releases for the same share of
// the instances, whenever they were signed.
func (p Pointer) Same(q Pointer) bool {
	if (p.Next == nil) != (q.Next == nil) || p.Next != nil && *p.Next != *q.Next {
		return false
	}
	return p.Version == q.Version && p.ManifestSHA256 == q.ManifestSHA256
}
