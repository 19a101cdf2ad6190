// Package health decides whether what was just started may serve: the gate.
//
// A gate opens when three things have held together for the whole bake window:
// the probe is green, the process behind it lives, and it is the one that was
// just started. The probe alone is not enough: an old process may still answer,
// and one that crashes and comes back looks healthy between two crashes.
//
// The terms:
//
//   - A try is one run of the probe with its own short timeout, and one look at
//     the process after it, and more of them while the probe waits for long.
//     Green is a try in which both were well, red is any other. A try is
//     never retried by anything but the gate's loop.
//   - The first green try must come within Gate.Timeout. It begins the window,
//     in which every try must be green for Gate.Bake. A red one ends the window;
//     the next green one begins another, if Timeout is not over by then.
//   - A process that is gone ends the gate at once. It is a crash, and what
//     somebody started in its place is not what was to be judged.
//
// Which process answers is told in one of two ways. For a systemd unit it is
// the invocation of the job just run, which the caller hands in as a [Process].
// For a restart command it is the age of who listens on the probe's address:
// all processes that hold the listening socket must have started after the
// command did, so a command that only makes an old process reload stays red.
// Where that cannot be seen, since the address is not this machine's, the
// socket is in another network namespace, its holders are not ours to look at
// or the probe is a command, the gate goes by the probe alone and says so in
// [Report].Note.
//
// The package never starts or stops the app by itself, never follows a
// redirect, never uses a proxy, and reads no more than 64 KiB of an answer.
package health
