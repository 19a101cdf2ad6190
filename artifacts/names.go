package artifacts

import (
	"fmt"
	"strings"
)

const (
	maxName    = 63
	maxVersion = 64
	maxObject  = 255
)

const (
	lower   = "abcdefghijklmnopqrstuvwxyz0123456789"
	letters = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// spelled reports whether s is 1 to limit characters long, begins with one of
// first and goes on with these and those of more. Regular expressions with such
// repeat counts would take a millisecond of every start to compile.
func spelled(s string, limit int, first, more string) bool {
	if s == "" || len(s) > limit || !strings.Contains(first, s[:1]) {
		return false
	}
	return strings.Trim(s, first+more) == ""
}

// CheckName accepts the name of an app or of a channel: a lower-case letter
// or digit, then at most 62 lower-case letters, digits and hyphens.
func CheckName(s string) error {
	if !spelled(s, maxName, lower, "-") {
		return fmt.Errorf("%q is not a name: want a-z, 0-9 and hyphens, at most 63", clip(s))
	}
	return nil
}

// CheckVersion accepts what may be a version. Versions are opaque: they are
// compared for equality and never ordered.
func CheckVersion(s string) error {
	if !spelled(s, maxVersion, letters, "._+-") {
		return fmt.Errorf("%q is not a version: want letters, digits and . _ + -, at most 64, a letter or digit first", clip(s))
	}
	return nil
}

// PointerKey is where a channel's pointer is stored, relative to an app's prefix.
func PointerKey(channel string) string { return "channels/" + channel + ".json" }

// MoveKey is where the record of the promotion is stored that made a pointer, relative
// to an app's prefix.
func MoveKey(channel string, at Sequence) string {
	return fmt.Sprintf("%s%d-%s.json", MovesPrefix(channel), at.Number, at.Payload.Short())
}

// MovesPrefix is what the keys of all records of a channel begin with.
func MovesPrefix(channel string) string { return "channels/" + channel + "/history/" }

// ManifestKey is where a release's manifest is stored, relative to an app's prefix.
func ManifestKey(version string) string { return releasePrefix(version) + "manifest.json" }

// ArtifactKey is where an artifact is stored, relative to an app's prefix. The first
// 12 digits of its hash are in the name, so other bytes have another key.
func ArtifactKey(app, version, os, arch string, sum Digest, format Format) string {
	name := fmt.Sprintf("%s-%s-%s-%s", app, os, arch, sum.Short())
	if ext := format.Ext(); ext != "" {
		name += "." + ext
	}
	return releasePrefix(version) + name
}

// IndexKey is where the index of an artifact's tree is stored, relative to an
// app's prefix.
func IndexKey(app, version, os, arch string, sum Digest) string {
	return ArtifactKey(app, version, os, arch, sum, File) + ".index.zst"
}

// DeltaKey is where a delta is stored, relative to an app's prefix.
func DeltaKey(app, version, os, arch, base string, sum Digest) string {
	return fmt.Sprintf("%s%s-%s-%s-from-%s-%s.delta", releasePrefix(version), app, os, arch, base, sum.Short())
}

func releasePrefix(version string) string { return "releases/" + version + "/" }

// checkKey requires a key of a manifest to be inside its own release: even a
// signed document may not send an agent to another object of the bucket.
func checkKey(key, version string) error {
	object, ok := strings.CutPrefix(key, releasePrefix(version))
	if !ok || !spelled(object, maxObject, letters, "._+-") {
		return fmt.Errorf("key %q is not an object of %s", clip(key), releasePrefix(version))
	}
	return nil
}

// clip shortens hostile input for an error message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
