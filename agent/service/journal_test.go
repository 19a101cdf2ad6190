package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/health"
	"koboshi/systemd"
)

// journald puts a journalctl into PATH. It prints the files own-1, own-2 … (one per
// try) for the output of an invocation, late for the output of the unit since the
// start, and about for systemd's own lines. The returned directory has these files
// and the calls.
func journald(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files["journalctl"] = "#!/bin/sh\necho \"$*\" >>" + dir + `/calls
case "$*" in
*\ _SYSTEMD_INVOCATION_ID=*) cat ` + dir + `/own-$(grep -c ' _SYSTEMD_' ` + dir + `/calls) 2>/dev/null ;;
*\ _SYSTEMD_UNIT=*) cat ` + dir + `/late 2>/dev/null ;;
*) cat ` + dir + `/about ;;
esac
exit 0
`
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

func web(ended bool) invoked {
	return invoked{unit: "web.service", id: "abcd", since: time.Unix(1795883467, 709_881_000), ended: ended}
}

func TestJournal(t *testing.T) {
	var many strings.Builder
	for i := range 30 {
		fmt.Fprintf(&many, "\x1b[31mline %d\x1b[0m\n\n", i)
	}
	many.WriteString(strings.Repeat("x", 3*maxTail) + "\n")
	dir := journald(t, map[string]string{"own-1": many.String()})
	last := journal(t.Context(), web(true))
	if len(last) != 1 || len(last[0]) > maxLastLine {
		t.Errorf("after a flood: %d lines", len(last))
	}
	calls, _ := os.ReadFile(filepath.Join(dir, "calls"))
	if want := "--quiet --no-pager --output=cat --lines=20 _SYSTEMD_INVOCATION_ID=abcd\n"; string(calls) != want {
		t.Errorf("called with %q, want %q", calls, want)
	}

	journald(t, map[string]string{"own-1": many.String()[:many.Len()-3*maxTail-1]})
	last = journal(t.Context(), web(true))
	if len(last) != lastLines || last[0] != "line 10" || last[19] != "line 29" {
		t.Errorf("the last lines are %q", last)
	}
}

// The journal may be a little behind, and an app may write nothing at all.
func TestJournalIsLate(t *testing.T) {
	journald(t, map[string]string{"own-3": "DATABASE_URL is not set\n"})
	if last := journal(t.Context(), web(true)); !slices.Equal(last, []string{"DATABASE_URL is not set"}) {
		t.Errorf("a late line: %q", last)
	}
	journald(t, map[string]string{"about": "web.service: Failed with result 'exit-code'.\n"})
	if last := journal(t.Context(), web(true)); !slices.Equal(last, []string{"web.service: Failed with result 'exit-code'."}) {
		t.Errorf("what systemd says: %q", last)
	}
	if last := journal(t.Context(), web(false)); last != nil {
		t.Errorf("what systemd says of an app that runs: %q", last)
	}
	dir := journald(t, map[string]string{"late": "DATABASE_URL is not set\n"}) // by one that had ended when journald looked
	if last := journal(t.Context(), web(true)); !slices.Equal(last, []string{"DATABASE_URL is not set"}) {
		t.Errorf("a line without an invocation: %q", last)
	}
	if calls, _ := os.ReadFile(filepath.Join(dir, "calls")); !strings.HasSuffix(string(calls), " --since=@1795883467.709881 _SYSTEMD_UNIT=web.service\n") {
		t.Errorf("called with %q", calls)
	}
	t.Setenv("PATH", t.TempDir())
	if last := journal(t.Context(), web(true)); last != nil {
		t.Errorf("without journalctl: %q", last)
	}
}

// A start that fails says how the app ended and what it last wrote.
func TestUnitExplains(t *testing.T) {
	f := &fakeSystemd{gone: "web.service is failed (failed)", lines: []string{"starting", "DATABASE_URL is not set"}}
	f.ended = &systemd.JobError{Unit: "web.service", Result: "ended", Cause: "exit-code", Status: 3}
	gate, err := f.service(configured(t, unit), nil).Restart(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = gate(t.Context(), noOverride)
	start, ok := errors.AsType[*StartError](err)
	if !ok || !errors.Is(err, health.ErrUnhealthy) || !errors.Is(err, f.ended) || !slices.Equal(start.Last, f.lines) {
		t.Fatalf("the gate: %#v", err)
	}
	if want := "web.service is failed (failed); web.service has ended (exit-code, status 3); its last line: DATABASE_URL is not set"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("it reads %q, want %q", err, want)
	}
	f.happened(t, "connect", "refresh web.service", "restart web.service", "journal abcd, ended: true", "close")

	failed := &systemd.JobError{Unit: "web.service", Result: "failed", Cause: "exit-code", Status: 203}
	f.fails, f.state.Invocation = map[string]error{"restart web.service": failed}, "ef01"
	_, err = f.service(configured(t, unit), nil).Restart(t.Context(), nil)
	if start, ok := errors.AsType[*StartError](err); !ok || !errors.Is(err, failed) || !slices.Equal(start.Last, f.lines) {
		t.Errorf("Restart = %v", err)
	}
	f.happened(t, "connect", "refresh web.service", "restart web.service", "journal ef01, ended: true", "close")
}

// A command's log is what it has written since its start.
func TestCommandExplains(t *testing.T) {
	cfg := commanded(t, "echo old; exit 0", "")
	if _, err := New(cfg, nil).Restart(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	cfg.Service.Restart[2] = `for i in $(seq 30); do echo "line $i"; done; exit 3`
	_, err := New(cfg, nil).Restart(t.Context(), nil)
	start, ok := errors.AsType[*StartError](err)
	if !ok || len(start.Last) != lastLines || start.Last[0] != "line 11" || start.Last[19] != "line 30" {
		t.Errorf("Restart = %#v", err)
	}
}

// What a command has started may write without end.
func TestLogIsCut(t *testing.T) {
	name := filepath.Join(t.TempDir(), "restart.log")
	app, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	line := strings.Repeat("x", 1023) + "\n"
	for range maxLog/len(line) + 1 {
		if _, err := app.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := app.WriteString("before\n"); err != nil {
		t.Fatal(err)
	}
	cutLog(name)
	if _, err := app.WriteString("after\n"); err != nil {
		t.Fatal(err)
	}
	info, err := app.Stat()
	if err != nil || info.Size() > maxTail+10 {
		t.Errorf("%d bytes are left (%v)", info.Size(), err)
	}
	if last := logged(name); !slices.Equal(last[len(last)-2:], []string{"before", "after"}) {
		t.Errorf("the last lines are %q", last)
	}
}
