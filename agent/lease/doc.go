// Package lease gives every live instance a number that no other one has, and keeps
// it: the node id of a Snowflake-like generator.
//
// # Terms
//
//	scope     the groups that share one set of ids
//	item      what the table holds of one id; it is never deleted
//	gen       how often the id was claimed: the fencing token
//	nonce     128 random bits, drawn once by each process that claims
//	hw        the high-water mark: the holder emits nothing above it
//	slack     how far an app that does not look may overrun it, by its own clock
//	floor     the earlier hw and its slack: the new holder emits nothing at or below it
//	tenure    what a holder knows of its own lease
//	mark      the last moment that can have been used
//
// # What is promised
//
// For an app that honours the bounds, no id is ever used by two holders in one unit of
// time, whatever clocks, pauses, crashes and lost or repeated messages do: each holder
// emits in (floor, hw] only, and the floor of the next one is not below its hw. That
// does not depend on any clock. Clocks decide only how long the next one waits.
//
// Every write is a compare-and-swap of the whole item as it was read. After any answer
// that leaves open what has happened the item is read, and only what it says counts.
//
// What the package never does: it never deletes an item, decides that an instance is
// dead by anything but the item, starts or stops an app, or logs. The clock is an
// argument.
package lease
