// Package process runs one command to its end and leaves nothing of it behind.
//
// There are two ways to contain a command. A [Group] runs it in a session and
// process group of its own, which is killed as a whole. A [Unit] runs it in a
// transient systemd unit, so that even a process that leaves its group is
// found, and another user is applied by systemd.
//
// Both run without a shell, with /dev/null as standard input, with exactly the
// environment that is given, and with a deadline. What they keep of a command's
// output is bounded.
package process
