package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts"
)

func TestActivate(t *testing.T) {
	s := open(t)
	one, two, three := stage(t, s, "1"), stage(t, s, "2"), stage(t, s, "3")
	check := func(when, current, previous string) {
		t.Helper()
		for link, want := range map[string]string{currentLink: current, previousLink: previous} {
			r, ok, err := s.follow(link)
			if err != nil || ok != (want != "") || r.Version() != want {
				t.Errorf("%s: %s is %q, %v; want %q", when, link, r.Version(), err, want)
			}
		}
		if r, ok, err := s.Previous(); err != nil || ok != (previous != "") || r.Version() != previous {
			t.Errorf("%s: previous is %q, %v; want %q", when, r.Version(), err, previous)
		}
	}
	check("at first", "", "")
	activate(t, s, one)
	check("1", "1", "")
	activate(t, s, two)
	check("2 over 1, which never was healthy", "2", "")
	healthyNow(t, s, two, "i-1", noon)
	activate(t, s, two)
	check("2 again", "2", "")
	activate(t, s, three)
	check("3 over 2", "3", "2")
	activate(t, s, two)
	check("back to 2 from 3, which never was healthy", "2", "")
	activate(t, s, one)
	healthyNow(t, s, one, "i-1", noon.Add(-time.Hour))
	check("1 over 2", "1", "2")
	activate(t, s, three)
	check("3 over 1", "3", "1")
	activate(t, s, one)
	check("back to 1 from 3: the way back is 2, as before", "1", "2")
	activate(t, s, three)
	activate(t, s, two)
	check("3 failed, and 2 was asked for", "2", "1")
	if target := must(os.Readlink(filepath.Join(s.Dir(), "current"))); target != "releases/"+two.ID()+"/tree" {
		t.Errorf("current -> %s, want a relative link", target)
	}
}

// Links that are right already are not written: the disk may be read-only.
func TestActivateAgain(t *testing.T) {
	s := deployed(t)
	two := stage(t, s, "2")
	activate(t, s, two)
	var steps []string
	s.before = func(step string) error {
		steps = append(steps, step)
		return nil
	}
	activate(t, s, two)
	if want := []string{"keep current"}; !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
}

// However the link is broken, the previous release is the one that was healthy before.
func TestPreviousIsFound(t *testing.T) {
	for name, damage := range map[string]func(link, current string) error{
		"at the current release": func(link, current string) error { return os.Symlink(must(os.Readlink(current)), link) },
		"nowhere":                func(link, _ string) error { return os.Symlink("releases/none-000000000000/tree", link) },
		"a file":                 func(link, _ string) error { return os.WriteFile(link, nil, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			s := deployed(t)
			activate(t, s, stage(t, s, "2"))
			link := filepath.Join(s.Dir(), "previous")
			if err := errors.Join(os.Remove(link), damage(link, filepath.Join(s.Dir(), "current"))); err != nil {
				t.Fatal(err)
			}
			if r, ok, err := s.Previous(); !ok || err != nil || r.Version() != "1" {
				t.Errorf("previous: %q, %v, %v", r.Version(), ok, err)
			}
		})
	}
}

// A link that leads nowhere, elsewhere, or to half a release is not trusted, not
// followed, and does not prevent an activation.
func TestBrokenLinks(t *testing.T) {
	outside := t.TempDir()
	for name, target := range map[string]string{
		"nowhere":       "releases/none-000000000000/tree",
		"outside":       outside,
		"up":            "../../etc",
		"releases":      "releases",
		"slash":         "releases//tree",
		"dot":           "releases/./tree",
		"the parent":    "releases/../tree",
		"itself":        "current",
		"staging":       ".staging",
		"deeper":        "releases/1/2/tree",
		"not a tree":    "releases/ID/meta",
		"no part of it": "releases/ID",
		"absolute":      "ROOT/releases/ID/tree",
		"not complete":  "releases/half/tree",
		"bare name":     "ID",
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			r := stage(t, s, "1")
			target := strings.NewReplacer("ID", r.ID(), "ROOT", s.Dir()).Replace(target)
			if err := errors.Join(os.Mkdir(filepath.Join(s.Dir(), "releases", "half"), 0o755), os.Symlink(target, filepath.Join(s.Dir(), "current"))); err != nil {
				t.Fatal(err)
			}
			got, ok, err := s.Current()
			link, typed := errors.AsType[*LinkError](err)
			if ok || got.ID() != "" || !typed || link.Target != target {
				t.Errorf("current is %q, %v, %v", got.ID(), ok, err)
			}
			activate(t, s, r)
			if got, ok, err := s.Current(); !ok || err != nil || got.ID() != r.ID() {
				t.Errorf("after activation: %q, %v", got.ID(), err)
			}
		})
	}
}

// A release is what its marker, manifest and name agree on.
func TestDoctoredReleases(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, s *Store, r Release) error{
		"no marker": func(_ *testing.T, _ *Store, r Release) error {
			return os.Remove(meta(r, "complete"))
		},
		"garbage marker": func(_ *testing.T, _ *Store, r Release) error {
			return os.WriteFile(meta(r, "complete"), []byte("{}"), 0o644)
		},
		"huge marker": func(_ *testing.T, _ *Store, r Release) error {
			name := meta(r, "complete")
			return os.WriteFile(name, append(must(os.ReadFile(name)), bytes.Repeat([]byte(" "), 2<<20)...), 0o644)
		},
		"marker of another manifest": func(_ *testing.T, _ *Store, r Release) error {
			name, sum := meta(r, "complete"), r.ManifestSHA256()
			text := bytes.ReplaceAll(must(os.ReadFile(name)), []byte(sum.String()), []byte(sum.Short()+strings.Repeat("0", 52)))
			return os.WriteFile(name, text, 0o644)
		},
		"marker is a dir": func(_ *testing.T, _ *Store, r Release) error {
			return errors.Join(os.Remove(meta(r, "complete")), os.Mkdir(meta(r, "complete"), 0o755))
		},
		"no manifest": func(_ *testing.T, _ *Store, r Release) error {
			return os.Remove(meta(r, "manifest"))
		},
		"other manifest": func(_ *testing.T, _ *Store, r Release) error {
			return os.WriteFile(meta(r, "manifest"), []byte("x"), 0o644)
		},
		"renamed": func(_ *testing.T, s *Store, r Release) error {
			return os.Rename(filepath.Dir(r.Dir()), filepath.Join(s.Dir(), "releases", "1-000000000000"))
		},
		"a link": func(_ *testing.T, s *Store, r Release) error {
			aside, dir := filepath.Join(s.Dir(), "aside"), filepath.Dir(r.Dir())
			return errors.Join(os.Rename(dir, aside), os.Symlink("../aside", dir))
		},
		"its tree a link": func(_ *testing.T, s *Store, r Release) error {
			return errors.Join(os.Rename(r.Dir(), filepath.Join(s.Dir(), "aside")), os.Symlink("../../aside", r.Dir()))
		},
		"no tree": func(_ *testing.T, s *Store, r Release) error {
			return os.RemoveAll(r.Dir())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			in := files{"a": "1"}.release("1", artifacts.TarGz, false)
			r, err := s.Stage(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			activate(t, s, r)
			if err := damage(t, s, r); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := s.Find(in.Manifest); ok || err != nil {
				t.Errorf("found: %v, %v", ok, err)
			}
			if _, ok, err := s.Current(); ok || err == nil {
				t.Errorf("current: %v, %v", ok, err)
			}
			if all, err := s.Releases(); len(all) != 0 || err != nil {
				t.Errorf("releases: %v, %v", ids(all), err)
			}
			if err := s.Activate(r); err == nil {
				t.Error("it could be activated")
			}
		})
	}
}
