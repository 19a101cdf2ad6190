package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

func (w *world) history() History {
	w.Helper()
	h, err := Moves(w.Context(), w.bucket, "web", "stable", w.trust(), 100)
	must(w.T, err)
	return h
}

// texts are the entries in short, the newest first.
func (h History) texts() (all []string) {
	for _, e := range h.Entries {
		if e.Err != nil {
			all = append(all, "false")
			continue
		}
		text := stand(e.Move.From) + " -> " + stand(&e.Move.To)
		if !e.InEffect {
			text += ", not in effect"
		}
		all = append(all, text)
	}
	return all
}

func stand(p *artifacts.Position) string {
	if p == nil {
		return "new"
	}
	if p.Next != nil {
		return fmt.Sprintf("%s, %s %d", p.Version, p.Next.Version, p.Next.Percent)
	}
	return p.Version
}

// told is a story of promotions and what the history makes of it.
func told(t *testing.T, steps ...step) *world {
	t.Helper()
	w := newWorld(t)
	for _, v := range []string{"1", "2", "3"} {
		w.release(v)
	}
	for _, s := range steps {
		must(t, w.take(s))
	}
	return w
}

func (w *world) wantHistory(name string, want ...string) {
	w.Helper()
	if got := w.history().texts(); strings.Join(got, "; ") != strings.Join(want, "; ") {
		w.Errorf("%s: history\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestHistory(t *testing.T) {
	w := told(t, step{version: "1"}, step{version: "2", percent: 10}, step{abort: true}, step{version: "2"}, step{version: "2"})
	w.wantHistory("whole", "2 -> 2", "1 -> 2", "1, 2 10 -> 1", "1 -> 1, 2 10", "new -> 1")
	h := w.history()
	if by := h.Entries[0].By; len(by) != 1 || by[0] != w.key.Public().ID() {
		t.Errorf("signed by %q, want the key's id", by)
	}
	if at := h.Entries[4].Move.At; !at.Equal(noon) || h.Pointer == nil || h.Pointer.Version != "2" {
		t.Errorf("at %s, pointer %+v", at, h.Pointer)
	}
	short, err := Moves(t.Context(), w.bucket, "web", "stable", w.trust(), 2)
	if err != nil || len(short.Entries) != 2 || short.Older != 3 || short.Entries[0].Move.To.Version != "2" {
		t.Errorf("the newest two: %+v and %v", short, err)
	}
}

func TestReasonIsKept(t *testing.T) {
	w := told(t)
	p := w.promotion("1")
	p.Reason = "the first one – für alle"
	_, err := Promote(t.Context(), w.bucket, p)
	must(t, err)
	if got := w.history().Entries[0].Move.Reason; got != p.Reason {
		t.Errorf("reason %q", got)
	}
	for _, bad := range []string{"two\nlines", "\x1b[31m", strings.Repeat("x", artifacts.MaxReason+1), "\xff", "\u202e"} {
		p.Reason = bad
		if _, err := Promote(t.Context(), w.bucket, p); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// What does not verify is listed with the reason and does not count, and nothing else in the directory is
// taken for an entry.
func TestFalseHistory(t *testing.T) {
	stranger := newKey(t)
	for name, c := range map[string]struct {
		spoil func(w *world, key string)
		want  []string
	}{
		"untouched": {func(*world, string) {}, []string{"1 -> 2", "new -> 1"}},
		"a byte":    {func(w *world, key string) { w.bucket.FlipByte(key, 99) }, []string{"false", "new -> 1, not in effect"}},
		"garbage":   {func(w *world, key string) { w.bucket.Replace(key, []byte("{}")) }, []string{"false", "new -> 1, not in effect"}},
		"too long":  {func(w *world, key string) { w.bucket.Replace(key, noise(artifacts.MaxMoveBytes+1)) }, []string{"false", "new -> 1, not in effect"}},
		"gone":      {func(w *world, key string) { w.bucket.Drop(key) }, []string{"new -> 1, not in effect"}},
		"a pointer": {func(w *world, key string) { w.bucket.Replace(key, w.bucket.Bytes(artifacts.PointerKey("stable"))) }, []string{"false", "new -> 1, not in effect"}},
		"a stranger's": {func(w *world, _ string) {
			w.entry(artifacts.Move{Channel: "stable", To: artifacts.Position{Sequence: noon.Unix() + 7}}, stranger)
		}, []string{"false", "1 -> 2", "new -> 1"}},
		"of another channel": {func(w *world, _ string) {
			key := w.entry(artifacts.Move{Channel: "canary", To: artifacts.Position{Sequence: noon.Unix() + 7}}, w.key)
			w.bucket.Replace(strings.Replace(key, "canary", "stable", 1), w.bucket.Bytes(key))
		}, []string{"false", "1 -> 2", "new -> 1"}},
		"at another place": {func(w *world, key string) {
			w.bucket.Replace(strings.Replace(key, fmt.Sprint(noon.Unix()+1), fmt.Sprint(noon.Unix()+9), 1), w.bucket.Bytes(key))
		}, []string{"false", "1 -> 2", "new -> 1"}},
		"that never was": {func(w *world, _ string) {
			w.entry(artifacts.Move{Channel: "stable", To: artifacts.Position{Sequence: noon.Unix() + 7}}, w.key)
		}, []string{"new -> 3, not in effect", "1 -> 2", "new -> 1"}},
		"other objects": {func(w *world, _ string) {
			for _, name := range []string{"x.json", "1-0.json", "01-0123456789ab.json", "-1-0123456789ab.json", "1-0123456789aB.json", "1-0123456789ab", "../1-0123456789ab.json", "99999999999999999999-0123456789ab.json"} {
				w.bucket.Replace(artifacts.MovesPrefix("stable")+name, []byte("{}"))
			}
		}, []string{"1 -> 2", "new -> 1"}},
	} {
		w := told(t, step{version: "1"}, step{version: "2"})
		pointer, err := w.trust().Pointer(w.bucket.Bytes(artifacts.PointerKey("stable")), "web", "stable")
		must(t, err)
		c.spoil(w, artifacts.MoveKey("stable", pointer.Sequence()))
		w.wantHistory(name, c.want...)
	}
}

// entry stores an entry that says of itself what is given, and otherwise what is valid.
func (w *world) entry(m artifacts.Move, by artifacts.PrivateKey) (key string) {
	w.Helper()
	m.Schema, m.App, m.At = 1, "web", noon
	m.To.Version, m.To.Payload, m.To.ManifestSHA256 = "3", artifacts.Sum([]byte("p")), artifacts.Sum([]byte("m"))
	data, err := m.Sign(by)
	must(w.T, err)
	key = artifacts.MoveKey(m.Channel, m.To.At())
	w.bucket.Replace(key, data)
	return key
}

func TestPrevious(t *testing.T) {
	for name, c := range map[string]struct {
		steps []step
		force bool
		want  string // "" = refused
	}{
		"back":                        {[]step{{version: "1"}, {version: "2"}}, false, "1"},
		"past what was signed again":  {[]step{{version: "1"}, {version: "2"}, {version: "2"}, {version: "2"}}, false, "1"},
		"past a whole rollout":        {[]step{{version: "1"}, {version: "2", percent: 10}, {version: "2", percent: 50}, {version: "2", percent: 100}}, false, "1"},
		"past one that was aborted":   {[]step{{version: "1"}, {version: "2"}, {version: "3", percent: 10}, {abort: true}}, false, "1"},
		"and forward again":           {[]step{{version: "1"}, {version: "2"}, {version: "1"}}, false, "2"},
		"during a rollout":            {[]step{{version: "1"}, {version: "2"}, {version: "3", percent: 10}}, false, ""},
		"during a rollout, forced":    {[]step{{version: "1"}, {version: "2"}, {version: "3", percent: 10}}, true, "1"},
		"nothing was before":          {[]step{{version: "1"}}, false, ""},
		"nothing else was before":     {[]step{{version: "1"}, {version: "1"}}, false, ""},
		"there is not even a channel": {nil, false, ""},
	} {
		w := told(t, c.steps...)
		p := w.promotion("")
		p.Previous, p.Force = true, c.force
		_, err := Promote(t.Context(), w.bucket, p)
		if _, unfit := errors.AsType[*RolloutError](err); c.want == "" && !unfit {
			t.Errorf("%s: %v, want it refused", name, err)
		}
		if c.want != "" && (err != nil || w.now() != c.want) {
			t.Errorf("%s: %v, %s", name, err, w.now())
		}
	}
}

// Nothing is gone back to by an entry that does not verify, or to other bytes than those
// that the channel pointed to.
func TestPreviousOfFalseHistory(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world, key string)
		want  error // nil = a RolloutError
	}{
		"gone":            {func(w *world, key string) { w.bucket.Drop(key) }, nil},
		"a byte":          {func(w *world, key string) { w.bucket.FlipByte(key, 99) }, artifacts.ErrUntrusted},
		"other bytes":     {func(w *world, _ string) { w.bucket.Replace(artifacts.ManifestKey("1"), w.resigned("1")) }, artifacts.ErrUntrusted},
		"release is gone": {func(w *world, _ string) { w.bucket.Drop(artifacts.ManifestKey("1")) }, bucket.ErrNotFound},
	} {
		w := told(t, step{version: "1"}, step{version: "2"})
		pointer, err := w.trust().Pointer(w.bucket.Bytes(artifacts.PointerKey("stable")), "web", "stable")
		must(t, err)
		c.spoil(w, artifacts.MoveKey("stable", pointer.Sequence()))
		p := w.promotion("")
		p.Previous = true
		_, err = Promote(t.Context(), w.bucket, p)
		_, unfit := errors.AsType[*RolloutError](err)
		if c.want == nil && !unfit || c.want != nil && !errors.Is(err, c.want) || w.now() != "2" {
			t.Errorf("%s: %v, and the channel is at %s", name, err, w.now())
		}
	}
}

// resigned is the manifest of a version with a signature more.
func (w *world) resigned(version string) []byte {
	w.Helper()
	data, err := artifacts.AddSignature(w.bucket.Bytes(artifacts.ManifestKey(version)), newKey(w.T))
	must(w.T, err)
	return data
}

// The record costs one request.
func TestRecordIsOneCall(t *testing.T) {
	w := told(t, step{version: "1"})
	must(t, w.take(step{version: "2", percent: 10}))
	key := artifacts.MoveKey("stable", w.history().Entries[0].Move.To.At())
	if n := w.bucket.Calls(buckettest.Put, key); n != 1 {
		t.Errorf("%d writes to the history, want 1", n)
	}
	if n := w.bucket.Calls(buckettest.Get, key); n != 1 {
		t.Errorf("%d reads of it, want that of the test", n)
	}
}

// mortal is a bucket whose user dies at one of its calls: before it has an effect, or
// after.
type mortal struct {
	bucket.Bucket
	left  int // calls until then
	after bool
}

var errDead = errors.New("dead")

func (m *mortal) call(do func() error) error {
	m.left--
	if m.left < 0 || m.left == 0 && !m.after {
		m.left = min(m.left, 0)
		return errDead
	}
	err := do()
	if m.left == 0 {
		return errDead
	}
	return err
}

func (m *mortal) Get(ctx context.Context, key string, r bucket.Range) (body io.ReadCloser, o bucket.Object, err error) {
	err = m.call(func() (err error) { body, o, err = m.Bucket.Get(ctx, key, r); return err })
	return body, o, err
}

func (m *mortal) Put(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (o bucket.Object, err error) {
	err = m.call(func() (err error) { o, err = m.Bucket.Put(ctx, key, body, size, when); return err })
	return o, err
}

func (m *mortal) Delete(ctx context.Context, key string) error {
	return m.call(func() error { return m.Bucket.Delete(ctx, key) })
}

func (m *mortal) List(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return m.Bucket.List(ctx, prefix)
}

// A promotion that dies at any of its calls leaves the channel where it was or where it
// was to be, a whole release in either case, and its history leads there. It can be
// repeated.
func TestDeathsOfPromotions(t *testing.T) {
	for name, last := range map[string]step{
		"for all":  {version: "2"},
		"rollout":  {version: "2", percent: 10},
		"abort":    {abort: true},
		"previous": {version: "previous"},
	} {
		deaths := 0
		for n := 1; ; n++ {
			alive := false
			for _, after := range []bool{false, true} {
				w := told(t, step{version: "3"}, step{version: "1"})
				if last.abort {
					must(t, w.take(step{version: "2", percent: 50}))
				}
				was := w.now()
				p := w.promotion(last.version)
				p.Percent, p.Abort, p.Previous, p.Now = last.percent, last.abort, last.version == "previous", noon.Add(time.Minute)
				_, err := Promote(t.Context(), &mortal{w.bucket, n, after}, p)
				alive = err == nil
				if err != nil {
					deaths++
				}
				now, m := w.stored()
				w.complete(m)
				entries := w.history().Entries
				inEffect := 0
				for _, e := range entries {
					if e.Err != nil {
						t.Errorf("%s, %d: an entry does not verify: %v", name, n, e.Err)
					}
					if e.InEffect {
						inEffect++
					}
				}
				moved := w.now() != was
				if len(entries) < inEffect || entries[len(entries)-inEffect].Move.To.Sequence != now.Sequence {
					t.Errorf("%s, %d: the history has %d entries, %d in effect, for sequence %d", name, n, len(entries), inEffect, now.Sequence)
				}
				if alive && !moved {
					t.Errorf("%s, %d: promoted, and still at %s", name, n, was)
				}
				if p.Abort && moved {
					continue // there is nothing left to drop
				}
				p.Version, p.Previous = strings.Replace(last.version, "previous", "3", 1), false
				if _, err := Promote(t.Context(), w.bucket, p); err != nil || w.now() == was {
					t.Errorf("%s, %d: repeated: %v, at %s", name, n, err, w.now())
				}
			}
			if alive {
				break
			}
		}
		t.Logf("%s: died %d times, before or after a call", name, deaths)
	}
}
