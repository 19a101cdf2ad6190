// Package report records what a run of koboshi did: the timeline of its steps
// while it runs, and the report and the line of history that it leaves.
//
//   - A [Timeline] numbers, names and times the steps of one run and publishes
//     each of them to a single observer, which feeds the log, systemd and the
//     terminal.
//   - A [Report] describes one run. It is written for readers of other
//     versions: keys that they do not know are ignored.
//   - A [Run] is a report in short, as `koboshi history` lists it.
//
// Every text that enters or leaves a report passes [Clean], because errors
// quote archives, buckets and servers, which may be hostile.
//
// The package never logs and decides nothing.
package report
