package systemd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// restarted lets the next start begin another invocation.
func restarted(f *fakeSystemd) {
	f.units["web.service"].started = func() {
		f.units["web.service"].props["InvocationID"] = make([]byte, 16)
	}
}

// Whatever is lost with a connection, the job is done exactly once.
func TestRestartSurvivesLostConnections(t *testing.T) {
	for _, tt := range []struct{ name, kind, when, calls string }{
		{"before the job was queued", "restart", "before", "reset web.service, restart web.service replace"},
		{"after the job was queued", "restart", "after", "reset web.service, restart web.service replace"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := one("done")
				restarted(f)
				m := f.start(t)
				f.cut = map[string]string{tt.kind: tt.when}
				got, err := m.Restart(t.Context(), "web.service")
				if err != nil || got.ID != strings.Repeat("0", 32) {
					t.Errorf("Restart = %+v, %v", got, err)
				}
				if f.called() != tt.calls {
					t.Errorf("calls: %s; want %s", f.called(), tt.calls)
				}
			})
		})
	}
}

// A job whose end is not reported, because systemd was executed anew meanwhile,
// is judged by its unit.
func TestEndOfJobIsNotReported(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after func(*fakeUnit)
		want  string
	}{
		{"it runs", func(u *fakeUnit) { u.props["InvocationID"] = make([]byte, 16) }, ""},
		{"it has run to its end", func(u *fakeUnit) {
			u.props["InvocationID"], u.props["ActiveState"] = make([]byte, 16), "inactive"
		}, ""},
		{"it failed", func(u *fakeUnit) {
			u.props["InvocationID"], u.props["ActiveState"] = make([]byte, 16), "failed"
			u.service["Result"], u.service["ExecMainStatus"] = "exit-code", int32(203)
		}, "job for web.service: failed (exit-code, status 203/EXEC)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := one("")
				m := f.start(t)
				time.AfterFunc(10*time.Second, f.hangUp)
				time.AfterFunc(20*time.Second, func() {
					f.mu.Lock()
					defer f.mu.Unlock()
					u := f.units["web.service"]
					tt.after(u)
					u.job = 0
				})
				began := time.Now()
				_, err := m.Restart(t.Context(), "web.service")
				if took := time.Since(began); took < 20*time.Second || took > 22*time.Second {
					t.Errorf("it took %v, want 20 s", took)
				}
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
					t.Errorf("Restart = %v, want %q", err, tt.want)
				}
			})
		})
	}
}

// A job that systemd has lost is asked for again.
func TestJobIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := one("")
		m := f.start(t)
		time.AfterFunc(10*time.Second, func() {
			f.hangUp()
			f.mu.Lock()
			defer f.mu.Unlock()
			f.units["web.service"].job, f.units["web.service"].result = 0, "done"
			restarted(f)
		})
		if _, err := m.Restart(t.Context(), "web.service"); err != nil {
			t.Error(err)
		}
		if want := "reset web.service, restart web.service replace, restart web.service replace"; f.called() != want {
			t.Errorf("calls: %s; want %s", f.called(), want)
		}
	})
}

// Whether a reload was made is not known where its answer was lost: then it is made
// again. One that was accepted is judged by its result.
func TestReloadSurvivesLostConnections(t *testing.T) {
	const once = "reload web.service replace"
	for when, calls := range map[string]string{"before": once, "after": once + ", " + once} {
		synctest.Test(t, func(t *testing.T) {
			f := one("done")
			m := f.start(t)
			f.cut = map[string]string{"reload": when}
			if err := m.ReloadUnit(t.Context(), "web.service"); err != nil || f.called() != calls {
				t.Errorf("%s: ReloadUnit = %v, calls %s; want %s", when, err, f.called(), calls)
			}
		})
	}
	for result, want := range map[string]string{"success": "", "timeout": "reload of web.service: failed (timeout)"} {
		synctest.Test(t, func(t *testing.T) {
			f := one("")
			m := f.start(t)
			time.AfterFunc(10*time.Second, f.hangUp)
			time.AfterFunc(20*time.Second, func() {
				f.set("web.service", "ReloadResult", result)
				f.mu.Lock()
				defer f.mu.Unlock()
				f.units["web.service"].job = 0
			})
			err := m.ReloadUnit(t.Context(), "web.service")
			if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) || f.called() != once {
				t.Errorf("ReloadUnit = %v, want %q; calls %s", err, want, f.called())
			}
		})
	}
}

func TestStopSurvivesLostConnections(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		synctest.Test(t, func(t *testing.T) {
			f := one("done")
			f.set("web.service", "ActiveState", "inactive")
			m := f.start(t)
			f.cut = map[string]string{"stop": when}
			if err := m.Stop(t.Context(), "web.service"); err != nil {
				t.Errorf("%s: Stop = %v", when, err)
			}
		})
	}
}

// A command whose start was taken is not started again.
func TestRunTransientSurvivesLostConnections(t *testing.T) {
	for when, starts := range map[string]int{"before": 1, "after": 1} {
		t.Run(when, func(t *testing.T) {
			f := transient(t, "", "")
			f.made = func(map[string]any) *fakeUnit {
				u := newUnit("failed")
				u.fleeting = true
				u.props["ActiveState"] = "failed"
				return u
			}
			f.cut = map[string]string{"start": when}
			c, _ := hook(t)
			err := f.startWithFDs(t).RunTransient(t.Context(), c)
			if failure, ok := errors.AsType[*JobError](err); !ok || failure.Result != "failed" {
				t.Errorf("RunTransient = %v, want that it failed", err)
			}
			if n := strings.Count(f.called(), "start "+hookUnit); n != starts {
				t.Errorf("started %d times: %s", n, f.called())
			}
		})
	}
}

// A bound command that has succeeded leaves nothing but its owner unit. From that
// it follows that it ran, so it does not run again.
func TestBoundCommandRunsOnce(t *testing.T) {
	f := transient(t, "done", "")
	f.made = func(map[string]any) *fakeUnit {
		u := newUnit("done")
		u.fleeting = true
		return u
	}
	f.beside = func(name string, _ map[string]any) {
		if f.owner == name {
			f.taken = true
		}
		f.owner = name
	}
	f.cut = map[string]string{"start": "after"}
	c, _ := hook(t)
	c.Bound = true
	if err := f.startWithFDs(t).RunTransient(t.Context(), c); err != nil {
		t.Errorf("RunTransient = %v", err)
	}
	if n := strings.Count(f.called(), "start "+hookUnit); n != 1 {
		t.Errorf("started %d times: %s", n, f.called())
	}
}

// A command that systemd had taken and of which nothing is left has ended well.
func TestEndOfCommandIsNotReported(t *testing.T) {
	f := transient(t, "", "")
	f.made = func(map[string]any) *fakeUnit {
		u := newUnit("")
		u.fleeting = true
		time.AfterFunc(50*time.Millisecond, func() {
			f.hangUp()
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.units, hookUnit)
		})
		return u
	}
	c, _ := hook(t)
	if err := f.startWithFDs(t).RunTransient(t.Context(), c); err != nil {
		t.Errorf("RunTransient = %v", err)
	}
	if n := strings.Count(f.called(), "start "+hookUnit); n != 1 {
		t.Errorf("started %d times: %s", n, f.called())
	}
}

func TestSystemdDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := one("")
		m := f.start(t)
		time.AfterFunc(10*time.Second, f.leave)
		began := time.Now()
		if _, err := m.Restart(t.Context(), "web.service"); !errors.Is(err, ErrDisconnected) {
			t.Errorf("Restart = %v, want ErrDisconnected", err)
		}
		if took := time.Since(began); took > 10*time.Second+3*answerLimit {
			t.Errorf("it took %v to give up", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.State(ctx, "web.service"); err == nil {
			t.Error("State of a systemd that is gone: no error")
		}
	})
}

func TestSystemdIsGoneBeforeTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := one("done")
		m := f.start(t)
		f.leave()
		synctest.Wait() // until the connection has noticed
		if err := m.Stop(t.Context(), "web.service"); !errors.Is(err, ErrDisconnected) {
			t.Errorf("Stop = %v, want ErrDisconnected", err)
		}
	})
}

func TestClosedManager(t *testing.T) {
	f := one("done")
	m := f.start(t)
	m.Close()
	if _, err := m.State(t.Context(), "web.service"); !errors.Is(err, errClosed) {
		t.Errorf("State after Close = %v, want errClosed", err)
	}
}
