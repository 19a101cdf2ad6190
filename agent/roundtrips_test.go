package agent_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
)

// A launch makes few round trips in series before the artifact is asked for: the
// instance's identity; its tags, while the target state is read; the pointer and the
// manifest, while the lifecycle action is looked up.
func TestRoundTripsOfALaunch(t *testing.T) {
	for name, given := range map[string]func(*world){
		"a tag with the group": func(*world) {},
		"no tags":              tagsOff,
		"in no group":          (*world).leaveGroup,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				given(w)
				w.latency = time.Second
				began, took := time.Now(), time.Duration(0)
				w.onFetch = func() { took = time.Since(began) }
				if _, err := w.boot(); err != nil {
					t.Fatal(err)
				}
				if took != 4*w.latency {
					t.Errorf("%s until the artifact was asked for, want 4 round trips of %s", took, w.latency)
				}
			})
		})
	}
}

// A target state that could not be read ahead is asked for again before anything is
// installed.
func TestTargetStateIsAskedForAgain(t *testing.T) {
	w := newWorld(t)
	w.target, w.targetErr = "Terminated", instance.ErrUnreachable
	asked := 0
	w.onTarget = func() {
		if asked++; asked == 2 {
			w.targetErr = nil
		}
	}
	if _, err := w.boot(); !errors.Is(err, lifecycle.ErrNotCompleted) || w.fetches > 0 {
		t.Errorf("%v after %d downloads, want a launch that ends before any", err, w.fetches)
	}
}
