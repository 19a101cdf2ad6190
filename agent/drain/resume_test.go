package drain

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/lifecycle"
	"koboshi/artifacts/pace"
)

// A process that is killed in any step, at any moment, is followed by one that goes
// on. Nothing that is done is done again.
func TestResume(t *testing.T) {
	for killed := range 60 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.stops, w.slow = 7*time.Second, 9*time.Second
			ctx, kill := context.WithCancelCause(t.Context())
			killedBy := errors.New("killed")
			time.AfterFunc(time.Duration(killed)*time.Second, func() { kill(killedBy) })
			err := w.drain(terminated).Run(ctx)
			if err == nil {
				return // it was over before
			}
			last := w.saved[len(w.saved)-1]
			if !errors.Is(err, killedBy) || !last.Open() || w.kept != 0 {
				t.Fatalf("killed after %d s: %v, the record is %+v, %d heartbeats go on", killed, err, last, w.kept)
			}
			if count(w.log, "before") > 0 && !last.Stopped {
				t.Errorf("killed after %d s: the record does not have that the app is being stopped: %+v", killed, last)
			}
			second := w.drain(terminated)
			second.Record = last
			if err := second.Run(t.Context()); err != nil {
				t.Errorf("killed after %d s, in %s: %v", killed, last.Step, err)
			}
			if w.running || w.told != "CONTINUE" || w.since() > time.Minute {
				t.Errorf("killed after %d s: running %v, completed with %q after %v", killed, w.running, w.told, w.since())
			}
			for _, once := range []string{"stopped", "CONTINUE"} {
				if n := count(w.log, once); n != 1 {
					t.Errorf("killed after %d s: %s %d times", killed, once, n)
				}
			}
			if n := count(w.log, "leaving"); last.Step != First && n != 1 {
				t.Errorf("killed after %d s, in %s: announced %d times", killed, last.Step, n)
			}
		})
	}
}

func count(log []string, what string) (n int) {
	for _, line := range log {
		if line == what {
			n++
		}
	}
	return n
}

// The deadline counts while no process runs, but not while the machine is off.
func TestTheDeadlineOfAResume(t *testing.T) {
	for boot, want := range map[string]time.Duration{"one": 0, "two": 9 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.unused = never
			record := w.drain(terminated).Record
			_ = pace.Sleep(t.Context(), 15*time.Minute)
			w.boot = boot
			d := w.drain(terminated)
			d.Record = record
			_ = d.Run(t.Context())
			w.within(15*time.Minute+want, 15*time.Minute+want)
			if w.told != "CONTINUE" {
				t.Errorf("completed with %q", w.told)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	tests := map[string]struct {
		event   Event
		at      time.Duration
		set     func(*world, *Drain)
		running bool
		err     error
		most    time.Duration
	}{
		"withdrawn in time":        {Event{Kind: Withdrawn}, 8 * time.Second, nil, true, ErrWithdrawn, 8 * time.Second},
		"withdrawn in pre_stop":    {Event{Kind: Withdrawn}, 40 * time.Second, func(w *world, d *Drain) { w.hangs = true; d.Deadline = time.Minute }, true, ErrWithdrawn, time.Minute},
		"withdrawn while it stops": {Event{Kind: Withdrawn}, 40 * time.Second, func(w *world, _ *Drain) { w.stops = 30 * time.Second }, false, nil, 90 * time.Second},
		"spot meanwhile":           {Event{Kind: Sooner, In: 90 * time.Second}, 8 * time.Second, func(w *world, _ *Drain) { w.unused = never }, false, nil, 98 * time.Second},
		"later is no change":       {Event{Kind: Sooner, In: time.Hour}, 8 * time.Second, nil, false, nil, 45 * time.Second},
		"the machine goes down":    {Event{Kind: Shutdown, In: time.Minute}, 8 * time.Second, func(w *world, _ *Drain) { w.running = false; w.waits = after(9 * time.Second) }, false, nil, 40 * time.Second},
		"down, without a group": {Event{Kind: Shutdown, In: time.Minute}, 3 * time.Hour, func(_ *world, d *Drain) {
			d.Action, d.Groups = lifecycle.Action{}, Groups{}
		}, false, nil, 3 * time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				d := w.drain(terminated)
				if tt.set != nil {
					tt.set(w, d)
				}
				events := make(chan Event, 1)
				d.Events = events
				if name == "withdrawn in pre_stop" {
					d.Record.Until = time.Minute.Milliseconds()
				}
				time.AfterFunc(tt.at, func() { events <- tt.event })
				if err := d.Run(t.Context()); !errors.Is(err, tt.err) || tt.err == nil && err != nil {
					t.Errorf("Run: %v, want %v", err, tt.err)
				}
				if w.running != tt.running {
					t.Errorf("running %v, want %v: %v", w.running, tt.running, w.log)
				}
				w.within(min(tt.at, tt.most), tt.most)
			})
		})
	}
}

// An instance that nothing lets go serves until it is shut down, or until it ends
// at a known time.
func TestNothingLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.drain(terminated)
		d.Action, d.Groups = lifecycle.Action{}, Groups{}
		events := make(chan Event, 1)
		d.Events = events
		time.AfterFunc(time.Hour, func() { events <- Event{Kind: Sooner, In: 2 * time.Minute} })
		if err := d.Run(t.Context()); err != nil || w.running {
			t.Errorf("Run: %v, running %v", err, w.running)
		}
		w.within(time.Hour+time.Minute, time.Hour+time.Minute)
	})
}

func TestParse(t *testing.T) {
	good := `{"schema":1,"instance":"` + self + `","reason":"terminated","notice":"terminated","noticed":"2026-11-21T10:00:00Z","boot":"one","until_ms":7,"step":"flush"}`
	for text, want := range map[string]bool{
		good: true, "": false, "null": false, "[]": false, good[:40]: false,
		`{"schema":2,"instance":"i","step":"flush"}`:     false,
		`{"schema":1,"step":"flush"}`:                    false,
		`{"schema":1,"instance":"i","step":"elsewhere"}`: false,
		`{"schema":1,"instance":"i"}`:                    false,
	} {
		if r, err := parse([]byte(text)); (err == nil) != want || (err != nil && r != (Record{})) {
			t.Errorf("parse(%q) = %+v, %v", text, r, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schema":1,"instance":"i","step":"flush","why":"\u001b[2J"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parse(data)
		if err == nil && (r.Instance == "" || !slices.Contains([]string{"notice", "let-go", "pre_stop", "stop", "flush", "complete"}, r.Step)) {
			t.Errorf("%q is %+v", data, r)
		}
	})
}

// What a shipper could not deliver before the machine went down, it may after a reboot:
// then the group is told.
func TestAShutdownWithSomethingLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.slow = time.Hour
		events := make(chan Event, 1)
		d := w.drain(terminated)
		d.Events = events
		time.AfterFunc(40*time.Second, func() { events <- Event{Kind: Shutdown, In: time.Minute} })
		if err := d.Run(t.Context()); !errors.Is(err, ErrLeft) {
			t.Errorf("Run: %v, want ErrLeft", err)
		}
		last := w.saved[len(w.saved)-1]
		if !last.Open() || last.Step != "flush" || w.told != "" {
			t.Fatalf("the record is %+v, completed with %q", last, w.told)
		}
		w.boot, w.slow = "two", 0
		again := w.drain(terminated)
		again.Record = last
		if err := again.Run(t.Context()); err != nil || w.told != "CONTINUE" {
			t.Errorf("after the reboot: %v, completed with %q", err, w.told)
		}
	})
}
