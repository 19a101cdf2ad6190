package store

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/durable/durabletest"
)

// firsts is the first release of a machine: the app is started from it before it is
// settled, or after, whichever comes first.
func firsts(showFirst bool) []act {
	var staged *Staged
	stage := act{name: "stage 1 first", during: []string{""}, do: func(s *Store) (err error) {
		staged, err = s.StageFirst(context.Background(), version("1"))
		return err
	}}
	show := act{name: "show 1", during: []string{"", "1"}, do: func(*Store) error { return staged.Show() }, early: showFirst}
	settle := act{name: "settle 1", during: []string{"", "1"}, early: showFirst, promise: healthyIs("1", false), do: func(*Store) error {
		_, err := staged.Settle()
		return err
	}}
	steps := []act{stage, settle, show}
	if showFirst {
		steps = []act{stage, show, settle}
	}
	return append(steps,
		act{name: "activate 1", do: activating("1"), during: []string{"", "1"}, promise: links("1", "")},
		act{name: "1 is healthy", do: passing("1"), during: []string{"1"}, promise: healthyIs("1", true)},
	)
}

// fromTheStart is what the next boot does where a power cut has left current at a
// release that is none: it is not first any more, and is made as any other.
func fromTheStart(s *Store) error {
	if first, err := s.First(); first || err != nil {
		return errors.Join(errors.New("first though there is a current"), err)
	}
	if _, found, err := s.Find(version("1").Manifest); found || err != nil {
		return errors.Join(errors.New("a release that is not settled was found"), err)
	}
	r, err := s.Stage(context.Background(), version("1"))
	if err != nil {
		return err
	}
	return errors.Join(s.Activate(r), links("1", "")(s))
}

// Whatever is lost of a release that is not settled, it counts as none, and the next
// boot makes it again. Once it is settled and active it stays.
func TestPowerCutAtTheFirstRelease(t *testing.T) {
	for name, showFirst := range map[string]bool{"shown first": true, "settled first": false} {
		t.Run(name, func(t *testing.T) {
			p := &powerCut{T: t, acts: firsts(showFirst), disk: durabletest.New(t), known: map[string]error{}, from: -1}
			if p.live(); p.fault != "" {
				t.Fatal(p.fault)
			}
			if p.states < 20 {
				t.Errorf("%d states were looked at", p.states)
			}
			if !showFirst { // else the sync of the release brings the link to the disk, too
				loseEach(t, func() []act { return firsts(false) }, p.known, p.disk.Calls())
			}
		})
	}
}

// A release that is not settled is none for anyone: it is not found, and cannot be
// made current for good.
func TestStagedIsNoRelease(t *testing.T) {
	s := open(t)
	staged, err := s.StageFirst(t.Context(), version("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := s.Find(version("1").Manifest); found || err != nil {
		t.Errorf("found: %v, %v", found, err)
	}
	if err := s.Activate(Release{staged.facts}); !errors.Is(err, ErrDisk) {
		t.Errorf("activated: %v", err)
	}
	if first, err := s.First(); !first || err != nil {
		t.Errorf("first: %v, %v", first, err)
	}
	if err := staged.Show(); err != nil {
		t.Fatal(err)
	}
	if _, found, err := s.Current(); found || !errors.Is(err, errIncomplete) {
		t.Errorf("current: %v, %v", found, err)
	}
	if first, err := s.First(); first || err != nil {
		t.Errorf("first: %v, %v, though there is a current", first, err)
	}
	r, err := staged.Settle()
	if err != nil {
		t.Fatal(err)
	}
	if r.ID() != staged.ID() || r.Dir() != staged.Dir() || r.ManifestSHA256() != staged.ManifestSHA256() || len(r.Pointers()) != len(staged.Pointers()) {
		t.Errorf("settled as %s %s, staged as %s %s", r.ID(), r.Dir(), staged.ID(), staged.Dir())
	}
	if current, found, err := s.Current(); !found || err != nil || current.ID() != r.ID() {
		t.Errorf("current: %v, %v", found, err)
	}
	if diff, err := s.Verify(t.Context(), r); err != nil || !diff.Clean() {
		t.Errorf("%+v, %v", diff, err)
	}
	if err := staged.Withdraw(); err != nil {
		t.Error(err)
	}
	if first, err := s.First(); !first || err != nil {
		t.Errorf("withdrawn, but current is there, %v", err)
	}
}

// A sync that fails fails for good, and so does the marker: the release is none, and
// is made anew in its place.
func TestSettleFails(t *testing.T) {
	for _, step := range []string{"sync the tree", "write complete"} {
		s := open(t)
		staged, err := s.StageFirst(t.Context(), version("1"))
		if err != nil {
			t.Fatal(err)
		}
		s.before = func(now string) error {
			if now == step {
				return unix.EIO
			}
			return nil
		}
		if _, err := staged.Settle(); !errors.Is(err, ErrDisk) || !errors.Is(err, unix.EIO) {
			t.Errorf("%s: %v", step, err)
		}
		if _, found, err := s.Find(version("1").Manifest); found || err != nil {
			t.Errorf("%s: found %v, %v", step, found, err)
		}
		s.before = nil
		if staged, err = s.StageFirst(t.Context(), version("1")); err != nil {
			t.Fatal(err)
		}
		if r, err := staged.Settle(); err != nil || r.Version() != "1" {
			t.Errorf("%s: once more: %v", step, err)
		}
	}
}

// A first release whose content fails leaves nothing.
func TestStageFirstFails(t *testing.T) {
	s := open(t)
	in, gone := version("1"), errors.New("gone")
	in.Content.(*content).end = gone
	if _, err := s.StageFirst(t.Context(), in); !errors.Is(err, gone) {
		t.Errorf("%v, want the content's error", err)
	}
	if err := only()(s); err != nil {
		t.Error(err)
	}
}
