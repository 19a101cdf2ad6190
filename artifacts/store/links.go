package store

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"koboshi/artifacts/durable"
)

// Activate makes r the current release: at every moment the link names the old
// one or the new one. A healthy release that it replaces becomes the previous
// one first, so that no crash leaves the way back unknown.
func (s *Store) Activate(r Release) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.load(r.id); err != nil {
		return onDisk("activate "+r.id, err)
	}
	old, ok, _ := s.follow(currentLink) // a link that leads nowhere is simply replaced
	if ok && old.id != r.id && !old.HealthySince().IsZero() {
		if err := s.link(previousLink, old.id); err != nil {
			return err
		}
	}
	return s.link(currentLink, r.id)
}

func (s *Store) link(name, id string) error {
	return s.change("link "+name, func() error {
		return durable.Symlink(s.root, path.Join(releasesDir, id), name)
	})
}

// Current is the release that serves. A link that names no complete release is
// not believed: then there is none, and the error is a [*LinkError].
func (s *Store) Current() (Release, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.follow(currentLink)
}

// Previous is the release that served before the current one, as [Store.Current]
// is. After a step back to it there is none.
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
	id, ok := strings.CutPrefix(target, releasesDir+"/")
	if !ok {
		return Release{}, false, &LinkError{Link: link, Target: target, Err: incomplete("it leads elsewhere")}
	}
	r, err := s.load(id)
	if err != nil {
		return Release{}, false, &LinkError{Link: link, Target: target, Err: err}
	}
	return r, true, nil
}
