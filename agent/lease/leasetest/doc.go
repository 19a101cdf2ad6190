// Package leasetest has a table of node ids in memory, with switches for whatever a real
// one can do to its callers, and the contract of [lease.Table] as a suite that is run
// over every table there is.
package leasetest
