// Package guard has the rules by which a deploy keeps an Auto Scaling group still: the
// record of who does and of which processes that has suspended, what follows from it
// and from what AWS shows, and the reasons for which a group is not safe to deploy to.
//
// The record is an object in the bucket that is only ever swapped (compare-and-swap):
// one holder at a time, each with a fence, a number that grows. The holder writes what
// it is about to suspend before it does: an intent, with the time T by AWS's clock. AWS
// shows each suspended process with a reason that has the time. So afterwards it is
// known which suspension is the holder's: one from T on. What was suspended before, or
// was resumed and suspended again by someone else, is left as it is. Whoever repairs
// after the holder has died reads the same from the record.
//
// A lease says how long the holder may take; it is judged by the store's clock, and the
// times of suspensions by AWS's. No other clock counts.
//
// Two suspensions of others cannot be told from the holder's, and are resumed with it:
// one that came within a minute of an intent that was not recognised any more, and one
// on top of the holder's. A holder that is frozen for longer than its lease may still
// finish a call that it had begun: AWS knows no fences.
//
// What the package never does: it never calls Auto Scaling, and never logs. The
// sequence of steps is package agent's.
package guard
