package main

import (
	"bytes"
	"testing"
	"time"

	"koboshi/agent/group"
)

// At a terminal a line is drawn again while the status stays; a new status is a result.
func TestRefreshIsShown(t *testing.T) {
	steps := []group.Refresh{
		{Status: "Pending", ToUpdate: 10},
		{Status: "InProgress", ToUpdate: 9, Percent: 10, Checkpoints: []int{10, 50, 100}},
		{Status: "InProgress", ToUpdate: 5, Percent: 50, Checkpoints: []int{10, 50, 100}, Reason: "Waiting until 2026-11-29T03:00:00Z at checkpoint 50%."},
		{Status: "InProgress", ToUpdate: 1, Percent: 90, Checkpoints: []int{10, 50, 100}},
		{Status: "Baking", Percent: 100, Bake: 15 * time.Minute},
		{Status: "RollbackInProgress", Percent: 100, Reason: "x", RollbackReason: "alarm \x1b[2Jerrors is in ALARM"},
		{Status: "RollbackSuccessful", RollbackReason: "alarm errors is in ALARM"},
	}
	const results = `web: Pending, 0 %, 10 instances to update
web: InProgress, 10 %, 9 instances to update, next checkpoint 50 %
web: Baking, 100 %, 0 instances to update, bake time 15 min 00 s
web: RollbackInProgress, 100 %, 0 instances to update: alarm errors is in ALARM
web: RollbackSuccessful, 0 %: alarm errors is in ALARM
`
	for _, terminal := range []bool{false, true} {
		var out, shown bytes.Buffer
		u := &ui{out: &out, err: &shown, terminal: terminal}
		show := u.watchRefresh(refreshFlags{group: "web"})
		for _, r := range steps {
			show(r)
		}
		u.clear()
		if got := out.String(); got != results {
			t.Errorf("terminal %v: results\n%swant\n%s", terminal, got, results)
		}
		want := ""
		if terminal {
			want = "  web: InProgress, 50 %, 5 instances to update: Waiting until 2026-11-29T03:00:00Z at checkpoint 50%.\r\x1b[K" +
				"  web: InProgress, 90 %, 1 instance to update\r\x1b[K"
		}
		if shown.String() != want {
			t.Errorf("terminal %v: drawn %q, want %q", terminal, shown.String(), want)
		}
	}
	// With --json the results are for machines, and the lines beside them.
	var out, shown bytes.Buffer
	u := &ui{out: &out, err: &shown}
	u.watchRefresh(refreshFlags{group: "web", json: true})(steps[0])
	if out.Len() > 0 || shown.String() != "koboshi: web: Pending, 0 %, 10 instances to update\n" {
		t.Errorf("%q, %q", out.String(), shown.String())
	}
}
