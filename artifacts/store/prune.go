package store

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/durable"
)

// Prune deletes releases that are no longer needed, directories that are
// incomplete or do not verify, and what was left in .staging. It returns the IDs
// of what it removed from releases/. It never touches the targets of current and
// previous. It keeps at least keep releases, if there are as many healthy ones:
// those that were the last to pass the gate. It also keeps the releases of the
// manifests that are needed.
//
// A release is moved to .staging before it is deleted, so that half of one is
// never taken for a whole. Where one cannot be removed the others still are.
func (s *Store) Prune(ctx context.Context, keep int, needed ...*artifacts.VerifiedManifest) ([]string, error) {
	s.staging.Lock()
	defer s.staging.Unlock()
	var ids []string
	for _, m := range needed {
		ids = append(ids, releaseID(m.Manifest().Version, m.SHA256()))
	}
	removed, err := s.retire(ctx, keep, ids...)
	return removed, errors.Join(err, s.sweep(ctx), s.sweepTemporary())
}

// retire moves releases to .staging, in the order of their names: all but keep
// of them, and those that are needed.
func (s *Store) retire(ctx context.Context, keep int, needed ...string) (removed []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.names(releasesDir)
	if err != nil {
		return nil, err
	}
	kept, err := s.kept(keep)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if slices.Contains(kept, name) || slices.Contains(needed, name) {
			continue
		}
		if ctx.Err() != nil {
			err = errors.Join(err, context.Cause(ctx))
			break
		}
		// systemd knows a mount by its path: it goes before that changes
		e := s.unmount(ctx, path.Join(releasesDir, name))
		if e == nil {
			e = s.change("retire", func() error { return s.root.Rename(path.Join(releasesDir, name), stagingName(name)) })
		}
		if errors.Is(e, unix.EXDEV) {
			e = s.change("remove", func() error { return s.removeInPlace(name) })
		}
		if err = errors.Join(err, e); e == nil {
			removed = append(removed, name)
		}
	}
	return removed, errors.Join(err, onDisk("retire", durable.SyncDir(s.root, releasesDir)))
}

// removeInPlace is for a directory of a lower layer of overlayfs, which cannot be
// renamed. Without its marker it is no release, however far the removal gets.
func (s *Store) removeInPlace(id string) error {
	dir := path.Join(releasesDir, id)
	if err := durable.Remove(s.root, path.Join(dir, metaDir, completeFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.root.RemoveAll(dir)
}

// kept is the targets of the links, even broken ones, and then the newest
// healthy releases.
func (s *Store) kept(keep int) (kept []string, err error) {
	for _, link := range []string{currentLink, previousLink} {
		target, err := s.root.Readlink(link)
		if id := linkedID(target); err == nil && id != "" && !slices.Contains(kept, id) {
			kept = append(kept, id)
		}
	}
	all, err := s.Releases()
	slices.SortStableFunc(all, func(a, b Release) int { return cmp.Compare(b.healthy.Order, a.healthy.Order) })
	for _, r := range all {
		if len(kept) < keep && r.everHealthy() && !slices.Contains(kept, r.id) {
			kept = append(kept, r.id)
		}
	}
	return kept, err
}

// sweep empties .staging.
func (s *Store) sweep(ctx context.Context) error {
	names, err := s.names(stagingDir)
	for _, name := range names {
		if ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		err = errors.Join(err, s.change("sweep", func() error {
			return errors.Join(s.unmount(ctx, path.Join(stagingDir, name)), s.removeAll(ctx, path.Join(stagingDir, name)))
		}))
	}
	return errors.Join(err, onDisk("sweep", durable.SyncDir(s.root, stagingDir)))
}

// sweepTemporary removes links and documents that a crash left half-written.
func (s *Store) sweepTemporary() error {
	releases, err := s.names(releasesDir)
	dirs := []string{"."}
	for _, id := range releases {
		meta := path.Join(releasesDir, id, metaDir)
		dirs = append(dirs, meta, path.Join(meta, pointersDir))
	}
	for _, dir := range dirs {
		names, _ := s.names(dir) // an incomplete release may have none
		for _, name := range names {
			if strings.HasPrefix(name, durable.TempPrefix) {
				err = errors.Join(err, s.change("sweep", func() error { return s.root.Remove(path.Join(dir, name)) }))
			}
		}
	}
	return err
}

// names is the sorted names in a directory. It does not block where a FIFO has
// taken the place of the directory.
func (s *Store) names(dir string) ([]string, error) {
	d, err := s.root.OpenFile(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, onDisk("list "+dir, err)
	}
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, onDisk("list "+dir, errors.Join(err, d.Close()))
}
