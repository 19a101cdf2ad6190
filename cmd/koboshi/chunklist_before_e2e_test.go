//go:build e2e && before

package main

import (
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/failure"
)

// TestE2EOldAgentRefusesChunkLists has an instance whose agent is older than chunk
// lists: such a release is one for newer agents (13), not a forged one (14), and what
// runs keeps running.
func TestE2EOldAgentRefusesChunkLists(t *testing.T) {
	now := newLab(t)
	before := *now
	before.koboshi = needs(t, "koboshi-before", "nothing: make e2e builds it")
	now.release("1", 0)
	live := before.launch(autoscaling.LaunchOptions{})
	live.exits(0, "boot")
	now.publisher("publish", "--version", "2", "--chunk-list", now.tree("2", 1<<20))
	now.promote("2")
	if out := live.exits(failure.Resolve, "sync"); !strings.Contains(out, "this agent is too old: the release wants 0.2.0, this is 0.1.0") {
		t.Errorf("%s", out)
	}
	live.verifies("1")
	live.serves("1")
	launched := before.launch(autoscaling.LaunchOptions{})
	launched.exits(failure.Resolve, "boot")
	today := now.launch(autoscaling.LaunchOptions{})
	today.exits(0, "boot")
	today.verifies("2")
}
