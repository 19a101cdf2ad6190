// Package drain takes the app of one instance out of service: it is let go by the
// load balancers, stopped, its logs are delivered, and the lifecycle action is completed.
//
//	notice    recorded; <run>/leaving keeps every other run away
//	let-go    deregistered, and unused; the lifecycle hook waits
//	pre_stop  the release's hook
//	stop      the app's unit
//	flush     each log shipper has delivered what the app wrote
//	complete  CONTINUE
//
// Each step is one file with the small interface that it needs. A step that fails
// is reported and the next one begins: an instance that is to go goes, and what can
// be saved of it is saved. Only the end of the let-go may be called off.
//
// What is under way is in <state>/drain.json, so that a process that was killed goes
// on at its step, and nothing that is done is done again.
//
// What the package never does: it never decides that an instance has to go, starts
// an app, or logs.
package drain
