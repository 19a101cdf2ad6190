package store

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"time"

	"koboshi/artifacts"
)

// Release is a complete tree on disk and its verified manifest, as they were
// when the store read them.
type Release struct{ facts }

// facts are what is known of a release.
type facts struct {
	id       string
	dir      string
	made     complete
	manifest *artifacts.VerifiedManifest
	pointers []Sighting
	healthy  healthy
}

// Sighting is the pointer of a channel to a release, and when it was last read
// from the source. Source and ETag are hints for reading it again: where it came
// from, and its ETag there; "" = not known.
type Sighting struct {
	Pointer *artifacts.VerifiedPointer
	Seen    time.Time
	Source  string
	ETag    string
}

// ID is the name of the release's directory, <version>-<12 digits>.
func (f facts) ID() string { return f.id }

// Dir is the absolute path of the tree.
func (f facts) Dir() string { return f.dir }

// App is the app that the release is of.
func (f facts) App() string { return f.made.App }

// Version is the release's version.
func (f facts) Version() string { return f.made.Version }

// Manifest is the release's manifest. It was verified under the store's trust.
func (f facts) Manifest() *artifacts.VerifiedManifest { return f.manifest }

// ManifestSHA256 is the digest of the manifest's envelope: the identity of a
// release.
func (f facts) ManifestSHA256() artifacts.Digest { return f.made.ManifestSHA256 }

// Artifact is what the release was made from. Where its manifest does not have that
// the error is artifacts.ErrNoPlatform.
func (f facts) Artifact() (artifacts.Artifact, error) {
	m, sum := f.manifest.Manifest(), f.made.Artifact
	if sum == (artifacts.Digest{}) {
		return m.Artifact(f.made.OS, f.made.Arch)
	}
	a, found := m.Same(artifacts.Artifact{OS: f.made.OS, Arch: f.made.Arch, SHA256: sum})
	if !found {
		return a, fmt.Errorf("%s: %w: no artifact %s", f.id, artifacts.ErrNoPlatform, sum.Short())
	}
	return a, nil
}

// Pointers is the newest pointer of each channel that has pointed to the
// release, by name of the channel. They were verified under the store's trust;
// one that does not verify is not among them.
func (f facts) Pointers() []Sighting { return f.pointers }

// SeenOn is the pointer of one channel to the release; false where that channel
// never pointed to it.
func (f facts) SeenOn(channel string) (Sighting, bool) {
	i := slices.IndexFunc(f.pointers, func(s Sighting) bool { return s.Pointer.Pointer().Channel == channel })
	if i < 0 {
		return Sighting{}, false
	}
	return f.pointers[i], true
}

// HealthySince is when the release last passed the gate, on any instance; zero
// if it never did. It is for people: clocks jump.
func (f facts) HealthySince() time.Time { return f.healthy.At }

// HealthyOn reports whether the release passed the gate on that instance. On
// another one it has to pass again.
func (f facts) HealthyOn(instance string) bool {
	return instance != "" && f.everHealthy() && f.healthy.Place.Instance == instance
}

// HealthyAt is where the release last passed the gate, zero if it never did.
func (f facts) HealthyAt() Place { return f.healthy.Place }

// everHealthy reports whether the release passed the gate on any instance.
func (f facts) everHealthy() bool { return f.healthy.Order > 0 }

func releaseID(version string, manifest artifacts.Digest) string {
	return version + "-" + manifest.Short()
}

// treePath is the absolute path of a release's tree.
func (s *Store) treePath(id string) string { return filepath.Join(s.dir, releasesDir, id, treeDir) }

// load makes a Release of a directory whose marker, manifest and name agree,
// and whose manifest verifies. Errors are errIncomplete,
// artifacts.ErrUntrusted, artifacts.ErrTooOld or [ErrDisk].
func (s *Store) load(id string) (Release, error) {
	r := Release{facts{id: id, dir: s.treePath(id)}}
	for _, dir := range []string{id, path.Join(id, treeDir)} {
		info, err := s.root.Lstat(path.Join(releasesDir, dir))
		if err != nil {
			return Release{}, unreadable(dir, err)
		}
		if !info.IsDir() {
			return Release{}, incomplete("%s is not a directory", dir)
		}
	}
	if err := s.readJSON(id, completeFile, &r.made); err != nil {
		return Release{}, err
	}
	envelope, err := s.readMeta(id, manifestFile, artifacts.MaxManifestBytes)
	if err != nil {
		return Release{}, err
	}
	if sum := artifacts.Sum(envelope); sum != r.made.ManifestSHA256 || id != releaseID(r.made.Version, sum) {
		return Release{}, incomplete("%s holds the manifest %s of %s", id, sum.Short(), r.made.Version)
	}
	if r.manifest, err = s.verified.manifest(envelope, r.made); err != nil {
		return Release{}, err
	}
	return r, s.loadHistory(&r)
}

// loadHistory reads the files that may be missing, torn or signed by keys that
// are no longer trusted: then the release counts as never seen on that channel,
// or never healthy.
func (s *Store) loadHistory(r *Release) (err error) {
	if r.healthy, err = s.readHealthy(r.id); err != nil {
		return err
	}
	r.pointers, err = s.readPointers(r)
	return err
}

// Find looks for the release of a manifest.
func (s *Store) Find(m *artifacts.VerifiedManifest) (Release, bool, error) {
	r, err := s.load(releaseID(m.Manifest().Version, m.SHA256()))
	if errors.Is(err, ErrDisk) {
		return Release{}, false, err
	}
	if err != nil || r.ManifestSHA256() != m.SHA256() {
		return Release{}, false, nil //nolint:nilerr // an incomplete or unverified directory is no release
	}
	return r, true, nil
}

// Releases is every release, by name. A directory that is not one, or cannot be
// read, is left out: it could not run.
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
