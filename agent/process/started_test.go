package process

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// attended starts a script whose standard output can be read.
func attended(t *testing.T, script string) (*Started, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	s, err := Attended{Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin", "WHO=me"}, Output: w}.Start()
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func TestAttended(t *testing.T) {
	s, out := attended(t, "echo $WHO; exit 3")
	said, err := io.ReadAll(out)
	if code := s.Code(); code != 3 || string(said) != "me\n" || err != nil {
		t.Errorf("exit code %d, %q, %v", code, said, err)
	}
	s.Signal(syscall.SIGTERM) // there is no one left
	s, _ = attended(t, "kill -USR1 $$")
	if code := s.Code(); code != 128+int(syscall.SIGUSR1) {
		t.Errorf("exit code %d", code)
	}
}

// A signal reaches the command and its children, and only those.
func TestAttendedIsSignalledAsAGroup(t *testing.T) {
	for _, sent := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		s, out := attended(t, "sleep 1000 & echo; wait")
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		s.Signal(sent)
		// A shell's children in the background ignore SIGINT.
		if s.Code(); sent == syscall.SIGINT {
			s.Signal(syscall.SIGKILL)
		}
		if _, err := io.ReadAll(out); err != nil { // until no process has it open
			t.Error(err)
		}
		if code := s.Code(); code != 128+int(sent) {
			t.Errorf("%v: exit code %d", sent, code)
		}
	}
}

func TestAttendedThatCannotBeStarted(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil { //nolint:gosec // a program, nearly
		t.Fatal(err)
	}
	for program, missing := range map[string]bool{"no-such-program": true, text: false} {
		_, err := Attended{Args: []string{program}}.Start()
		if !IsNotStarted(err) || IsNotFound(err) != missing || (Found(program) != nil) != missing {
			t.Errorf("%s: %v", program, err)
		}
	}
	if _, err := (Attended{}).Start(); err == nil {
		t.Error("no command was started")
	}
	if IsNotStarted(errors.New("else")) {
		t.Error("another error is taken for a start that failed")
	}
}
