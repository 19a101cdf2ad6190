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
	if r, ok, err := s.Previous(); !ok || err != nil || r.ID() != two.ID() {
		t.Errorf("previous: %v %v %v", r.ID(), ok, err)
	}
	activate(t, s, two)
	check("back to 2 from 3, which never was healthy", "2", "2")
	if _, ok, err := s.Previous(); ok || err != nil {
		t.Errorf("previous after going back to it: %v, %v", ok, err)
	}
	if target := must(os.Readlink(filepath.Join(s.Dir(), "current"))); target != "releases/"+two.ID() {
		t.Errorf("current -> %s, want a relative link", target)
	}
}

// A link that leads nowhere, elsewhere, or to half a release is never
// believed, never followed, and no obstacle.
func TestBrokenLinks(t *testing.T) {
	outside := t.TempDir()
	for name, target := range map[string]string{
		"nowhere":      "releases/none-000000000000",
		"outside":      outside,
		"up":           "../../etc",
		"releases":     "releases",
		"slash":        "releases/",
		"dot":          "releases/.",
		"the parent":   "releases/..",
		"itself":       "current",
		"staging":      ".staging",
		"deeper":       "releases/1/2",
		"not complete": "releases/half",
		"bare name":    "ID",
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			r := stage(t, s, "1")
			target := strings.Replace(target, "ID", r.ID(), 1)
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
			return os.Remove(filepath.Join(r.Dir(), ".koboshi/complete"))
		},
		"garbage marker": func(_ *testing.T, _ *Store, r Release) error {
			return os.WriteFile(filepath.Join(r.Dir(), ".koboshi/complete"), []byte("{}"), 0o644)
		},
		"huge marker": func(_ *testing.T, _ *Store, r Release) error {
			name := filepath.Join(r.Dir(), ".koboshi/complete")
			return os.WriteFile(name, append(must(os.ReadFile(name)), bytes.Repeat([]byte(" "), 2<<20)...), 0o644)
		},
		"marker of another manifest": func(_ *testing.T, _ *Store, r Release) error {
			name, sum := filepath.Join(r.Dir(), ".koboshi/complete"), r.ManifestSHA256()
			text := bytes.ReplaceAll(must(os.ReadFile(name)), []byte(sum.String()), []byte(sum.Short()+strings.Repeat("0", 52)))
			return os.WriteFile(name, text, 0o644)
		},
		"marker is a dir": func(_ *testing.T, _ *Store, r Release) error {
			return errors.Join(os.Remove(filepath.Join(r.Dir(), ".koboshi/complete")), os.Mkdir(filepath.Join(r.Dir(), ".koboshi/complete"), 0o755))
		},
		"no manifest": func(_ *testing.T, _ *Store, r Release) error {
			return os.Remove(filepath.Join(r.Dir(), ".koboshi/manifest"))
		},
		"other manifest": func(_ *testing.T, _ *Store, r Release) error {
			return os.WriteFile(filepath.Join(r.Dir(), ".koboshi/manifest"), []byte("x"), 0o644)
		},
		"renamed": func(_ *testing.T, s *Store, r Release) error {
			return os.Rename(r.Dir(), filepath.Join(s.Dir(), "releases", "1-000000000000"))
		},
		"a link": func(_ *testing.T, s *Store, r Release) error {
			aside := filepath.Join(s.Dir(), "aside")
			return errors.Join(os.Rename(r.Dir(), aside), os.Symlink("../aside", r.Dir()))
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

func TestCandidates(t *testing.T) {
	s := open(t)
	one, two, three, four := stage(t, s, "1"), stage(t, s, "2"), stage(t, s, "3"), stage(t, s, "4")
	five := stage(t, s, "5")
	if _, ok, err := s.LastGood("i-1"); ok || err != nil {
		t.Errorf("last good before any gate: %v, %v", ok, err)
	}
	healthyNow(t, s, one, "i-1", noon.Add(1*time.Hour))
	healthyNow(t, s, two, "i-1", noon.Add(2*time.Hour))
	healthyNow(t, s, three, "i-0", noon.Add(9*time.Hour)) // on the instance that the AMI was made from
	in := files{"bin/web": "4"}.release("4", artifacts.TarZst, true)
	if err := s.MarkSeen(four, pointerTo(in.Manifest, 8), noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	activate(t, s, five)
	all, err := s.Candidates("i-1")
	if got := ids(all); err != nil || !slices.Equal(got, []string{"2", "1", "5", "3", "4"}) {
		t.Errorf("candidates %v, %v", got, err)
	}
	if r, ok, err := s.LastGood("i-1"); !ok || err != nil || r.ID() != two.ID() || !r.HealthySince().Equal(noon.Add(2*time.Hour)) {
		t.Errorf("last good: %v %v %v", r.ID(), ok, err)
	}
	if _, ok, _ := s.LastGood(""); ok {
		t.Error("a last good without an instance")
	}
}

func TestMarks(t *testing.T) {
	s := open(t)
	in := files{"a": "1"}.release("1", artifacts.TarGz, false)
	in.Pointer = nil
	r, err := s.Stage(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if channel, sequence := r.Channel(); channel != "" || sequence != 0 || r.Pointer() != nil || !r.Seen().Equal(noon) {
		t.Errorf("asked for by version, but %q %d %q %v", channel, sequence, r.Pointer(), r.Seen())
	}
	later := noon.Add(time.Hour)
	p := pointerTo(in.Manifest, 9)
	if err := errors.Join(s.MarkSeen(r, p, later), s.MarkHealthy(r, "i-1", later)); err != nil {
		t.Fatal(err)
	}
	r, _, err = s.Find(in.Manifest)
	if channel, sequence := r.Channel(); err != nil || channel != "stable" || sequence != 9 || !r.Seen().Equal(later) || !slices.Equal(r.Pointer(), p.Envelope()) {
		t.Errorf("%q %d %v, %v", channel, sequence, r.Seen(), err)
	}
	if !r.HealthyOn("i-1") || r.HealthyOn("i-2") || r.HealthyOn("") || !r.HealthySince().Equal(later) {
		t.Errorf("healthy since %v", r.HealthySince())
	}
	other := files{"a": "2"}.release("2", artifacts.TarGz, false)
	if err := s.MarkSeen(r, pointerTo(other.Manifest, 10), later); err == nil {
		t.Error("a pointer to another release was recorded")
	}
	for name, torn := range map[string]string{"pointer": `{"seen":"2026-11-21T12:00:00Z","cha`, "healthy": `{"instance":"i-1","at":"20`} {
		if err := os.WriteFile(filepath.Join(r.Dir(), ".koboshi", name), []byte(torn), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if r, ok, err := s.Find(in.Manifest); !ok || err != nil || r.HealthyOn("i-1") || !r.Seen().IsZero() {
		t.Errorf("with torn marks: %v, %v, seen %v", ok, err, r.Seen())
	}
	if m, err := s.Manifest(r, trust); err != nil || m.SHA256() != in.Manifest.SHA256() {
		t.Errorf("manifest: %v", err)
	}
	stranger := must(artifacts.NewTrust("1.0.0", 1, must(artifacts.GenerateKey()).Public()))
	if _, err := s.Manifest(r, stranger); !errors.Is(err, artifacts.ErrUntrusted) {
		t.Errorf("manifest with other keys: %v", err)
	}
}
