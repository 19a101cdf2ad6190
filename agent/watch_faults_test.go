package agent_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
)

// Metadata that is silent for a minute in the middle of a drain takes no notice back.
func TestWatchMetadataIsSilentDuringADrain(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.beatErr = lifecycle.ErrNoAction
		s.now(notice.Levels{Target: "Terminated"})
		s.after(12 * time.Second)
		s.silence(instance.ErrUnreachable)
		s.now(notice.Levels{Target: "InService"}) // which no one hears
		s.after(time.Minute)
		s.expect("1")
		s.now(notice.Levels{Target: "Terminated"})
		s.silence(nil)
		s.beatErr = nil
		s.after(time.Minute)
		s.expect("", "drained terminated")
		if n := len(s.warnings); n != 1 {
			t.Errorf("warnings %q, want one", s.warnings)
		}
	})
}

// What was said while metadata was silent is seen at the first look after it.
func TestWatchAfterAMinuteOfSilence(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.silence(instance.ErrUnreachable)
		s.now(notice.Levels{Target: "Terminated"})
		s.after(time.Minute)
		s.expect("1")
		s.silence(nil)
		s.after(6 * time.Second)
		if r := s.record(); r.Reason != notice.Terminated {
			t.Errorf("after 6 s the record is %+v", r)
		}
		s.after(time.Minute)
		s.expect("", "drained terminated")
	})
}

func (s *sky) silence(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = err
}

// The group's decision in the middle of the drain for a Spot interruption, and later:
// the app is stopped once, and the action is completed once.
func TestWatchTerminatedDuringASpotDrain(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		spot := instance.SpotAction{Action: "terminate", Time: s.world.now.Add(2 * time.Minute)}
		s.stopTime = 30 * time.Second
		s.now(notice.Levels{Target: "InService", Spot: spot})
		s.after(12 * time.Second)
		s.expect("1")
		s.now(notice.Levels{Target: "Terminated", Spot: spot})
		s.after(2 * time.Minute)
		s.expect("", "drained spot", "drained terminated")
		if !slices.Equal(s.signals, []lifecycle.Result{lifecycle.Continue}) || !slices.Equal(s.story, []string{"stop 1"}) {
			t.Errorf("signals %v, %v", s.signals, s.story)
		}
	})
}

// A Spot notice that is taken back after the app has stopped changes nothing.
func TestWatchSpotIsWithdrawnTooLate(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.now(notice.Levels{Target: "InService", Spot: instance.SpotAction{Action: "terminate", Time: s.world.now.Add(2 * time.Minute)}})
		s.after(10 * time.Second)
		s.now(notice.Levels{Target: "InService"})
		s.after(time.Minute)
		s.expect("", "drained spot")
	})
}

// A machine that goes down while completing takes long ends the watch in the end:
// nothing waits for a drain that listens no more.
func TestWatchShutdownWhileCompletingTakesLong(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.throttled = time.Hour
		s.now(notice.Levels{Target: "Terminated", Spot: instance.SpotAction{Action: "terminate", Time: s.world.now.Add(2 * time.Minute)}})
		s.after(170 * time.Second) // beyond the time of the drain, within that of CONTINUE
		s.expect("")
		s.stopping = true
		begun := time.Now()
		s.end()
		if took := time.Since(begun); took > 2*time.Minute {
			t.Errorf("the end took %v", took)
		}
		s.expect("", "drained terminated")
	})
}

// The first action follows a notice within six seconds, whenever it comes.
func TestWatchIsPrompt(t *testing.T) {
	for half := range 10 {
		watched(t, func(t *testing.T, s *sky) {
			s.after(time.Minute + time.Duration(half)*500*time.Millisecond)
			s.now(notice.Levels{Target: "Terminated"})
			s.after(6 * time.Second)
			if r := s.record(); r.Reason != notice.Terminated {
				t.Errorf("the record is %+v", r)
			}
		})
	}
}

// An hour of looks, and then fifty notices that are taken back, leave no goroutine and
// no open file behind.
func TestWatchLeavesNothingBehind(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.beatErr = lifecycle.ErrNoAction
		holds := func() string {
			open, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%d goroutines, %d descriptors", runtime.NumGoroutine(), len(open))
		}
		s.after(time.Minute)
		begun := holds()
		s.after(time.Hour)
		if after := holds(); after != begun {
			t.Errorf("after an hour %s, before it %s", after, begun)
		}
		for range 50 {
			s.now(notice.Levels{Target: "Terminated"})
			s.after(12 * time.Second)
			s.now(notice.Levels{Target: "InService"})
			s.after(12 * time.Second)
		}
		if after := holds(); after != begun || len(s.drains) != 50 {
			t.Errorf("after %d drains that were called off %s, before them %s", len(s.drains), after, begun)
		}
	})
}
