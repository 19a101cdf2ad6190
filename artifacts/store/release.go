package store

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"time"

	"koboshi/artifacts"
)

// Release is a complete tree on disk, as it was when the store looked.
type Release struct {
	id      string
	dir     string
	made    complete
	seen    seen
	healthy healthy
}

// ID is the name of the release's directory, <version>-<12 digits>.
func (r Release) ID() string { return r.id }

// Dir is the absolute path of the tree.
func (r Release) Dir() string { return r.dir }

// App is what the release is of.
func (r Release) App() string { return r.made.App }

// Version is the release's version.
func (r Release) Version() string { return r.made.Version }

// ManifestSHA256 is the digest of the manifest's envelope: the identity of a
// release.
func (r Release) ManifestSHA256() artifacts.Digest { return r.made.ManifestSHA256 }

// Seen is when a channel was last seen to name the release, or when it was
// staged if none did.
func (r Release) Seen() time.Time { return r.seen.Seen }

// Channel is the one that named the release, and the pointer's sequence; empty
// and 0 where it was asked for by version.
func (r Release) Channel() (channel string, sequence int64) { return r.seen.Channel, r.seen.Sequence }

// Pointer is the signed pointer that named the release, nil where none did. It
// comes from the disk: whoever believes it verifies it again.
func (r Release) Pointer() []byte { return r.seen.Envelope }

// HealthySince is when the release last passed the gate, on whatever instance;
// zero if it never did.
func (r Release) HealthySince() time.Time { return r.healthy.At }

// HealthyOn tells whether the release passed the gate on that instance. On
// another one it would have to pass again.
func (r Release) HealthyOn(instance string) bool {
	return instance != "" && r.healthy.Instance == instance
}

func releaseID(version string, manifest artifacts.Digest) string {
	return version + "-" + manifest.Short()
}

// load makes a Release of a directory whose marker, manifest and name agree.
// Errors are errIncomplete or [ErrDisk].
func (s *Store) load(id string) (Release, error) {
	r := Release{id: id, dir: filepath.Join(s.dir, releasesDir, id)}
	info, err := s.root.Lstat(path.Join(releasesDir, id))
	if err != nil {
		return Release{}, unreadable(id, err)
	}
	if !info.IsDir() {
		return Release{}, incomplete("%s is no directory", id)
	}
	if err := s.readJSON(id, completeFile, &r.made); err != nil {
		return Release{}, err
	}
	manifest, err := s.readMeta(id, manifestFile, artifacts.MaxManifestBytes)
	if err != nil {
		return Release{}, err
	}
	if sum := artifacts.Sum(manifest); sum != r.made.ManifestSHA256 || id != releaseID(r.made.Version, sum) {
		return Release{}, incomplete("%s holds the manifest %s of %s", id, sum.Short(), r.made.Version)
	}
	return r, s.loadHistory(&r)
}

// loadHistory reads what may be missing or torn: then nothing is known, and
// the release is neither fresh nor healthy.
func (s *Store) loadHistory(r *Release) error {
	if err := s.readJSON(r.id, pointerFile, &r.seen); err != nil {
		r.seen = seen{}
		if !errors.Is(err, errIncomplete) {
			return err
		}
	}
	if err := s.readJSON(r.id, healthyFile, &r.healthy); err != nil {
		r.healthy = healthy{}
		if !errors.Is(err, errIncomplete) {
			return err
		}
	}
	return nil
}

// Find looks for the release of a manifest.
func (s *Store) Find(m *artifacts.VerifiedManifest) (Release, bool, error) {
	r, err := s.load(releaseID(m.Manifest().Version, m.SHA256()))
	switch {
	case errors.Is(err, errIncomplete) || err == nil && r.ManifestSHA256() != m.SHA256():
		return Release{}, false, nil
	case err != nil:
		return Release{}, false, err
	}
	return r, true, nil
}

// Releases is every complete release, by name. One that cannot be read is left
// out: it could not serve.
func (s *Store) Releases() ([]Release, error) {
	names, err := s.names(releasesDir)
	if err != nil {
		return nil, err
	}
	var all []Release
	for _, name := range names {
		if r, err := s.load(name); err == nil {
			all = append(all, r)
		}
	}
	return all, nil
}

// Candidates is every release that could serve on an instance, best first:
// those that passed the gate on it, the latest first; then the current one;
// then those that passed it elsewhere, and at last what was merely installed,
// each the latest first. All but the first kind have yet to pass.
func (s *Store) Candidates(instance string) ([]Release, error) {
	all, err := s.Releases()
	current, _, _ := s.Current() // a link that leads nowhere prefers nothing
	serves := func(r Release) int {
		if r.id == current.id {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b Release) int {
		return cmp.Or(
			b.healthyOn(instance).Compare(a.healthyOn(instance)),
			serves(b)-serves(a),
			b.HealthySince().Compare(a.HealthySince()),
			b.Seen().Compare(a.Seen()),
		)
	})
	return all, err
}

// LastGood is the release that passed the gate on the instance last.
func (s *Store) LastGood(instance string) (Release, bool, error) {
	all, err := s.Candidates(instance)
	if err != nil || len(all) == 0 || !all[0].HealthyOn(instance) {
		return Release{}, false, err
	}
	return all[0], true, nil
}

func (r Release) healthyOn(instance string) (at time.Time) {
	if r.HealthyOn(instance) {
		at = r.healthy.At
	}
	return at
}

// Manifest is the release's own, verified again: the disk may have changed
// since. Errors are artifacts.ErrUntrusted, artifacts.ErrTooOld, [ErrDisk].
func (s *Store) Manifest(r Release, trust artifacts.Trust) (*artifacts.VerifiedManifest, error) {
	envelope, err := s.readMeta(r.id, manifestFile, artifacts.MaxManifestBytes)
	if err != nil {
		return nil, onDisk("read the manifest of "+r.id, err)
	}
	m, err := trust.Manifest(envelope, artifacts.Reference{App: r.made.App, Version: r.made.Version, ManifestSHA256: r.made.ManifestSHA256})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.id, err)
	}
	return m, nil
}

// MarkHealthy records that a release has passed the gate.
func (s *Store) MarkHealthy(r Release, instance string, at time.Time) error {
	return s.writeJSON(path.Join(releasesDir, r.id), healthyFile, healthy{Instance: instance, At: at.UTC()})
}

// MarkSeen records that a channel still names a release.
func (s *Store) MarkSeen(r Release, p *artifacts.VerifiedPointer, at time.Time) error {
	if got := p.Reference().ManifestSHA256; got != r.ManifestSHA256() {
		return fmt.Errorf("the pointer names manifest %s, not %s", got.Short(), r.ManifestSHA256().Short())
	}
	return s.writeJSON(path.Join(releasesDir, r.id), pointerFile, seenBy(p, at))
}
