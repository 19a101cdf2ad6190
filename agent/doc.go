// Package agent is the story of an instance's life: in which order things happen
// from its boot to its end, and who learns how they ended.
//
//   - discover   who is this machine? Identity and tags, from IMDS
//   - configure  what do the files and the tags ask for?
//   - converge   resolve, install, activate, gate and recheck: package converge
//   - signal     READY=1 to systemd, CONTINUE or ABANDON for the lifecycle action
//   - prune      releases that are no longer kept go, now that nothing waits
//
// [Agent.Boot] walks all of it; [Agent.Sync] completes no lifecycle action, and
// [Agent.Prebake] starts nothing. [Agent.Watch] asks what is to become of the
// instance, and [Agent.Drain] takes the app out of service in time, in the steps of
// package drain: from then on every other run ends, or is refused. What a failure ends
// as is decided by package converge; which exit code and hint it has, by package failure.
//
// The release side has its sequences here, too: [Guard] suspends the processes of groups
// for a deploy and resumes them, and [Refresher] starts, follows and ends an instance
// refresh.
//
// The package has order and policy and nothing else. It opens no connection
// and prints nothing: what it needs is in the interfaces of agent.go, which cmd
// fills in, and what it did is in the report that each run returns and leaves on
// the disk.
package agent
