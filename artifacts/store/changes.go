package store

import (
	"bytes"
	"fmt"
	"io/fs"
	"runtime"
	"slices"

	"koboshi/artifacts"
	"koboshi/artifacts/unpack"
)

// Changes is what a release would change in the tree of another, by their
// indexes; no file is read. The zero Release has an empty tree. index is the
// target's own, as [Input.Index].
func (s *Store) Changes(from Release, target *artifacts.VerifiedManifest, index []byte) (Diff, error) {
	before, err := s.entriesOf(from)
	if err != nil {
		return Diff{}, err
	}
	m := target.Manifest()
	a, err := m.Artifact(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return Diff{}, err
	}
	after, err := listed(m, a, index)
	if err != nil {
		return Diff{}, err
	}
	return difference(before, after), nil
}

// listed is what the tree of an artifact will be.
func listed(m artifacts.Manifest, a artifacts.Artifact, index []byte) ([]unpack.Entry, error) {
	if a.Format == artifacts.File {
		return []unpack.Entry{executable(m.App, a)}, nil
	}
	return readIndex(m.Version, index)
}

func readIndex(version string, index []byte) ([]unpack.Entry, error) {
	entries, err := unpack.ReadIndex(bytes.NewReader(index), unpack.MaxEntries)
	if err != nil {
		return nil, fmt.Errorf("index of %s: %w", version, err)
	}
	return entries, nil
}

// entriesOf is what a release's tree must be, by its index.
func (s *Store) entriesOf(r Release) ([]unpack.Entry, error) {
	if r.id == "" {
		return nil, nil
	}
	a, err := r.manifest.Manifest().Artifact(r.made.OS, r.made.Arch)
	if err != nil {
		return nil, err
	}
	return s.index(r, a)
}

func difference(before, after []unpack.Entry) (d Diff) {
	was := map[string]unpack.Entry{}
	for _, e := range before {
		was[e.Path] = unplaced(e)
	}
	for _, e := range after {
		old, known := was[e.Path]
		switch {
		case !known:
			d.Added = append(d.Added, e.Path)
		case old != unplaced(e):
			d.Altered = append(d.Altered, e.Path)
		}
		delete(was, e.Path)
	}
	for path := range was {
		d.Removed = append(d.Removed, path)
	}
	slices.Sort(d.Added)
	slices.Sort(d.Altered)
	slices.Sort(d.Removed)
	return d
}

// unplaced is an entry without where its bytes lie in the archive.
func unplaced(e unpack.Entry) unpack.Entry {
	e.Offset = 0
	return e
}

// executable is the one entry of an artifact that is a single file.
func executable(app string, a artifacts.Artifact) unpack.Entry {
	return unpack.Entry{Path: app, Type: unpack.TypeFile, Mode: fs.FileMode(0o755), Size: a.Size, SHA256: a.SHA256.String()}
}
