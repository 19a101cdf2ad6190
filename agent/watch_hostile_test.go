package agent_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"koboshi/agent/drain"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/state"
)

// While another process drains, a watch looks as often as ever, and no more.
func TestWatchBesideADrainByHand(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		unlock, err := state.LockDrain(t.Context(), s.open("run"))
		if err != nil {
			t.Fatal(err)
		}
		s.now(notice.Levels{Target: "Terminated"})
		before := s.looks
		s.after(time.Minute)
		if n := s.looks - before; n > 13 {
			t.Errorf("%d looks in a minute", n)
		}
		unlock()
		s.after(time.Minute)
		s.expect("", "drained terminated")
	})
}

// A target state that is not known for a moment, or not to this version, takes nothing back.
func TestWatchDoubtTakesNothingBack(t *testing.T) {
	for _, target := range []string{"", "Recycled"} {
		watched(t, func(t *testing.T, s *sky) {
			s.groupErr = func() error { return lifecycle.ErrDenied }
			s.beatErr = lifecycle.ErrNoAction
			s.now(notice.Levels{Target: "Terminated"})
			s.after(12 * time.Second)
			s.now(notice.Levels{Target: target})
			s.after(12 * time.Second)
			s.expect("1")
			s.beatErr = nil
			s.after(time.Minute)
			s.expect("", "drained terminated")
		})
	}
}

// A recommendation that nothing can let the instance go for does not keep a scale-in
// from being drained.
func TestWatchScaleInAfterARecommendation(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.end()
		s.rebalance = "drain"
		s.watch()
		recommended := notice.Levels{Target: "InService", Rebalance: s.world.now}
		s.now(recommended)
		s.after(time.Hour)
		s.expect("1")
		recommended.Target = "Terminated"
		s.now(recommended)
		s.after(time.Minute)
		s.expect("", "current rebalance", "drained terminated")
		if !slices.Equal(s.signals, []lifecycle.Result{lifecycle.Continue}) {
			t.Errorf("signals %v", s.signals)
		}
	})
}

// What a withdrawn notice has interrupted is begun again: a launch, or the start of the
// app after a reboot.
func TestWatchWithdrawnWhileTheAppIsDown(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.beatErr = lifecycle.ErrNoAction
		s.now(notice.Levels{Target: "Terminated"})
		s.after(12 * time.Second)
		s.end()
		s.reboot()
		s.firmwareID = self
		if _, err := s.boot(); !errors.Is(err, state.ErrLeaving) {
			t.Errorf("the boot: %v", err)
		}
		if _, err := s.sync(); !errors.Is(err, state.ErrLeaving) || s.running != "" {
			t.Errorf("a sync before the watch: %v, running %q", err, s.running)
		}
		s.drains = nil
		s.now(notice.Levels{Target: "InService"})
		s.watch()
		s.after(time.Minute)
		if s.relaunchs != 1 || s.record() != (drain.Record{}) {
			t.Errorf("started again %d times, the record is %+v, drains %q", s.relaunchs, s.record(), s.drains)
		}
		if _, err := s.boot(); err != nil || s.running != "1" {
			t.Errorf("the boot: %v, running %q", err, s.running)
		}
	})
}

// Out of a hibernation memory is as it was: what kept the app away goes, and it starts.
func TestWatchAfterAHibernation(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.now(notice.Levels{Target: "InService", Spot: instance.SpotAction{Action: "hibernate", Time: s.world.now.Add(2 * time.Minute)}})
		s.after(time.Minute)
		s.expect("", "drained spot")
		s.away = instance.ErrUnreachable
		s.after(time.Minute)
		s.away = nil
		if s.relaunchs > 0 {
			t.Error("started again while the metadata was away")
		}
		s.now(notice.Levels{Target: "InService"})
		s.after(time.Hour)
		if s.relaunchs != 1 {
			t.Errorf("started again %d times", s.relaunchs)
		}
		if _, err := s.boot(); err != nil || s.running != "1" {
			t.Errorf("the boot: %v, running %q", err, s.running)
		}
	})
}

// A disk that takes no record does not have the same notice drained over and over.
func TestWatchDrainsOnceWithoutADisk(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.end()
		s.stateDir = filepath.Join("/proc", "nothing")
		s.firmwareID = self
		s.watch()
		s.now(notice.Levels{Target: "Terminated"})
		s.after(time.Hour)
		if len(s.drains) != 1 || s.running != "" {
			t.Errorf("%d drains, running %q", len(s.drains), s.running)
		}
	})
}

// A shutdown ends the watch, also where its drain listens no more.
func TestWatchShutdownAfterADrain(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		release := make(chan struct{})
		s.onNotify = func() { <-release }
		s.now(notice.Levels{Target: "Terminated", Spot: instance.SpotAction{Action: "terminate", Time: s.world.now.Add(2 * time.Minute)}})
		s.after(time.Minute) // the report is being sent; looks go on
		s.stopping = true
		s.stop()
		s.after(time.Second)
		close(release)
		s.onNotify = nil
		begun := time.Now()
		s.end()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}

// What runs again after a reboot can be drained again, for whatever was drained before.
func TestADrainBeforeAReboot(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.now(notice.Levels{Target: "Terminated"})
		s.after(time.Minute)
		s.expect("", "drained terminated")
		s.end()
		s.reboot()
		s.firmwareID = self
		s.targetErr = instance.ErrUnreachable // so that the app is started
		if _, err := s.boot(); err != nil || s.running != "1" {
			t.Errorf("the boot: %v, running %q", err, s.running)
		}
		s.watch()
		s.after(time.Minute)
		s.expect("", "drained terminated", "drained terminated")
	})
}

// Auto Scaling that does not answer what a state means is asked again, now and then.
func TestWatchAsksAgainWhatAStateMeans(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		asked := 0
		s.groupErr = func() error { asked++; return lifecycle.ErrDenied }
		s.inState = "Terminating:Wait"
		s.now(notice.Levels{Target: "Recycled"})
		s.after(14 * time.Minute)
		s.expect("1")
		if asked != 3 || len(s.warnings) != 1 {
			t.Errorf("asked %d times, warnings %q", asked, s.warnings)
		}
		s.groupErr = nil
		s.after(6 * time.Minute)
		s.expect("", "drained terminated")
	})
}
