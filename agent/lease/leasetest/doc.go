// Package leasetest has a table of node ids in memory, with switches for whatever a real
// one can do to its callers, and the contract of [lease.Table] as a suite that is run
// over every table there is.
//
// [Run] runs a schedule over whatever keeps a node id on a machine: instances with clocks,
// disks and apps of their own do anything to one table, over a network that loses, delays
// and repeats, and processes are killed anywhere. A schedule follows from its seed. All
// numbers that apps give out are known: a unit of time of one id that two holders use, or
// two runs of one app, is a fault. Each [Mutant] breaks one rule, to see that it is found.
// [Schedules] and [Catch] do that for many seeds.
package leasetest
