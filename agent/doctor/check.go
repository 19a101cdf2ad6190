package doctor

import "context"

// check is one thing to look at: a pure function of the facts.
type check struct {
	name  string
	judge func(*facts) []Finding
}

// checks is what is looked at, in the order of a boot's own steps.
func checks() []check {
	return []check{
		{"last-run", checkLastRun},
		{"metadata", checkMetadata},
		{"tags", checkTags},
		{"credentials", checkCredentials},
		{"clock", checkClock},
		{"source", checkSources},
		{"listing", checkListing},
		{"signatures", checkSignatures},
		{"keys", checkKeys},
		{"channel", checkChannel},
		{"rollout", checkRollout},
		{"expiry", checkExpiry},
		{"release", checkRelease},
		{"space", checkSpace},
		{"places", checkPlaces},
		{"mounts", checkMounts},
		{"apps", checkApps},
		{"current", checkCurrent},
		{"previous", checkPrevious},
		{"hold", checkHold},
		{"app", checkApp},
		{"listener", checkListener},
		{"unit", checkUnit},
		{"order", checkOrdering},
		{"boot-unit", checkBootUnit},
		{"hook-user", checkHookUser},
		{"group", checkGroup},
		{"hook", checkTimeout},
		{"heartbeat", checkHeartbeat},
		{"complete", checkComplete},
		{"watch-unit", checkWatchUnit},
		{"terminate-hook", checkTerminateHook},
		{"targets", checkTargets},
		{"flush", checkFlush},
		{"health-report", checkHealthReport},
		{"node-table", checkNodeTable},
		{"node-id", checkNodeID},
		{"node-capacity", checkNodeCapacity},
		{"node-clock", checkNodeClock},
		{"node-stop", checkNodeStop},
	}
}

// Names are the names of all checks, in the order of their findings.
func Names() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// Examine asks and judges. The findings are in a fixed order; a check may have
// several, or none where it does not apply.
func (m Machine) Examine(ctx context.Context) []Finding {
	f := m.gather(ctx)
	var all []Finding
	for _, c := range checks() {
		all = append(all, signed(c.name, c.judge(f))...)
	}
	return all
}
