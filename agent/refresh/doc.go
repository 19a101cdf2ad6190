// Package refresh has the rules of an instance refresh: what is refused before Auto
// Scaling is asked, and what the end of one means.
//
// A refresh replaces the instances of a group, and those that come follow their channel:
// which release they run is not the launch template's matter, and neither is it a
// rollback's. Skip matching compares launch templates and does not see a channel.
//
// What the package never does: it makes no calls, moves no instance, and never logs.
package refresh
