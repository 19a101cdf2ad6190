// Package nodeid keeps the node id of one app on one machine: what is durable of the
// lease, what the app is told, when it may start, and when it has to be down.
//
//   - hold    an id is held, with time enough on it: gone on with from the disk, or claimed
//   - start   the clock is past everything that was used before; PID 1 is armed to stop
//     the app in time; the app's file is there
//   - down    the app has ended, and the last moment that it can have used is durable
//   - tend    the lease is renewed; what went wrong meanwhile stops the app
//   - release the id is free for others
//
// What starts the app goes through hold and start, and what has stopped it through
// down: package converge for boots and syncs, package drain at the end. They are several
// processes; each step has the lock of the record.
//
// What the package never does: it starts no app, decides by nothing but the record, the
// table and the clock, and never goes on where one of them is in doubt.
package nodeid
