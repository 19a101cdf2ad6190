package service

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"koboshi/agent/process"
	"koboshi/agent/report"
	"koboshi/artifacts/pace"
)

// Limits of the output that explains a failed start.
const (
	lastLines   = 20
	maxLastLine = 300      // bytes of each, once cleaned
	maxTail     = 64 << 10 // bytes that are read of a log

	maxLog   = 1 << 20 // bytes of a restart command's log, before it is cut
	cutEvery = time.Second

	journalLimit = 3 * time.Second
	journalTries = 3 // the journal is a little behind the app that has just ended
	journalPause = 200 * time.Millisecond
)

// StartError is an app that did not come up, with what can be found out about why.
type StartError struct {
	Err  error
	Exit error    // *systemd.JobError; nil = it has not ended, or how is not known
	Last []string // the app's last lines since its start, cleaned and capped
}

// Error ends in the app's last line.
func (e *StartError) Error() string {
	text := e.Err.Error()
	if e.Exit != nil && !strings.Contains(text, e.Exit.Error()) {
		text += "; " + e.Exit.Error()
	}
	if len(e.Last) == 0 || strings.Contains(text, e.Last[len(e.Last)-1]) {
		return text
	}
	return text + "; its last line: " + e.Last[len(e.Last)-1]
}

// Unwrap is what failed, and how the app ended.
func (e *StartError) Unwrap() []error {
	return slices.DeleteFunc([]error{e.Err, e.Exit}, func(err error) bool { return err == nil })
}

// tailLines is the end of an output as people see it.
func tailLines(text string) (last []string) {
	for line := range strings.Lines(text) {
		if line = report.Clean(line, maxLastLine); line != "" {
			last = append(last, line)
		}
	}
	return last[max(0, len(last)-lastLines):]
}

// invoked is one start of a unit.
type invoked struct {
	unit  string
	id    string    // of its invocation, 32 hex digits; "" = it did not get so far
	since time.Time // just before the start
	ended bool
	older bool // it began long before since: it was only reloaded
}

// journal returns the last lines that a start of a unit wrote, or where it wrote
// none and has ended, those of systemd about it. Where journald cannot be asked
// there are none.
//
// journald looks a process up when it reads its output. Where the process has ended
// by then, journald records the unit but often not the invocation: such lines are
// found by unit and time.
//
// journalctl is the only program that koboshi starts for its own use: there is no
// other reader of the journal without cgo.
func journal(ctx context.Context, start invoked) []string {
	if start.id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalLimit)
	defer cancel()
	since := fmt.Sprintf("--since=@%d.%06d", start.since.Unix(), start.since.Nanosecond()/1000)
	matches := []string{"_SYSTEMD_INVOCATION_ID=" + start.id}
	if start.older {
		matches = append(matches, since)
	}
	for try := range journalTries {
		if try > 0 && pace.Sleep(ctx, journalPause) != nil {
			return nil
		}
		last, err := readJournal(ctx, matches...)
		if len(last) > 0 || err != nil {
			return last
		}
	}
	last, _ := readJournal(ctx, since, "_SYSTEMD_UNIT="+start.unit)
	if len(last) == 0 && start.ended { // that it was started is no reason
		last, _ = readJournal(ctx, "INVOCATION_ID="+start.id) // its error was returned before
	}
	return last
}

func readJournal(ctx context.Context, matches ...string) ([]string, error) {
	text := &limited{most: maxTail}
	_, err := process.Group{}.Run(ctx, process.Command{
		Args: append([]string{"journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=" + strconv.Itoa(lastLines)}, matches...),
		Dir:  "/", Env: systemEnv(), Output: text,
	})
	return tailLines(text.String()), err
}

// limited keeps the last bytes that were written to it.
type limited struct {
	strings.Builder
	most int
}

// Write keeps about the last most bytes, and never fails.
func (l *limited) Write(p []byte) (int, error) {
	_, _ = l.Builder.Write(p[max(0, len(p)-l.most):])
	if kept := l.String(); len(kept) > 2*l.most {
		l.Reset()
		_, _ = l.WriteString(kept[len(kept)-l.most:])
	}
	return len(p), nil
}

// logged returns the last lines of a log file.
func logged(name string) []string {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	text := make([]byte, min(info.Size(), maxTail))
	n, _ := f.ReadAt(text, max(0, info.Size()-maxTail)) // as much as there is
	return tailLines(string(text[:n]))
}

// cutLog leaves the end of a log that has grown too large. What writes to it
// appends, and so goes on after that end.
func cutLog(name string) {
	f, err := os.OpenFile(filepath.Clean(name), os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // nothing depends on it
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() <= maxLog {
		return
	}
	end := make([]byte, maxTail)
	n, _ := f.ReadAt(end, info.Size()-maxTail)
	if f.Truncate(0) == nil {
		_, _ = f.Write(end[:n])
	}
}
