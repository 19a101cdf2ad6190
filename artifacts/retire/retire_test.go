package retire

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var states = []State{"", Unmarked, Marked, Sweeping, Gone, Kept}

// What may follow what, and that nothing follows what is gone.
func TestFollow(t *testing.T) {
	want := map[State][]State{
		"": {Marked, Kept}, Unmarked: {Marked, Kept}, Kept: {Unmarked}, Marked: {Unmarked, Sweeping, Kept}, Sweeping: {Gone},
	}
	for _, from := range states {
		for _, to := range states {
			m, err := Mark{State: from, Fence: 7}.To(to, "web", "1.0", "ci\x1b[2J@ü", noon)
			if allowed := slices.Contains(want[from], to); allowed != (err == nil) || err != nil && !errors.Is(err, ErrState) {
				t.Errorf("%q to %q: %v", from, to, err)
			}
			if err == nil && (m.State != to || m.Fence != 8 || m.By != "ci?[2J@?" || m.Version != "1.0") {
				t.Errorf("%q to %q: %+v", from, to, m)
			}
		}
		if refuses := slices.Contains([]State{Marked, Sweeping, Gone}, from); from.Refuses() != refuses {
			t.Errorf("%q refuses: %v", from, !refuses)
		}
	}
}

func write(t *testing.T, b bucket.Bucket, was Found, s State) Found {
	t.Helper()
	m, err := was.To(s, "web", "1.0", "ci", noon)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Write(t.Context(), b, m, was)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestMarksAreSwapped(t *testing.T) {
	b := buckettest.NewMemory()
	none, err := Read(t.Context(), b, "web", "1.0")
	if err != nil || none != (Found{}) {
		t.Fatalf("%+v, %v", none, err)
	}
	marked := write(t, b, none, Marked)
	read, err := Read(t.Context(), b, "web", "1.0")
	if err != nil || read.State != Marked || read.ETag != marked.ETag || read.Modified.IsZero() || read.Date.IsZero() {
		t.Errorf("%+v, %v", read, err)
	}
	kept := write(t, b, marked, Kept)
	for _, stale := range []Found{none, marked} {
		m, err := stale.To(Marked, "web", "1.0", "other", noon)
		if stale.State == Marked {
			m, err = stale.To(Sweeping, "web", "1.0", "other", noon)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Write(t.Context(), b, m, stale); !errors.Is(err, bucket.ErrChanged) && !errors.Is(err, bucket.ErrExists) {
			t.Errorf("over a mark that has changed: %v", err)
		}
	}
	// The same state again has other bytes: an ETag never comes back.
	if again := write(t, b, write(t, b, write(t, b, kept, Unmarked), Marked), Kept); again.ETag == kept.ETag {
		t.Error("a mark has the bytes of an earlier one")
	}
	// An answer that was lost is found again.
	b.Fail(buckettest.Fault{Op: buckettest.Put, Times: 1, Err: bucket.ErrChanged, Applied: true})
	now, _ := Read(t.Context(), b, "web", "1.0")
	write(t, b, now, Unmarked)
	b.ForgetETags()
	untagged := write(t, buckettest.NewMemory(), Found{}, Marked)
	untagged.ETag = ""
	m, _ := untagged.To(Kept, "web", "1.0", "ci", noon)
	if _, err := Write(t.Context(), b, m, untagged); !errors.Is(err, ErrStore) {
		t.Errorf("without an ETag: %v", err)
	}
}

// What is no mark is never taken for one, nor for none.
func TestDamagedMarks(t *testing.T) {
	b := buckettest.NewMemory()
	write(t, b, Found{}, Marked)
	good := string(b.Bytes(Key("1.0")))
	for name, text := range map[string]string{
		"empty": "", "text": "marked", "null": "null", "other app": strings.Replace(good, "web", "wed", 1), "other version": strings.Replace(good, "1.0", "1.1", 1),
		"other state": strings.Replace(good, "marked", "burnt", 1), "no state": strings.Replace(good, `"marked"`, `""`, 1), "unknown member": strings.Replace(good, `"by"`, `"bye"`, 1),
		"twice": strings.Replace(good, `"fence":1`, `"fence":1,"fence":1`, 1), "no fence": strings.Replace(good, `"fence":1`, `"fence":0`, 1),
		"escapes": strings.Replace(good, `"ci"`, `"\u001b"`, 1), "too large": good + strings.Repeat(" ", maxBytes), "behind it": good + "{}", "schema 0": strings.Replace(good, `"schema":1`, `"schema":0`, 1),
	} {
		b.Replace(Key("1.0"), []byte(text))
		found, err := Read(t.Context(), b, "web", "1.0")
		if !errors.Is(err, ErrMark) || !errors.Is(err, artifacts.ErrUntrusted) || found != (Found{}) {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
		if _, err := Ask(t.Context(), b, "web", "1.0"); !errors.Is(err, ErrMark) {
			t.Errorf("%s: a permit: %v", name, err)
		}
	}
	b.Replace(Key("1.0"), []byte(strings.Replace(good, `"schema":1`, `"schema":2,"new":true`, 1)))
	if _, err := Read(t.Context(), b, "web", "1.0"); !errors.Is(err, artifacts.ErrTooOld) {
		t.Errorf("a newer schema: %v", err)
	}
	b.Fail(buckettest.Fault{Op: buckettest.Get, Err: bucket.ErrDenied})
	if _, err := Ask(t.Context(), b, "web", "1.0"); !errors.Is(err, bucket.ErrDenied) {
		t.Errorf("denied: %v", err)
	}
}

func TestPermits(t *testing.T) {
	for _, s := range states {
		b := buckettest.NewMemory()
		found := Found{}
		for _, step := range map[State][]State{Unmarked: {Marked, Unmarked}, Marked: {Marked}, Sweeping: {Marked, Sweeping}, Gone: {Marked, Sweeping, Gone}, Kept: {Kept}}[s] {
			found = write(t, b, found, step)
		}
		_, err := Ask(t.Context(), b, "web", "1.0")
		retired, is := errors.AsType[*RetiredError](err)
		if is != s.Refuses() || is && (retired.State != s || retired.Version != "1.0" || !errors.Is(err, ErrRetired)) {
			t.Errorf("%q: %v", s, err)
		}
		if s == Marked != (is && strings.Contains(retired.Advice(), "koboshi releases keep 1.0")) {
			t.Errorf("%q: advice %q", s, retired.Advice())
		}
	}
}

// A permit ends after an hour, and so does the context of what it is used for.
func TestPermitsEnd(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  error
	}{{0, nil}, {Longest - 1, nil}, {Longest, ErrTooLong}, {48 * time.Hour, ErrTooLong}} {
		synctest.Test(t, func(t *testing.T) {
			p, err := Ask(t.Context(), buckettest.NewMemory(), "web", "1.0")
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(c.after)
			written := false
			err = p.Use(t.Context(), func(context.Context) error { written = true; return nil })
			if !errors.Is(err, c.want) || written != (c.want == nil) {
				t.Errorf("after %s: %v, written %v", c.after, err, written)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p, err := Ask(t.Context(), buckettest.NewMemory(), "web", "1.0")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = p.Use(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if took := time.Since(began); took != Longest || !errors.Is(err, ErrTooLong) {
			t.Errorf("a write that hangs ends after %s with %v", took, err)
		}
	})
}

// Either clock ends a permit: one stands still while a machine sleeps, the other is set.
func TestClocksOfPermits(t *testing.T) {
	asked := time.Now()
	for name, c := range map[string]struct {
		now   time.Time
		ended bool
	}{
		"at once":            {asked, false},
		"an hour":            {asked.Add(Longest), true},
		"the wall clock":     {asked.Round(0).Add(Longest), true},
		"set back":           {asked.Round(0).Add(-24 * time.Hour), false},
		"less than an hour":  {asked.Add(Longest - time.Second), false},
		"a day of sleeping":  {asked.Round(0).Add(24 * time.Hour), true},
		"less, by the clock": {asked.Round(0).Add(time.Minute), false},
	} {
		if got := Ended(asked, c.now); got != c.ended {
			t.Errorf("%s: ended %v", name, got)
		}
	}
}

func TestDue(t *testing.T) {
	for _, c := range []struct {
		age, grace time.Duration
		due        bool
	}{
		{24 * time.Hour, 24 * time.Hour, true}, {24*time.Hour - 1, 24 * time.Hour, false}, {MinGrace - 1, 0, false}, {MinGrace, 0, true}, {-time.Hour, 24 * time.Hour, false},
	} {
		if got := Due(noon, noon.Add(c.age), c.grace); got != c.due {
			t.Errorf("age %s, grace %s: due %v", c.age, c.grace, got)
		}
	}
	if MinGrace < 2*Longest {
		t.Errorf("a mark of %s may be swept while a write of %s is on its way", MinGrace, Longest)
	}
}
