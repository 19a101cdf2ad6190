package publish

import (
	"errors"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

// step is one promotion of a story, and what the channel points to afterwards.
type step struct {
	version string
	percent int
	abort   bool
	force   bool
	want    string // "1.0", or with a rollout "1.0, 2.0 10"; "" = refused, and as it was
}

func (w *world) now() string {
	w.Helper()
	pointer, _ := w.stored()
	text := pointer.Version
	if n := pointer.Next; n != nil {
		text += ", " + n.Version + " " + strings.Repeat("i", n.Percent/10)
	}
	return text
}

func (w *world) take(s step) error {
	w.Helper()
	p := w.promotion(s.version)
	p.Percent, p.Abort, p.Force = s.percent, s.abort, s.force
	_, err := Promote(w.Context(), w.bucket, p)
	return err
}

func TestRollouts(t *testing.T) {
	for name, steps := range map[string][]step{
		"to its end":                   {{"2", 10, false, false, "1, 2 i"}, {"2", 50, false, false, "1, 2 iiiii"}, {"2", 100, false, false, "2"}, {"2", 100, false, false, "2"}},
		"at once":                      {{"2", 100, false, false, "2"}},
		"the same step twice":          {{"2", 10, false, false, "1, 2 i"}, {"2", 10, false, false, "1, 2 i"}},
		"aborted":                      {{"2", 50, false, false, "1, 2 iiiii"}, {"", 0, true, false, "1"}, {"", 0, true, false, ""}},
		"aborted by name":              {{"2", 50, false, false, "1, 2 iiiii"}, {"3", 0, true, false, ""}, {"2", 0, true, false, "1"}},
		"aborted without one":          {{"", 0, true, false, ""}},
		"narrower":                     {{"2", 50, false, false, "1, 2 iiiii"}, {"2", 10, false, false, ""}, {"2", 10, false, true, "1, 2 i"}},
		"another one":                  {{"2", 50, false, false, "1, 2 iiiii"}, {"3", 60, false, false, ""}, {"3", 10, false, true, "1, 3 i"}},
		"the rest by name":             {{"2", 50, false, false, "1, 2 iiiii"}, {"2", 0, false, false, "2"}},
		"another for all":              {{"2", 50, false, false, "1, 2 iiiii"}, {"3", 0, false, false, ""}, {"3", 100, false, false, ""}, {"3", 0, false, true, "3"}},
		"signed again":                 {{"2", 50, false, false, "1, 2 iiiii"}, {"1", 0, false, false, "1, 2 iiiii"}},
		"signed again, forced":         {{"2", 50, false, false, "1, 2 iiiii"}, {"1", 0, false, true, "1, 2 iiiii"}},
		"the one before for all":       {{"2", 50, false, false, "1, 2 iiiii"}, {"1", 100, false, true, ""}},
		"of what all have":             {{"1", 50, false, false, ""}, {"1", 50, false, true, ""}},
		"of what all have, meanwhile":  {{"2", 50, false, false, "1, 2 iiiii"}, {"1", 50, false, true, ""}},
		"of what is not there":         {{"9", 50, false, false, ""}},
		"to more than all":             {{"2", 101, false, false, ""}},
		"to less than nobody":          {{"2", -1, false, false, ""}},
		"after an abort, another one":  {{"2", 50, false, false, "1, 2 iiiii"}, {"", 0, true, false, "1"}, {"3", 10, false, false, "1, 3 i"}},
		"after an abort, the same one": {{"2", 50, false, false, "1, 2 iiiii"}, {"", 0, true, false, "1"}, {"2", 10, false, false, "1, 2 i"}},
	} {
		w := newWorld(t)
		for _, v := range []string{"1", "2", "3"} {
			w.release(v)
		}
		w.promote("1")
		for i, s := range steps {
			before, was := w.now(), w.bucket.Bytes(artifacts.PointerKey("stable"))
			err := w.take(s)
			if s.want == "" {
				if err == nil || w.now() != before || string(w.bucket.Bytes(artifacts.PointerKey("stable"))) != string(was) {
					t.Errorf("%s, step %d: %v and %s, want an error and %s", name, i, err, w.now(), before)
				}
				if unfit, ok := errors.AsType[*RolloutError](err); ok && unfit.Advice() == "" {
					t.Errorf("%s, step %d: %v has no hint", name, i, err)
				}
				continue
			}
			if err != nil || w.now() != s.want {
				t.Errorf("%s, step %d: %v and %s, want %s", name, i, err, w.now(), s.want)
			}
		}
	}
}

func TestRolloutOfNewChannel(t *testing.T) {
	w := newWorld(t)
	w.release("1")
	for _, s := range []step{{"1", 10, false, true, ""}, {"", 0, true, false, ""}} {
		if _, unfit := errors.AsType[*RolloutError](w.take(s)); !unfit || w.bucket.Bytes(artifacts.PointerKey("stable")) != nil {
			t.Errorf("%+v was taken", s)
		}
	}
}

// What a rollout does not say stays as it is.
func TestRolloutKeepsExpiry(t *testing.T) {
	w := newWorld(t)
	w.release("1")
	w.release("2")
	p := w.promotion("1")
	p.Expires, p.Spread = time.Hour, time.Minute
	_, err := Promote(t.Context(), w.bucket, p)
	must(t, err)
	p = w.promotion("2")
	p.Percent, p.KeepExpiry, p.KeepSpread, p.Now = 10, true, true, noon.Add(10*time.Minute)
	_, err = Promote(t.Context(), w.bucket, p)
	must(t, err)
	if now, _ := w.stored(); !now.Expires.Equal(noon.Add(70*time.Minute)) || now.SpreadSeconds != 60 {
		t.Errorf("expires %s, spread %d", now.Expires, now.SpreadSeconds)
	}
	p.KeepExpiry, p.KeepSpread = false, false
	_, err = Promote(t.Context(), w.bucket, p)
	must(t, err)
	if now, _ := w.stored(); !now.Expires.IsZero() || now.SpreadSeconds != 0 {
		t.Errorf("expires %s, spread %d, want neither", now.Expires, now.SpreadSeconds)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.release("1")
	w.release("2")
	w.promote("1")
	before := w.bucket.Calls(buckettest.Put, "")
	p := w.promotion("2")
	p.Percent, p.DryRun = 10, true
	promoted, err := Promote(t.Context(), w.bucket, p)
	if err != nil || promoted.Pointer.Next == nil || promoted.Pointer.Next.Percent != 10 {
		t.Errorf("got %+v and %v", promoted, err)
	}
	if w.now() != "1" || w.bucket.Calls(buckettest.Put, "") != before {
		t.Errorf("%s, and something was written", w.now())
	}
	p.Version = "9"
	_, err = Promote(t.Context(), w.bucket, p)
	wantIs(t, err, bucket.ErrNotFound)
}

// Two who move a channel at once: what neither has seen is an error.
func TestRolloutMovedMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		first []step
		rival step
		ours  step
		want  string // "" = moved
	}{
		"another rollout":          {nil, step{version: "2", percent: 10}, step{version: "3", percent: 10}, ""},
		"the same":                 {nil, step{version: "2", percent: 10}, step{version: "2", percent: 10}, "1, 2 i"},
		"wider than ours":          {nil, step{version: "2", percent: 50}, step{version: "2", percent: 10}, ""},
		"a rollout, and for all":   {nil, step{version: "2", percent: 10}, step{version: "3"}, ""},
		"for all, and a rollout":   {nil, step{version: "3"}, step{version: "2", percent: 10}, ""},
		"aborted, and wider":       {[]step{{version: "2", percent: 10}}, step{abort: true}, step{version: "2", percent: 50}, ""},
		"wider, and aborted":       {[]step{{version: "2", percent: 10}}, step{version: "2", percent: 50}, step{abort: true}, "1"},
		"ended, and aborted":       {[]step{{version: "2", percent: 10}}, step{version: "2", percent: 100}, step{abort: true}, ""},
		"another one, and aborted": {[]step{{version: "2", percent: 10}}, step{version: "3", percent: 10, force: true}, step{abort: true}, ""},
	} {
		w := newWorld(t)
		for _, v := range []string{"1", "2", "3"} {
			w.release(v)
		}
		w.promote("1")
		for _, s := range c.first {
			must(t, w.take(s))
		}
		w.before(1, func() { must(t, w.take(c.rival)) })
		p := w.promotion(c.ours.version)
		p.Percent, p.Abort = c.ours.percent, c.ours.abort
		p.Spread = time.Second // else a rival's pointer is ours, byte for byte
		_, err := Promote(t.Context(), w.bucket, p)
		if c.want == "" && !errors.Is(err, ErrMoved) || c.want != "" && (err != nil || w.now() != c.want) {
			t.Errorf("%s: %v and %s, want %q", name, err, w.now(), c.want)
		}
	}
}

// A manifest that a rollout points to keeps its bytes, and the list says who has it.
func TestRolloutBindsAndLists(t *testing.T) {
	w := newWorld(t)
	w.release("1")
	w.release("2")
	w.promote("1")
	must(t, w.take(step{version: "2", percent: 10}))
	_, err := AddSignature(t.Context(), w.bucket, Signing{App: "web", Version: "2", Keys: []artifacts.PrivateKey{newKey(t)}, Trust: w.trust()})
	if bound, ok := errors.AsType[*BoundError](err); !ok || strings.Join(bound.Channels, " ") != "stable" {
		t.Errorf("a signature was added: %v", err)
	}
	l, err := List(t.Context(), w.bucket, "web", w.trust())
	must(t, err)
	for _, r := range l.Releases {
		all, share := strings.Join(r.Channels, " "), strings.Join(r.Rollouts, " ")
		if r.Name == "1" && (all != "stable" || share != "") || r.Name == "2" && (all != "" || share != "stable") {
			t.Errorf("%s: %q for all, %q for some", r.Name, all, share)
		}
	}
}
