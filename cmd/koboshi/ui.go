package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/zap"

	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts/pace"
)

// Rules for messages: one line each, beginning with a lower-case
// letter and without a full stop. Errors are `koboshi: error: …`, and where
// something can be done, `koboshi: hint: …`. Results go to standard output,
// everything else to standard error. A person at a terminal gets progress and
// colour; a pipe or journal gets neither.

// ui owns every sentence that a user reads.
type ui struct {
	out, err io.Writer
	terminal bool // a person looks at standard error
	colour   bool
	journal  bool        // standard error goes to the journal
	log      *zap.Logger // for --log-format json, else nil
	lost     error       // why a result could not be written; a command goes on all the same
	drawn    int         // columns of the line of progress that stands on the terminal, 0 = none does
}

func newUI(out, err io.Writer) *ui {
	terminal := isTerminal(err)
	return &ui{
		out: out, err: err, terminal: terminal,
		colour:  terminal && !noColour(),
		journal: isJournal(err, os.Getenv("JOURNAL_STREAM")),
	}
}

// noColour reports whether the user wants none: see no-color.org.
func noColour() bool { return os.Getenv("NO_COLOR") != "" }

// printf writes a result.
func (u *ui) printf(format string, args ...any) {
	_, err := fmt.Fprintf(u.out, format, args...)
	if err != nil && u.lost == nil && !errors.Is(err, syscall.EPIPE) { // see ignoreSIGPIPE
		u.lost = fmt.Errorf("the output is not complete: %w", err)
	}
}

// results is where cobra writes help and completions, as printf does.
type results struct{ *ui }

func (r results) Write(p []byte) (int, error) {
	r.printf("%s", p)
	return len(p), nil
}

// printJSON writes a result for machines. A closed pipe is no error.
func (u *ui) printJSON(v any) error {
	data, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true))
	if err == nil {
		_, err = fmt.Fprintln(u.out, harmless(data))
	}
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// harmless is JSON with all characters escaped that a terminal might interpret or
// that are invisible: JSON itself leaves C1 controls and invisible characters as
// they are. They can only be inside of strings.
func harmless(data []byte) string {
	var out strings.Builder
	for _, r := range string(data) {
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			out.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		}
	}
	return out.String()
}

// ignoreSIGPIPE is for commands that change something: they finish even when the
// reader of their output is gone. All others end by SIGPIPE then. The signal is
// received by a handler, since a signal that is set to be ignored would be inherited
// by the processes that are started here.
func ignoreSIGPIPE() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// say writes a line that is no result.
func (u *ui) say(format string, args ...any) { u.tell("", format, args...) }

// tell writes a line with a priority, which the journal reads and removes
// (sd-daemon(3)).
func (u *ui) tell(priority, format string, args ...any) {
	u.clear()
	if !u.journal {
		priority = ""
	}
	_, _ = fmt.Fprintf(u.err, "%skoboshi: %s\n", priority, report.Redact(fmt.Sprintf(format, args...)))
}

// The priorities of errors and warnings.
const (
	asError   = "<3>"
	asWarning = "<4>"
)

// fail writes the one error line, and the hint where there is one.
func (u *ui) fail(err error) {
	e := failure.Explain(err)
	if u.log != nil {
		u.log.Error(e.Message, zap.Int("code", e.Code), zap.String("hint", e.Hint), zap.Strings("output", e.Output))
		return
	}
	u.appLines(e)
	u.tell(asError, "%s %s", u.paint(red, "error:"), e.Message)
	if e.Hint != "" {
		u.tell(asError, "%s %s", u.paint(yellow, "hint:"), e.Hint)
	}
}

// appLines writes what an app that did not come up has last written.
func (u *ui) appLines(e *report.Error) {
	for _, line := range e.Output {
		u.say("app: %s", line)
	}
}

// warn writes an error that does not end the run.
func (u *ui) warn(text string) {
	if u.log != nil {
		u.log.Warn(report.Redact(text))
		return
	}
	u.tell(asWarning, "%s %s", u.paint(yellow, "warning:"), text)
}

// summary is the last line of a run: which release is running, and why.
func (u *ui) summary(r report.Report) {
	if u.log != nil {
		u.log.With(metricsOf(r)...).Info("done", zap.String("verdict", string(r.Verdict)),
			zap.Any("release", r.Release), zap.Any("target", r.Target), zap.Any("rollout", r.Rollout), zap.Int64("ms", r.MS))
		return
	}
	took := report.Duration(time.Duration(r.MS) * time.Millisecond)
	u.say("%s (%s, %s)%s", whatServes(r), u.paint(verdictColour(r.Verdict), string(r.Verdict)), took, aside(r))
}

// whatServes is the running release as far as the run has seen it: one that is
// current but did not pass the gate may be up or not.
func whatServes(r report.Report) string {
	switch {
	case r.Verdict == report.Drained && r.Drain == nil:
		return r.App + " is stopped, its node id released"
	case r.Verdict == report.Drained:
		return r.App + " is out of service: " + r.Drain.Reason
	case r.Unseen:
		return r.App + ": it cannot be seen which release is current"
	case r.Release == nil && r.Command == "prebake":
		return r.App + ": nothing is baked in"
	case r.Release == nil:
		return r.App + ": no release is running"
	case r.Command == "prebake":
		return r.App + " " + r.Release.Version + " is baked in"
	case !r.Release.Healthy:
		return r.App + " " + r.Release.Version + " is current"
	}
	return r.App + " " + r.Release.Version + " is running"
}

// aside is the target where another release is running, and the result of the
// lifecycle action.
func aside(r report.Report) string {
	var text string
	if r.Target != nil && r.Release != nil && r.Target.ManifestSHA256 != r.Release.ManifestSHA256 {
		text = ", wanted " + r.Target.Version // by --version or rollback
		if r.Target.Sequence != 0 && r.Command != "rollback" {
			text = ", " + r.Pointed()
		}
	}
	if r.Lifecycle.Result != "" {
		text += fmt.Sprintf(", lifecycle hook %s: %s", r.Lifecycle.Hook, r.Lifecycle.Result)
	}
	if r.Stack.Result != "" {
		text += fmt.Sprintf(", stack %s/%s: %s", r.Stack.Name, r.Stack.Resource, r.Stack.Result)
	}
	return text
}

// count is a number with its noun: "1 entry", "2 entries".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

type paint string

const (
	red    paint = "31"
	green  paint = "32"
	yellow paint = "33"
	dim    paint = "2"
)

func verdictColour(v report.Verdict) paint {
	switch v {
	case report.Fresh, report.Current:
		return green
	case report.Failed:
		return red
	}
	return yellow
}

func (u *ui) paint(p paint, text string) string {
	if !u.colour {
		return text
	}
	return "\x1b[" + string(p) + "m" + text + "\x1b[0m"
}

// notHealthyYet prints why an app that was started does not pass its gate yet.
func (u *ui) notHealthyYet(why string) {
	if u.log != nil {
		u.log.Info("not healthy yet", zap.String("step", "gate"), zap.String("error", why))
		return
	}
	u.say("gate: not healthy yet: %s", why)
}

// hookLine prints a line of a hook's output.
func (u *ui) hookLine(h service.Hook, line string) {
	if u.log != nil {
		u.log.Info("hook output", zap.String("hook", h.Name), zap.String("version", h.Version), zap.String("line", line))
		return
	}
	u.say("%s: %s", h.Name, line)
}

// some are the first of a list.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

// waitedFor prints what is waited for, where that is due.
func (u *ui) waitedFor(told *pace.Told, why string) {
	if told.Due(why) {
		u.say("%s", why)
	}
}
