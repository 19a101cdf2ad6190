// Package status says what a run of koboshi did: the timeline of its steps
// while it runs, the report it leaves behind, the state it caches between
// runs, and the picture of a boot that people look at afterwards.
//
//   - A [Timeline] numbers, names and times the steps of one run and publishes
//     each of them to a single observer, which feeds the log, systemd and the
//     terminal.
//   - A [Report] is the last run as <state>/report.json and `status --json`
//     show it. It is written for readers of other versions: keys they do not
//     know are ignored.
//   - A [State] is <state>/state.json, which only this agent reads: anything
//     in it that is not understood makes it [ErrDamaged].
//   - A [Row] is one bar of the picture as data; [Picture] draws rows in a
//     terminal and [SVG] for a post-mortem.
//
// Every text that enters or leaves a report passes [Clean], because errors
// quote archives, buckets and servers, which may be hostile.
//
// The package never logs, never decides which sequence to believe or whether
// a hold counts, and never asks the disk what is installed: state only caches
// what the trees under <root> prove.
package status
