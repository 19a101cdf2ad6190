package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/durable/durabletest"
)

// act is one operation of a store, and what is true of every state that a power
// cut may leave.
type act struct {
	name    string
	do      func(s *Store) error
	during  []string             // versions that may be current in the middle of it
	back    string               // where 2 is current, the version of previous; "" = any
	promise func(s *Store) error // checked once it has reported success; nil = it never does
	early   bool                 // current may lead to a release that is not settled
}

// life is a sequence of operations of one store.
func life() []act {
	return []act{
		install("1", "", ""),
		{"activate 1", activating("1"), []string{"", "1"}, "", links("1", ""), false},
		{"1 is healthy", passing("1"), []string{"1"}, "", healthyIs("1", true), false},
		install("2", "", "1"),
		{"seen 2", seeing("2", 9), []string{"1"}, "", seenIs("2", 9), false},
		{"activate 2", activating("2"), []string{"1", "2"}, "1", links("2", "1"), false},
		{"2 has failed", activating("1"), []string{"1", "2"}, "1", links("1", ""), false},
		{"activate 2, which is killed", killedWhileActivating("2"), []string{"", "1", "2"}, "", nil, false},
		{"activate 2 again", activating("2"), []string{"", "1", "2"}, "", links("2", "1"), false},
		{"2 is healthy", passing("2"), []string{"2"}, "1", healthyIs("2", true), false},
		install("2", " again", "2"),
		{"2 is healthy again", passing("2"), []string{"2"}, "1", healthyIs("2", true), false},
		install("3", "", "2"),
		{"prune", func(s *Store) error { _, err := s.Prune(context.Background(), 2); return err }, []string{"2"}, "1", only("1", "2"), false},
	}
}

func version(v string) Input { return files{"bin/web": v}.release(v, artifacts.TarZst, true) }

func find(s *Store, v string) (Release, error) {
	r, found, err := s.Find(version(v).Manifest)
	if err == nil && !found {
		err = fmt.Errorf("%s is lost", v)
	}
	return r, err
}

func install(v, again, current string) act {
	do := func(s *Store) error { _, err := s.Stage(context.Background(), version(v)); return err }
	return act{name: "install " + v + again, do: do, during: []string{current}, promise: healthyIs(v, false)}
}

// withRelease calls do with a release.
func withRelease(v string, do func(s *Store, r Release) error) func(s *Store) error {
	return func(s *Store) error {
		r, err := find(s, v)
		if err != nil {
			return err
		}
		return do(s, r)
	}
}

func activating(v string) func(s *Store) error { return withRelease(v, (*Store).Activate) }

func passing(v string) func(s *Store) error {
	return withRelease(v, func(s *Store, r Release) error { return s.MarkHealthy(r, Place{Instance: "i-1"}, noon) })
}

func seeing(v string, sequence int64) func(s *Store) error {
	return withRelease(v, func(s *Store, r Release) error {
		return s.MarkSeen(r, Sighting{Pointer: pointerTo(r.Manifest(), "stable", sequence), Seen: noon.Add(time.Hour)})
	})
}

// killedWhileActivating is killed after the links were made, before the fsync.
func killedWhileActivating(v string) func(s *Store) error {
	return withRelease(v, func(s *Store, r Release) error {
		previous, err := find(s, "1")
		return errors.Join(err, s.root.Symlink(linkTo(previous.ID()), previousLink), s.root.Remove(currentLink), s.root.Symlink(linkTo(r.ID()), currentLink))
	})
}

func healthyIs(v string, want bool) func(s *Store) error {
	return withRelease(v, func(_ *Store, r Release) error {
		if len(r.Pointers()) != 1 || r.HealthyOn("i-1") != want {
			return fmt.Errorf("%s: healthy %v, want %v, %d pointers", v, !want, want, len(r.Pointers()))
		}
		return nil
	})
}

func seenIs(v string, sequence int64) func(s *Store) error {
	return withRelease(v, func(_ *Store, r Release) error {
		if seen, ok := r.SeenOn("stable"); !ok || seen.Pointer.Sequence().Number != sequence {
			return fmt.Errorf("%s: seen %v", v, seen)
		}
		return nil
	})
}

func links(current, previous string) func(s *Store) error {
	return func(s *Store) error {
		for link, want := range map[string]string{currentLink: current, previousLink: previous} {
			r, _, err := s.follow(link)
			if err != nil {
				return err
			}
			if r.Version() != want {
				return fmt.Errorf("%s is %q, want %q", link, r.Version(), want)
			}
		}
		return nil
	}
}

func only(versions ...string) func(s *Store) error {
	return func(s *Store) error {
		all, err := s.names(releasesDir)
		left, err2 := s.names(stagingDir)
		if len(all) != len(versions) || len(left) != 0 {
			err = fmt.Errorf("left %v and %v, want %v", all, left, versions)
		}
		return errors.Join(err, err2)
	}
}

// powerCut is a life on one disk, which is looked at after every change.
type powerCut struct {
	*testing.T
	acts   []act
	disk   *durabletest.Disk
	known  map[string]error // by state and act; of all lives
	states int              // how many were new
	from   int              // how many calls are made before the first check
	fault  string           // the first one; it ends the checks
}

// live goes through a life on an empty disk, up to the first fault.
func (p *powerCut) live() {
	s := newStore(p.disk, p.disk.Name(), trust)
	err := s.complete()
	if err != nil {
		p.Fatal(err)
	}
	for _, a := range p.acts {
		p.disk.After = func(change string) { p.look(a.name+": "+change, "during "+a.name, a.middle) }
		err := a.do(s)
		p.disk.After = nil
		if err != nil && p.fault == "" {
			p.fault = a.name + ": " + err.Error()
		}
		if p.fault == "" && a.promise != nil {
			p.look(a.name+" has succeeded", "after "+a.name, a.kept)
		}
		if p.fault != "" {
			return
		}
	}
}

// middle checks every state during an act: the releases are whole, and current
// is the old or the new one. Where it is the new one, previous is right, too.
func (a act) middle(_ durabletest.State, s *Store) error {
	for _, r := range must(s.Releases()) {
		diff, err := s.Verify(context.Background(), r)
		if err != nil {
			return err
		}
		if !diff.Clean() {
			return fmt.Errorf("%s is not whole: %+v", r.ID(), diff)
		}
	}
	current, _, err := s.Current()
	if a.early && errors.Is(err, errIncomplete) {
		return fromTheStart(s)
	}
	if err != nil {
		return err
	}
	if !slices.Contains(a.during, current.Version()) {
		return fmt.Errorf("current is %q, want one of %q", current.Version(), a.during)
	}
	if a.back != "" && current.Version() == "2" {
		return links("2", a.back)(s)
	}
	return nil
}

// kept checks every state after an act. A rename of which only half is durable
// would leave a release under two names.
func (a act) kept(state durabletest.State, s *Store) error {
	if name := state.Twice(); name != "" {
		return fmt.Errorf("%s has two names", name)
	}
	return a.promise(s)
}

// random is the part of a name that differs in each life.
var random = regexp.MustCompile(`[a-z2-7]{26}`)

// look checks every state that a power cut may leave now against what an act
// promises.
func (p *powerCut) look(when, act string, holds func(durabletest.State, *Store) error) {
	if p.disk.Calls() <= p.from {
		return
	}
	for state := range p.disk.States() {
		key := act + random.ReplaceAllString(state.Key(), "*") + state.Twice()
		err, known := p.known[key]
		if !known {
			err = opened(p.T, state, holds)
			p.states++
			p.known[key] = err
		}
		if err != nil && p.fault == "" {
			p.fault = fmt.Sprintf("%s, a power cut leaves %s: %v", when, state.Name, err)
		}
		if p.fault != "" {
			return
		}
	}
}

// opened opens the store that a power cut has left.
func opened(t *testing.T, state durabletest.State, holds func(durabletest.State, *Store) error) error {
	t.Helper()
	dir := must(os.MkdirTemp(t.TempDir(), ""))
	defer func() { _ = os.RemoveAll(dir) }()
	if err := state.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, trust)
	if err != nil {
		return err
	}
	return errors.Join(holds(state, s), s.Close())
}

// A power cut after any change leaves the old state or the new one, and what was
// reported as done stays done. No fsync and no rename can be left out.
func TestPowerCut(t *testing.T) {
	known := map[string]error{}
	whole := &powerCut{T: t, acts: life(), disk: durabletest.New(t), known: known, from: -1}
	whole.live()
	if whole.fault != "" {
		t.Fatal(whole.fault)
	}
	calls := whole.disk.Calls()
	if whole.states < 100 || calls < 30 {
		t.Errorf("%d states were looked at, %d calls could have been lost: the disk is not asked any more", whole.states, calls)
	}
	loseEach(t, life, known, calls)
}

// loseEach leaves out every call of a life in turn, which has to be noticed.
func loseEach(t *testing.T, life func() []act, known map[string]error, calls int) {
	t.Helper()
	for i := range calls {
		var lost string
		p := &powerCut{T: t, acts: life(), disk: durabletest.New(t), known: known, from: i}
		p.disk.Lose = func(n int, call string) bool {
			if n == i {
				lost = call
			}
			return n == i
		}
		if p.live(); p.fault == "" {
			t.Errorf("call %d, %s, could be left out", i, lost)
		}
	}
}
