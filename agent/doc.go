// Package agent is the story of a boot: in which order things happen on an
// instance, and what is done when one of them fails.
//
//   - discover   who is this machine? Identity and tags, from IMDS
//   - configure  what do the files and the tags ask for?
//   - resolve    what does the channel name? Pointer and manifest, both verified
//   - install    the release's bytes, proven, unpacked and durable beside the others
//   - delta update     in its place, where a release that is here needs only a delta
//   - activate   current points at the release, and the app is started from it
//   - gate       the app is healthy, and stays so for the bake window
//   - recheck    does the channel still name it? If not, once more from resolve
//   - signal     READY=1 to systemd, CONTINUE or ABANDON to the launch hook
//   - prune      what is kept no longer goes, now that nobody waits
//
// Around activate and gate a release's own hooks have their say: pre_start,
// pre_stop of what served before, and post_start (see [Hook]).
//
// [Agent.Boot] walks all of it; [Agent.Sync] begins at resolve and never signals
// a lifecycle hook, and [Agent.Prebake] starts nothing. What a failure means is
// decided in one place, settle.go, by one table.
//
// The package holds order and policy and nothing else. It opens no connection
// and prints nothing: what it needs is in the interfaces of agent.go, which cmd
// fills in, and what it did is in the report that each run returns and leaves on
// the disk.
package agent
