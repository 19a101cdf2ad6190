package store

import (
	"errors"
	"io/fs"
	"path"

	"koboshi/artifacts/durable"
)

// Activate makes r the current release: at every moment the link points to the
// old one or the new one. previous then points to the newest other release that
// was healthy, whatever failed in between; it is set first, so that a crash
// cannot lose it. A link that is right already is not written again.
//
// Errors are [ErrDisk], and artifacts.ErrUntrusted or artifacts.ErrTooOld for a
// release whose manifest no longer verifies.
func (s *Store) Activate(r Release) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.load(r.id); errors.Is(err, errIncomplete) {
		return onDisk("activate "+r.id, err)
	} else if err != nil {
		return err
	}
	previous, found, err := s.newestHealthy(r.id)
	if err != nil {
		return err
	}
	if !found {
		return errors.Join(s.link(currentLink, r.id), s.unlinkPrevious(r.id))
	}
	if !s.linked(previousLink, previous.id) {
		if err := s.link(previousLink, previous.id); err != nil {
			return err
		}
	}
	return s.link(currentLink, r.id)
}

// linked reports whether a link points to a release.
func (s *Store) linked(name, id string) bool {
	target, err := s.root.Readlink(name)
	return err == nil && target == linkTo(id)
}

// newestHealthy is, of all releases but one, the last to pass the gate, on any
// instance.
func (s *Store) newestHealthy(other string) (newest Release, found bool, err error) {
	all, err := s.Releases()
	for _, r := range all {
		if r.id != other && r.healthy.Order > newest.healthy.Order {
			newest, found = r, true
		}
	}
	return newest, found, err
}

// link makes a link durable, but does not write one that is right: the disk may
// be read-only by now.
func (s *Store) link(name, id string) error {
	if s.linked(name, id) {
		return s.change("keep "+name, func() error { return durable.SyncDir(s.root, ".") })
	}
	return s.change("link "+name, func() error {
		return durable.Symlink(s.root, linkTo(id), name)
	})
}

// unlinkPrevious removes previous where it points to the current release: there
// is no release to go back to.
func (s *Store) unlinkPrevious(current string) error {
	if !s.linked(previousLink, current) {
		return nil
	}
	return s.change("unlink previous", func() error { return durable.Remove(s.root, previousLink) })
}

// linkTo is the target of a link to a release.
func linkTo(id string) string { return path.Join(releasesDir, id, treeDir) }

// linkedID is the ID of the release that a link points to, which may not exist;
// "" where it leads elsewhere.
func linkedID(target string) string {
	id := path.Base(path.Dir(target))
	if target != linkTo(id) {
		return ""
	}
	return id
}

// Current is the release that current points to. Where the link is broken, or
// its target is no release, there is none, and the error is a [*LinkError] with
// the reason.
func (s *Store) Current() (Release, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.follow(currentLink)
}

// Previous is the release to go back to, as [Store.Current] is the current one.
// Where its link is broken, or a crash has left it at the current release, it is
// the newest other release that was healthy.
func (s *Store) Previous() (Release, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current, _, _ := s.follow(currentLink) // where it is broken no release is excluded
	r, ok, broken := s.follow(previousLink)
	if ok && r.id != current.id || !ok && broken == nil {
		return r, ok, nil
	}
	if r, ok, err := s.newestHealthy(current.id); ok || err != nil {
		return r, ok, err
	}
	return Release{}, false, broken
}

func (s *Store) follow(link string) (Release, bool, error) {
	target, err := s.root.Readlink(link)
	if errors.Is(err, fs.ErrNotExist) {
		return Release{}, false, nil
	}
	if err != nil {
		return Release{}, false, &LinkError{Link: link, Err: err}
	}
	id := linkedID(target)
	if id == "" {
		return Release{}, false, &LinkError{Link: link, Target: target, Err: incomplete("it leads elsewhere")}
	}
	r, err := s.load(id)
	if err != nil {
		return Release{}, false, &LinkError{Link: link, Target: target, Err: err}
	}
	return r, true, nil
}
