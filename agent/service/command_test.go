package service

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/config"
)

// commanded is a configuration that starts its app by a shell script; settings
// come after it.
func commanded(t *testing.T, script, settings string) *config.Config {
	t.Helper()
	cfg := configured(t, "service.restart = [\"/bin/sh\", \"-c\", '''"+script+"''']\n"+settings)
	if err := os.Mkdir(current(cfg), 0o755); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestCommandRestart(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	cfg := commanded(t, "echo \"$KOBOSHI_VERSION $AWS_SECRET_ACCESS_KEY.\" >started", "")
	if _, err := New(cfg, nil).Restart(t.Context(), []string{"KOBOSHI_VERSION=2"}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(current(cfg), "started")); string(data) != "2 .\n" || err != nil {
		t.Errorf("the command saw %q (%v)", data, err)
	}
	if _, err := New(commanded(t, "echo port in use; exit 3", ""), nil).Restart(t.Context(), nil); err == nil || !strings.HasSuffix(err.Error(), "exit status 3: port in use") {
		t.Errorf("Restart = %v", err)
	}
}

func TestCommandStop(t *testing.T) {
	cfg := commanded(t, "exit 0", `service.stop = ["/bin/sh", "-c", "echo stopping; touch stopped; exit 4"]`)
	err := New(cfg, nil).Stop(t.Context())
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 4 || !strings.HasSuffix(err.Error(), ": stopping") {
		t.Errorf("Stop = %v", err)
	}
	if _, err := os.Stat(filepath.Join(current(cfg), "stopped")); err != nil {
		t.Errorf("it did not run in current: %v", err)
	}
	if err := New(commanded(t, "exit 0", `service.stop = ["true"]`), nil).Stop(t.Context()); err != nil {
		t.Errorf("Stop = %v", err)
	}
	if err := New(commanded(t, "exit 0", ""), nil).Stop(t.Context()); !errors.Is(err, ErrNoStop) {
		t.Errorf("Stop without a command = %v", err)
	}
}

// Whether a command's app runs is unknown, so there is no answer.
func TestCommandDown(t *testing.T) {
	if _, err := New(commanded(t, "exit 0", ""), nil).Down(t.Context()); !errors.Is(err, ErrUnknown) {
		t.Errorf("Down = %v", err)
	}
}

// Without a unit a health command runs as hooks.user, and where that is not set
// not as root.
func TestCommandHealthCommand(t *testing.T) {
	cfg := commanded(t, "exit 0", "")
	cfg.Health.TCP, cfg.Health.Command = "", []string{"/bin/sh", "-c", "exit 0"}
	err := New(cfg, nil).Probe(t.Context(), noOverride)
	if refused := errors.Is(err, ErrNoUser); refused != (os.Geteuid() == 0) || !refused && err != nil {
		t.Errorf("Probe = %v", err)
	}
}
