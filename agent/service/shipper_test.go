package service

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"koboshi/agent/config"
	"koboshi/systemd"
)

func TestUnitAskShipper(t *testing.T) {
	exits := func(cause string, status int32) error {
		return &systemd.JobError{Unit: "x", Result: "failed", Cause: cause, Status: status}
	}
	for _, tt := range []struct {
		ended  error
		status int
		err    bool
	}{
		{nil, 0, false},
		{exits("exit-code", 75), 75, false},
		{exits("exit-code", 217), 0, true}, // systemd could not become the user
		{exits("signal", 9), 0, true},
		{systemd.ErrDisconnected, 0, true},
		{context.DeadlineExceeded, 0, true},
	} {
		f := &fakeSystemd{as: systemd.Credentials{User: "web"}, run: func(tr systemd.Transient) error {
			_, err := tr.Output.WriteString("looking\n5 in the queue\n\n")
			return errors.Join(tt.ended, err)
		}}
		s := f.service(configured(t, unit), nil)
		flush := config.Flush{Command: []string{"/bin/idle", "-x"}, User: "logs", Timeout: config.Duration(time.Minute)}
		status, last, err := s.AskShipper(t.Context(), "app", flush)
		if status != tt.status || (err != nil) != tt.err || err == nil && last != "5 in the queue" || err != nil && !errors.Is(err, tt.ended) {
			t.Errorf("%v: status %d, %q, %v", tt.ended, status, last, err)
		}
		if m := f.made; m.Unit != "koboshi-web-flush-app.service" || m.As.User != "logs" || !m.AtShutdown || m.Dir != "/" || m.Timeout != time.Minute || !slices.Equal(m.Args, flush.Command) {
			t.Errorf("ran %+v", m)
		}
		f.happened(t, "connect", "close")
	}
	f := &fakeSystemd{as: systemd.Credentials{User: "web"}, run: func(systemd.Transient) error { return nil }}
	if _, _, err := f.service(configured(t, unit), nil).AskShipper(t.Context(), "app", config.Flush{Command: []string{"/bin/idle"}}); err != nil || f.made.As.User != "web" {
		t.Errorf("as %q: %v", f.made.As.User, err)
	}
}

func TestCommandAskShipper(t *testing.T) {
	cfg := commanded(t, "exit 0", "hooks.user = \"root\"")
	flush := config.Flush{Command: []string{"/bin/sh", "-c", "pwd; exit 75"}}
	if status, last, err := New(cfg, nil).AskShipper(t.Context(), "app", flush); status != 75 || last != "/" || err != nil {
		t.Errorf("status %d, %q, %v", status, last, err)
	}
	flush.Command = []string{"/no/such/program"}
	if status, _, err := New(cfg, nil).AskShipper(t.Context(), "app", flush); err == nil {
		t.Errorf("status %d of a program that is not there", status)
	}
	flush.User = "no-such-user"
	if _, _, err := New(cfg, nil).AskShipper(t.Context(), "app", flush); err == nil {
		t.Error("ran as a user that is not there")
	}
}
