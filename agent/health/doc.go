// Package health decides whether the app that was just started is healthy: the
// gate.
//
// A gate opens when three things have been true for the whole bake window: the
// probe is green, the process behind it is alive, and that process is the one
// that was just started. The probe alone is not enough: an old process may
// still answer, and one that crashes and comes back looks healthy between two
// crashes.
//
// The terms:
//
//   - A try is one run of the probe with its own short timeout, and one look at
//     the process after it; while a probe takes long, there are more looks. A
//     try is green if both succeed, else red. Only the gate's loop repeats
//     tries.
//   - The first green try must come within Gate.Timeout. It begins the window,
//     in which every try must be green for Gate.Bake. A red try ends the window;
//     the next green one begins another, if Timeout is not over by then.
//   - A process that is gone ends the gate at once: what was started in its place
//     is not what was to be judged. A unit that has ended and that systemd starts
//     again by its Restart= is not gone but red: some apps end until all that they
//     need is there. So a unit that crashes again and again never opens the gate.
//
// An app may be several units. All of them are watched; one is probed. Without a
// probe they are only watched.
//
// There are two ways to know which process answers. For a systemd unit it is
// the invocations of the jobs that were just run; the caller passes them in as a
// [Process]. For a restart command it is the age of the process that listens on
// the probe's address: all processes that have the listening socket open must
// have started after the command, so a command that only makes an old process
// reload stays red. Where that cannot be seen, because the address is not this
// machine's, the socket is in another network namespace, koboshi may not look at
// the process, or the probe is a command, the probe alone decides, and
// [Report].Note has the reason.
//
// The package never starts or stops the app, never follows a redirect, never
// uses a proxy, and reads at most 64 KiB of an answer.
package health
