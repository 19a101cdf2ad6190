package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// endings are the signals that end a run in order: Ctrl-C and Ctrl-\, systemd,
// and a terminal that goes away. SIGABRT, the watchdog's, is not among them: it
// kills a run that hangs, with the stacks of all goroutines.
func endings() []os.Signal {
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}
}

// untilSignal returns a context that the first such signal ends. A second one
// kills, without waiting for what the first one began; but for SIGHUP, which the
// kernel and the shell each send when a terminal goes away.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	heard := slices.DeleteFunc(endings(), ignored)
	if !ignored(syscall.SIGHUP) {
		swallow(syscall.SIGHUP)
	}
	if ignored(syscall.SIGQUIT) {
		swallow(syscall.SIGQUIT) // Go's runtime would end the process
	}
	ctx, stop := signal.NotifyContext(parent, heard...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// swallow receives a signal and does nothing. Ignoring it would be inherited by the
// processes that are started here.
func swallow(s os.Signal) { signal.Notify(make(chan os.Signal, 1), s) }

// ignored reports whether a signal was ignored when this process started, and so
// stays ignored (nohup). Go's runtime keeps that of SIGHUP and SIGINT only. A
// shell without job control makes what it starts in the background ignore SIGINT
// and SIGQUIT together.
func ignored(s os.Signal) bool {
	if s == syscall.SIGQUIT {
		s = os.Interrupt
	}
	return signal.Ignored(s)
}
