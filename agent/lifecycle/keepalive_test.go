package lifecycle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// reported is one call of report by KeepAlive.
type reported struct {
	n    int
	errs []error
}

func (r *reported) take(n int, err error) {
	r.n = n
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// keep runs KeepAlive for d and returns what was reported.
func keep(t *testing.T, s *service, d time.Duration) *reported {
	t.Helper()
	var r reported
	s.client().KeepAlive(within(t, d), ours, 12*time.Second, r.take)
	return &r
}

func TestKeepAliveCostsNothingForAShortBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(time.Hour)
		if r := keep(t, s, 11*time.Second); r.n != 0 || len(s.calls) != 0 {
			t.Errorf("%d heartbeats, calls %v, want none", r.n, s.calls)
		}
	})
}

func TestKeepAliveBeatsAtAboutHalfTheTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{30 * time.Second, 5 * time.Minute, 2 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(timeout)
			r := keep(t, s, 12*timeout)
			beats := s.times("Heartbeat")
			if due := timeout * 3 / 10; beats[0] < due || beats[0] > max(12*time.Second, timeout*4/10) {
				t.Errorf("%v: first heartbeat after %v, want 30 to 40 %%, and 12s at least", timeout, beats[0])
			}
			for i, at := range beats[1:] {
				if gap := at - beats[i]; gap <= timeout*2/5 || gap > timeout/2 {
					t.Errorf("%v: heartbeat %d after %v, want 40 to 50 %%", timeout, i+1, gap)
				}
			}
			if r.n != len(beats) || len(beats) < 20 || len(r.errs) != 0 {
				t.Errorf("%v: reported %d, %v of %d heartbeats", timeout, r.n, r.errs, len(beats))
			}
			if n := s.count("DescribeHooks"); n != 1 {
				t.Errorf("%v: asked for the timeout %d times, want 1", timeout, n)
			}
		})
	}
}

func TestKeepAliveStopsWhereNothingWaits(t *testing.T) {
	tests := []struct {
		name  string
		set   func(*service)
		beats int
		want  error
	}{
		{"no hook", func(s *service) { s.hooks = s.hooks[:1] }, 0, ErrNoHook},
		{"never began", func(s *service) { s.waiting = always(false) }, 2, ErrNoAction},
		{"ended", func(s *service) {
			s.waiting = func(at time.Duration) bool { return at < time.Minute }
		}, 6, ErrNoAction}, // at 12 s, then four times in 12 to 15 s… the last two refused
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(30 * time.Second)
				tt.set(s)
				r := keep(t, s, time.Hour)
				if len(r.errs) == 0 || !errors.Is(r.errs[len(r.errs)-1], tt.want) {
					t.Errorf("reported %v, want %v at last", r.errs, tt.want)
				}
				if n := s.count("Heartbeat"); n != tt.beats {
					t.Errorf("%d heartbeats, want %d", n, tt.beats)
				}
				if time.Since(s.begun) > 3*time.Minute {
					t.Error("it went on for the whole hour")
				}
			})
		})
	}
}

func TestKeepAliveBridgesSingleRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(30 * time.Second)
		s.waiting = func(at time.Duration) bool { // Pending for 15 s, and a hiccup
			return at > 15*time.Second && (at < time.Minute || at > 73*time.Second)
		}
		r := keep(t, s, 5*time.Minute)
		if len(r.errs) != 2 || !errors.Is(r.errs[1], ErrNoAction) || r.n < 18 {
			t.Errorf("reported %d heartbeats, %v, want two refusals and going on", r.n, r.errs)
		}
	})
}

func TestKeepAliveTriesAgainBeforeTheWindowEnds(t *testing.T) {
	throttled := errors.New("Throttling: Rate exceeded")
	for _, timeout := range []time.Duration{30 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(timeout)
			s.broken["Heartbeat"] = func(time.Duration) error { // three of four
				if s.count("Heartbeat")%4 != 0 {
					return throttled
				}
				return nil
			}
			var last, longest time.Duration
			r := reported{}
			s.client().KeepAlive(within(t, 20*timeout), ours, 12*time.Second, func(n int, err error) {
				r.take(n, err)
				if now := time.Since(s.begun); err == nil {
					longest, last = max(longest, now-last), now
				}
			})
			if longest > timeout*8/10 || r.n < 20 || len(r.errs) < 60 {
				t.Errorf("%v: %d heartbeats, %d failures, a gap of %v: the hook would have timed out", timeout, r.n, len(r.errs), longest)
			}
		})
	}
}

func TestKeepAliveEndsQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		s.broken["Heartbeat"] = func(time.Duration) error { // the boot is over while the call runs
			cancel()
			return ctx.Err()
		}
		var r reported
		s.client().KeepAlive(ctx, ours, 0, r.take)
		if len(r.errs) != 0 {
			t.Errorf("reported %v, want silence", r.errs)
		}
	})
}

func TestKeepAliveWithoutTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := errors.New("AccessDenied")
		s := newService(5 * time.Minute)
		s.broken["DescribeHooks"] = func(at time.Duration) error {
			if at < time.Minute {
				return denied
			}
			return nil
		}
		r := keep(t, s, 10*time.Minute)
		beats := s.times("Heartbeat")
		if gap := beats[1] - beats[0]; gap > minTimeout/2 {
			t.Errorf("heartbeats %v apart while the timeout is unknown, want half of AWS's least", gap)
		}
		if gap := beats[len(beats)-1] - beats[len(beats)-2]; gap < 2*time.Minute {
			t.Errorf("heartbeats %v apart once it is known, want half of it", gap)
		}
		if r.n != len(beats) || !errors.Is(r.errs[0], denied) {
			t.Errorf("reported %d of %d heartbeats, %v", r.n, len(beats), r.errs)
		}
	})
}

func TestKeepAliveEndsAtAWSLimit(t *testing.T) {
	tests := []struct{ timeout, limit time.Duration }{
		{30 * time.Second, 50 * time.Minute},
		{2 * time.Hour, 48 * time.Hour},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := newService(tt.timeout)
			r := keep(t, s, 96*time.Hour)
			if took := time.Since(s.begun); took < tt.limit || took > tt.limit+tt.timeout {
				t.Errorf("%v: went on for %v, want %v", tt.timeout, took, tt.limit)
			}
			if len(r.errs) != 0 {
				t.Errorf("%v: reported %v, want silence", tt.timeout, r.errs)
			}
		})
	}
}

func TestHeartbeatTimeout(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{
		0: 30 * time.Second, 30 * time.Second: 30 * time.Second, 2 * time.Hour: 2 * time.Hour,
	} {
		got, err := newService(given).client().HeartbeatTimeout(t.Context(), ours.Group, ours.Hook)
		if got != want || err != nil {
			t.Errorf("timeout of %v = %v, %v, want %v", given, got, err, want)
		}
	}
	for _, chatty := range []bool{false, true} {
		s := newService(time.Hour)
		s.chatty = chatty
		if _, err := s.client().HeartbeatTimeout(t.Context(), "web", "absent"); !errors.Is(err, ErrNoHook) {
			t.Errorf("absent hook: %v, want ErrNoHook", err)
		}
	}
}
