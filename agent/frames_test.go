package agent_test

import (
	"runtime"
	"strings"
	"testing"
)

// TestFewFrames follows one pointer from Boot to the source: there must be no
// function that only passes on. Four of the frames are the source's own.
func TestFewFrames(t *testing.T) {
	w := newWorld(t)
	var way []string
	w.onPointer = func(n int) {
		if n > 1 {
			return
		}
		pcs := make([]uintptr, 100)
		frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
		for more := true; more; {
			var f runtime.Frame
			f, more = frames.Next()
			if name, ours := strings.CutPrefix(f.Function, "koboshi/agent"); ours && !strings.HasPrefix(name, "_test.") {
				way = append(way, name)
			}
		}
	}
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	if len(way) == 0 || len(way) > 6 {
		t.Errorf("%d functions from Boot to the source: %v", len(way), way)
	}
}
