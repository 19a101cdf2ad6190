package store

import (
	"errors"
	"io/fs"
	"path"

	"koboshi/artifacts/durable"
)

// Activate makes r the current release: at every moment the link names the old
// one or the new one. previous then names the newest other release that was
// healthy, whatever failed in between; it is set first, so that no crash loses
// the way back. A link that is right already is not written again.
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
	old, ok, _ := s.follow(currentLink) // a broken link is simply replaced
	if ok && old.id != r.id && old.everHealthy() {
		if err := s.link(previousLink, old.id); err != nil {
			return err
		}
	}
	return s.link(currentLink, r.id)
}

func (s *Store) link(name, id string) error {
	return s.change("link "+name, func() error {
		return durable.Symlink(s.root, linkTo(id), name)
	})
}

// linkTo is what a link to a release holds.
func linkTo(id string) string { return path.Join(releasesDir, id, treeDir) }

// linkedID is the release that a link names, whether or not there is one;
// "" where it leads elsewhere.
func linkedID(target string) string {
	id := path.Base(path.Dir(target))
	if target != linkTo(id) {
		return ""
	}
	return id
}

// Current is the release that runs. Where the link is broken, or what it names
// is no release, there is none, and the error is a [*LinkError] with the reason.
func (s *Store) Current() (Release, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.follow(currentLink)
}

// Previous is the release to go back to, as [Store.Current] is the current one.
func (s *Store) Previous() (Release, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok, err := s.follow(previousLink)
	if current, _, _ := s.follow(currentLink); ok && current.id == r.id {
		return Release{}, false, nil
	}
	return r, ok, err
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
