package failure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/agent/lifecycle"
	"koboshi/agent/nodeid"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/store"
	"koboshi/artifacts/tree"
	"koboshi/systemd"
	"koboshi/systemd/install"
)

func TestSorted(t *testing.T) {
	wrapped := func(errs ...error) error { return fmt.Errorf("while doing it: %w", errors.Join(errs...)) }
	for _, tt := range []struct {
		err  error
		code Code
		kind string
	}{
		{nil, OK, ""},
		{errors.New("a bug"), Internal, ""},
		{wrapped(ErrFound), Found, ""},
		{wrapped(ErrUsage), Usage, ""},
		{wrapped(&config.Error{Err: errors.New("unknown key")}), Configuration, ""},
		{Mark(errors.New("no such file"), ErrConfiguration), Configuration, ""},
		{wrapped(instance.ErrUnreachable), Metadata, ""},
		{wrapped(instance.ErrNoCredentials), Credentials, ""},
		{wrapped(bucket.ErrDenied), Credentials, config.Unavailable},
		{wrapped(bucket.ErrCredentials), Credentials, config.Unavailable},
		{wrapped(syscall.ENOSPC), Disk, ""},
		{wrapped(syscall.EROFS), Disk, ""},
		{wrapped(bucket.ErrNotFound), Resolve, config.Unavailable},
		{wrapped(artifacts.ErrTooOld), Resolve, config.Unavailable},
		{wrapped(artifacts.ErrUntrusted), Untrusted, config.Untrusted},
		{wrapped(artifacts.ErrExpired), Untrusted, config.Unavailable},
		{wrapped(fetch.ErrTransport), Fetch, config.Unavailable},
		{wrapped(artifacts.ErrIntegrity), Integrity, config.Untrusted},
		{wrapped(tree.ErrRefused), Archive, config.Untrusted},
		{wrapped(store.ErrDisk), Disk, ""},
		{wrapped(state.ErrDisk), Disk, ""},
		{wrapped(install.ErrDisk), Disk, ""},
		{wrapped(install.ErrRoot), Usage, ""},
		{wrapped(service.ErrActivate), Activate, config.Unhealthy},
		{wrapped(service.ErrHook), Activate, config.Unhealthy},
		{wrapped(health.ErrUnhealthy), Unhealthy, config.Unhealthy},
		{wrapped(health.ErrListener), Unhealthy, config.Unhealthy},
		{wrapped(health.ErrSurvivor), Unhealthy, config.Unhealthy},
		{wrapped(health.ErrUnknown), Activate, ""},
		{wrapped(systemd.ErrDisconnected), Activate, ""},
		{wrapped(lifecycle.ErrNotCompleted), Lifecycle, ""},
		{wrapped(lifecycle.ErrNotSignalled), Lifecycle, ""},
		{wrapped(nodeid.ErrNodeID), NodeID, ""},
		{wrapped(nodeid.ErrNodeID, bucket.ErrDenied), NodeID, ""}, // never stale at launch
		{wrapped(nodeid.ErrNodeID, fetch.ErrTransport), NodeID, ""},
		{wrapped(nodeid.ErrNodeID, ErrDeadline), NodeID, ""},
		{wrapped(lease.ErrOwner), NodeID, ""},
		{wrapped(lease.ErrChanged, bucket.ErrChanged), NodeID, ""},
		{wrapped(lease.ErrKeys), Configuration, ""},
		{wrapped(lease.ErrNoTable), Resolve, ""},
		{wrapped(&lease.RowsError{Err: syscall.ECONNREFUSED}), Fetch, config.Unavailable},
		{wrapped(&lease.RowsError{Err: bucket.ErrDenied}), Credentials, config.Unavailable},
		{wrapped(state.ErrLocked), Locked, ""},
		{wrapped(ErrDeadline), Deadline, ""},
		{wrapped(ErrInterrupted), Interrupted, ""},
	} {
		if got := CodeOf(tt.err); got != tt.code {
			t.Errorf("%v ends with %d, want %d", tt.err, got, tt.code)
		}
		if got := Kind(tt.err); got != tt.kind {
			t.Errorf("%v is of the kind %q, want %q", tt.err, got, tt.kind)
		}
	}
}

// TestCausesComeFirst pairs what failed with why.
func TestCausesComeFirst(t *testing.T) {
	for _, tt := range []struct {
		why, what error
		code      Code
	}{
		{ErrDeadline, fetch.ErrTransport, Deadline},
		{lifecycle.ErrNotCompleted, context.Canceled, Lifecycle}, // our own context ended, no person
		{ErrInterrupted, health.ErrUnhealthy, Interrupted},
		{instance.ErrNoCredentials, fetch.ErrTransport, Credentials},
		{instance.ErrNoCredentials, lifecycle.ErrNotCompleted, Credentials},
		{store.ErrDisk, service.ErrActivate, Disk},
		{bucket.ErrNotFound, fetch.ErrTransport, Resolve},
		{bucket.ErrDenied, fetch.ErrTransport, Credentials},
		{artifacts.ErrExpired, artifacts.ErrUntrusted, Untrusted},
		{service.ErrHook, service.ErrActivate, Activate},
		{systemd.ErrDisconnected, health.ErrUnhealthy, Activate},
	} {
		for _, err := range []error{errors.Join(tt.why, tt.what), errors.Join(tt.what, tt.why)} {
			if got := CodeOf(err); got != tt.code {
				t.Errorf("%q ends with %d, want %d", err, got, tt.code)
			}
		}
	}
}

func TestHints(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{WithHint(Mark(errors.New("no file"), ErrUsage), "write one"), "write one"},
		{fmt.Errorf("read: %w", &config.Error{Err: errors.New("unknown key"), Hint: `did you mean "unit"?`}), `did you mean "unit"?`},
		{Mark(errors.New("no file"), ErrUsage), "see koboshi --help, or --help of the command"},
		{errors.New("a bug"), ""},
	} {
		if got := Explain(tt.err).Hint; got != tt.want {
			t.Errorf("hint of %q is %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestExplainBoundsAndCleans(t *testing.T) {
	e := Explain(errors.New("line\n\x1b[31m" + strings.Repeat("x", 2000)))
	if len(e.Message) > MaxMessage || strings.ContainsAny(e.Message, "\n\x1b") {
		t.Errorf("the message is %d bytes: %q", len(e.Message), e.Message)
	}
}

func TestEveryCodeHasAMeaning(t *testing.T) {
	for _, r := range table {
		if r.code.String() == "" {
			t.Errorf("code %d has no meaning", r.code)
		}
	}
}

// TestUnitsKnowTheCodes holds the units of boot and watch against the table: a run is
// started again only where that may end otherwise.
func TestUnitsKnowTheCodes(t *testing.T) {
	var want []string
	for _, code := range Codes() {
		if code != OK && !code.Restartable() {
			want = append(want, strconv.Itoa(int(code)))
		}
	}
	for _, name := range []string{systemd.BootUnit, systemd.WatchUnit} {
		unit, err := fs.ReadFile(systemd.Units(), name)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(unit), "\nRestartPreventExitStatus=")
		line, _, _ := strings.Cut(rest, "\n")
		if got := strings.Fields(line); !found || !slices.Equal(got, want) {
			t.Errorf("%s: RestartPreventExitStatus=%v, want %v", name, got, want)
		}
	}
}

// Errors that were joined are one line, in which they can be told apart.
func TestJoinedErrorsAreOneLine(t *testing.T) {
	err := fmt.Errorf("close: %w", errors.Join(errors.New("first"), errors.New("second\n")))
	if got := Explain(err).Message; got != "close: first; second" {
		t.Errorf("%q", got)
	}
}
