package agent_test

import (
	"slices"
	"testing"

	"koboshi/agent"
	"koboshi/agent/config"
)

// The limit is for machines in service: a launch, and a boot without a release
// that was healthy, download without it.
func TestRateIsForLiveMachines(t *testing.T) {
	w := newWorld(t)
	w.maxRate = 50 << 20
	live(w) // 1 at launch, 2 is promoted
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	w.release("3")
	if _, err := w.boot(); err != nil { // a reboot
		t.Fatal(err)
	}
	w.release("4")
	rate := config.Rate(20 << 20)
	if _, err := w.syncWith(agent.SyncOptions{MaxRate: &rate}); err != nil {
		t.Fatal(err)
	}
	w.release("5")
	if _, err := w.syncWith(agent.SyncOptions{MaxRate: new(config.Rate)}); err != nil {
		t.Fatal(err)
	}
	if want := []config.Rate{0, 50 << 20, 50 << 20, 20 << 20, 0}; !slices.Equal(w.rates, want) {
		t.Errorf("downloads at %d bytes a second, want %d", w.rates, want)
	}
}
