package main

import (
	"sync"
	"time"

	"koboshi/agent/report"
)

// uploads is the progress of all objects of a release together.
type uploads struct {
	ui *ui

	mu          sync.Mutex
	began       time.Time
	last        map[string]int64 // by key, what was sent of it
	done, total int64            // of the objects that have been begun
}

// drawEvery is how often a line of progress is drawn on a terminal.
const drawEvery = 100 * time.Millisecond

func (u *ui) uploads() *uploads { return &uploads{ui: u, last: map[string]int64{}} }

// add is for a bucket that reports what it has sent of an object.
func (up *uploads) add(key string, sent, size int64) {
	up.mu.Lock()
	defer up.mu.Unlock()
	before, begun := up.last[key]
	if !begun {
		up.total += size
	}
	up.last[key] = sent
	up.done += sent - before
}

// during runs f, and reports what is sent until it ends: often on a terminal, and a
// line from time to time elsewhere.
func (up *uploads) during(f func() error) error {
	up.began = time.Now()
	over, every := make(chan struct{}), reportEvery
	if up.ui.terminal {
		every = drawEvery
	}
	var reporting sync.WaitGroup
	reporting.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case now := <-tick.C:
				up.show(now)
			}
		}
	})
	defer up.ui.clear()
	defer reporting.Wait()
	defer close(over)
	return f()
}

func (up *uploads) show(now time.Time) {
	up.mu.Lock()
	e := report.Event{Kind: report.Progress, Total: up.total, Step: report.Step{Name: "upload", Bytes: up.done, MS: now.Sub(up.began).Milliseconds()}}
	up.mu.Unlock()
	if up.ui.terminal {
		up.ui.drawStep(e)
		return
	}
	up.ui.stillRuns(e)
}
