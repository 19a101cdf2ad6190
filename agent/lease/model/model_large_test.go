//go:build model

package model

import (
	"maps"
	"os"
	"runtime/debug"
	"testing"
)

// large are the worlds of make model, longer those that its long form adds.
var (
	large = []Bounds{
		{Procs: 2, IDs: 1, Last: 2, Unit: 1, Claims: 2, Requests: 2, Repeats: 1, Crashes: 1, States: 10_000_000},
		{Procs: 3, IDs: 1, Last: 1, Unit: 1, Slack: 1, Claims: 2, Requests: 2, Repeats: 1, Crashes: 1, States: 10_000_000},
		{Procs: 2, IDs: 2, Last: 1, Unit: 1, Claims: 2, Requests: 1, Repeats: 1, Crashes: 1, States: 10_000_000},
		{Procs: 2, IDs: 1, Last: 1, Unit: 1, Slack: 1, Claims: 2, Requests: 2, Repeats: 1, Crashes: 1, States: 10_000_000},
		{Procs: 2, IDs: 1, Last: 3, Unit: 2, Claims: 2, Requests: 2, Crashes: 1, States: 10_000_000},
	}
	longer = []Bounds{
		{Procs: 2, IDs: 1, Last: 2, Unit: 1, Slack: 1, Claims: 2, Requests: 2, Repeats: 1, Crashes: 1, States: 30_000_000},
		{Procs: 2, IDs: 1, Last: 3, Unit: 1, Claims: 2, Requests: 2, Repeats: 1, Crashes: 1, States: 30_000_000},
		{Procs: 2, IDs: 1, Last: 2, Unit: 1, Claims: 3, Requests: 2, Repeats: 1, Crashes: 1, States: 30_000_000},
		{Procs: 2, IDs: 2, Last: 1, Unit: 1, Claims: 1, Requests: 2, Repeats: 1, Crashes: 1, States: 30_000_000},
	}
)

func TestModelRulesHold(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(25)) // what was seen is nearly all of the memory
	worlds, least := large, 2_000_000
	if os.Getenv("LONG") != "" {
		worlds, least = append(large, longer...), 10_000_000
	}
	if states := holds(t, worlds); states < least {
		t.Errorf("%d states, want %d", states, least)
	}
}

func TestModelMutants(t *testing.T) {
	worlds := maps.Clone(broken)
	worlds[SlackUnchecked] = Bounds{Procs: 2, IDs: 1, Last: 2, Unit: 1, Slack: 1, Claims: 2, Requests: 2, Crashes: 1, States: 1_000_000}
	if len(worlds) != len(Mutants()) {
		t.Errorf("%d of %d mutants have a world", len(worlds), len(Mutants()))
	}
	caught(t, worlds)
}
