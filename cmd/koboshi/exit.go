package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/store"
	"koboshi/artifacts/unpack"
)

// The exit codes are a contract with systemd units, scripts and people.
const (
	ok          = 0
	found       = 1 // a check found something
	badUsage    = 2
	badConfig   = 10
	noMetadata  = 11
	noRole      = 12
	notResolved = 13 // not found, not readable, or this agent is too old
	notTrusted  = 14 // read but not believed
	notFetched  = 15 // the transport gave up
	notIntact   = 16 // size or hash differ
	badArchive  = 17
	diskFailed  = 18
	notStarted  = 19
	unhealthy   = 20
	hookUntold  = 21
	noNodeID    = 22
	isLocked    = 23
	tooLate     = 24
	bug         = 70
	interrupted = 130
)

var meaning = map[int]string{
	ok: "ok", found: "a check found something", badUsage: "usage", badConfig: "configuration", noMetadata: "instance metadata",
	noRole: "credentials", notResolved: "the release could not be found or read, or this agent is too old",
	notTrusted: "a document was read but not believed", notFetched: "the transport gave up",
	notIntact: "size or hash differ from what was signed", badArchive: "the archive was refused",
	diskFailed: "no space, read-only, or an I/O error", notStarted: "the release could not be started",
	unhealthy: "the release is not healthy", hookUntold: "the lifecycle hook could not be told",
	noNodeID: "no node id", isLocked: "another run has the lock", tooLate: "the deadline has passed",
	bug: "internal error", interrupted: "interrupted",
}

const exitsTitle = "\n\nExit codes:\n"

// exits is the part of a command's help that lists its exit codes.
func exits(codes ...int) string {
	var b strings.Builder
	b.WriteString(exitsTitle)
	for _, code := range codes {
		fmt.Fprintf(&b, "  %-4d %s\n", code, meaning[code])
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// exitCode is the one place where an error becomes a number. Causes come before
// the steps they make fail: a download that ended at the deadline is the
// deadline's.
func exitCode(err error) int {
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case err == nil:
		return ok
	case is(errFindings):
		return found
	case is(errUsage):
		return badUsage
	case isA[*config.Error](err), is(errConfig):
		return badConfig
	case is(agent.ErrInterrupted), is(context.Canceled):
		return interrupted
	case is(agent.ErrDeadline):
		return tooLate
	case is(store.ErrLocked):
		return isLocked
	case is(instance.ErrNoCredentials):
		return noRole
	case is(instance.ErrUnreachable), is(instance.ErrDisabled), is(instance.ErrHopLimit), is(instance.ErrMalformed):
		return noMetadata
	case is(store.ErrDisk):
		return diskFailed
	case is(unpack.ErrRefused):
		return badArchive
	case is(artifacts.ErrIntegrity), is(errAltered):
		return notIntact
	case is(artifacts.ErrTooOld), is(artifacts.ErrNoPlatform):
		return notResolved
	case is(artifacts.ErrUntrusted), is(artifacts.ErrExpired), is(publish.ErrConflict), is(publish.ErrMoved), is(bucket.ErrChanged), is(bucket.ErrExists):
		return notTrusted
	case is(agent.ErrLifecycle):
		return hookUntold
	case is(health.ErrUnhealthy):
		return unhealthy
	case is(agent.ErrActivate), is(agent.ErrHook):
		return notStarted
	case is(agent.ErrNoPrevious), is(agent.ErrNotLaunched), isA[*fetch.ResolveError](err), is(bucket.ErrNotFound), is(bucket.ErrDenied):
		return notResolved
	case is(fetch.ErrTransport), isA[*s3.Error](err):
		return notFetched
	}
	return bug
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

var (
	errUsage    = errors.New("usage")
	errConfig   = errors.New("configuration")
	errFindings = errors.New("the check found something")
	errAltered  = errors.New("the tree is not what was published")
)

// usage marks an error as the caller's: wrong flags or arguments.
func usage(err error) error { return marked{err, errUsage} }

// marked gives an error a class without adding to its text.
type marked struct {
	error
	class error
}

func (m marked) Unwrap() []error { return []error{m.error, m.class} }
