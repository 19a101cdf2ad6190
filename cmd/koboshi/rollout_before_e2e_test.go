//go:build e2e && before

package main

import (
	"testing"

	"koboshi/agent/awstest/autoscaling"
)

// TestE2EOldAgentIgnoresRollouts has instances whose agent is older than rollouts: it
// stays at what the channel points to, whether it is in or not, and follows when that moves. An
// agent of today on the same channel is in.
func TestE2EOldAgentIgnoresRollouts(t *testing.T) {
	now := newLab(t)
	before := *now
	before.koboshi = needs(t, "koboshi-before", "nothing: make e2e builds it")
	now.release("1", 0)
	now.publish("2", now.tree("2", 0))
	live := before.launch(autoscaling.LaunchOptions{})
	live.exits(0, "boot")
	now.publisher("promote", "--channel", "stable", "--version", "2", "--percent", "99")
	launched := before.launch(autoscaling.LaunchOptions{})
	launched.exits(0, "boot")
	live.exits(0, "sync")
	live.exits(0, "sync", "--if-new")
	for _, b := range []*box{live, launched} {
		b.told("CONTINUE")
		b.verifies("1")
		b.serves("1")
	}
	if p := now.pointed(); !p.InRollout(live.instance.ID()) || !p.InRollout(launched.instance.ID()) {
		t.Errorf("%s and %s are not in: the test tests nothing", live.instance.ID(), launched.instance.ID())
	}
	today := now.launch(autoscaling.LaunchOptions{})
	today.exits(0, "boot")
	today.verifies("2")

	now.publisher("promote", "--channel", "stable", "--abort")
	live.exits(0, "sync", "--if-new")
	live.verifies("1")
	now.publisher("promote", "--channel", "stable", "--version", "2", "--percent", "100")
	live.exits(0, "sync", "--if-new")
	live.verifies("2")
	live.serves("2")
}
