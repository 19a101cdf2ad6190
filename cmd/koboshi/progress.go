package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"koboshi/agent/report"
	"koboshi/systemd"
)

// setLogFormat chooses how a run is shown: "" is progress at a terminal and
// lines elsewhere.
func (u *ui) setLogFormat(format string) error {
	switch format {
	case "":
	case "console":
		u.terminal, u.colour = false, false
	case "json":
		u.terminal, u.colour = false, false
		u.log = newLogger(u)
	default:
		return usage(fmt.Errorf("--log-format %q, want json or console", format))
	}
	return nil
}

// newLogger writes JSON to standard error, an object a line.
func newLogger(u *ui) *zap.Logger {
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", MessageKey: "msg",
		EncodeTime: zapcore.RFC3339NanoTimeEncoder, EncodeLevel: zapcore.LowercaseLevelEncoder,
	})
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(u.err), zap.InfoLevel))
}

// observe shows every step of a run: people see progress, the journal one
// line a step, and systemd what the start is waiting for.
func (u *ui) observe(e report.Event) {
	switch {
	case u.log != nil:
		u.logStep(e)
	case u.terminal:
		u.drawStep(e)
	case e.Kind == report.Finished:
		u.say("%s", stepText(e.Step))
	}
	if e.Kind == report.Started {
		_ = systemd.Notifier{}.Status(e.Step.Name) // the run works without systemd's status line
	}
}

// waits shows the duration of a step that only waits.
func (u *ui) waits(step string, d time.Duration) {
	if u.log != nil {
		u.log.Info("waiting", zap.String("step", step), zap.Int64("ms", d.Milliseconds()))
		return
	}
	u.say("%s: waiting %s, this instance's part", step, report.Duration(d))
}

func (u *ui) logStep(e report.Event) {
	if e.Kind != report.Finished {
		return
	}
	fields := []zap.Field{zap.String("step", e.Step.Name), zap.Int64("ms", e.Step.MS)}
	if e.Step.Bytes > 0 {
		fields = append(fields, zap.Int64("bytes", e.Step.Bytes))
	}
	if e.Step.Attempts > 1 {
		fields = append(fields, zap.Int("attempts", e.Step.Attempts))
	}
	if e.Step.Error != "" {
		u.log.Warn("step failed", append(fields, zap.String("error", e.Step.Error))...)
		return
	}
	u.log.Info("step", fields...)
}

// stepText is a step that is over, as a line of the journal.
func stepText(s report.Step) string {
	took := time.Duration(s.MS) * time.Millisecond
	text := s.Name + ": " + report.Duration(took)
	if s.Bytes > 0 {
		text += ", " + moved(s, took)
	}
	if tries := s.Tries(); tries != "" {
		text += ", " + tries
	}
	if s.Error != "" {
		text += ", failed"
	}
	return text
}

func (u *ui) drawStep(e report.Event) {
	took := time.Duration(e.Step.MS) * time.Millisecond
	u.clear()
	switch {
	case e.Kind != report.Finished:
		name, room := fmt.Sprintf("  %-10s ", e.Step.Name), u.room()
		u.draw(name + remaining(e, took, room-utf8.RuneCountInString(name)))
	case e.Step.Error != "":
		_, _ = fmt.Fprintf(u.err, "%s %-10s %8s\n", u.paint(red, "✗"), e.Step.Name, report.Duration(took))
	default:
		_, _ = fmt.Fprintf(u.err, "%s %-10s %8s  %s\n", u.paint(green, "✓"), e.Step.Name, report.Duration(took), u.paint(dim, moved(e.Step, took)))
	}
}

// remaining is the progress of a step: bytes, rate and time left, as much of it as
// there is room for. On a narrow terminal the time left is dropped last.
func remaining(e report.Event, took time.Duration, room int) string {
	if e.Step.Bytes == 0 || took <= 0 {
		return "…"
	}
	done, rate := fmt.Sprintf("%8s", report.Bytes(e.Step.Bytes)), "  "+report.Rate(e.Step.Bytes, took)
	if e.Total <= e.Step.Bytes {
		return done + rate
	}
	whole, left := " of "+report.Bytes(e.Total), "  "+timeLeft(e, took)+" left"
	for _, text := range []string{done + whole + rate + left, done + whole + left, done + left} {
		if room <= 0 || utf8.RuneCountInString(text) < room {
			return text
		}
	}
	return strings.TrimSpace(left)
}

// timeLeft is an estimate, so it is in whole seconds.
func timeLeft(e report.Event, took time.Duration) string {
	left := time.Duration(float64(took) * float64(e.Total-e.Step.Bytes) / float64(e.Step.Bytes))
	if seconds := int(left.Seconds()) + 1; seconds < 60 {
		return strconv.Itoa(seconds) + " s"
	}
	return report.Duration(left)
}

func moved(s report.Step, took time.Duration) string {
	if s.Bytes == 0 {
		return ""
	}
	return report.Bytes(s.Bytes) + " at " + report.Rate(s.Bytes, took)
}

// room is how long a line may be that is drawn.
func (u *ui) room() int {
	return columns(u.err) - len("^C") // which a terminal writes behind it
}

// draw shows a line, as much of it as there is room for, until [ui.clear].
func (u *ui) draw(text string) {
	line := cut(text, u.room())
	_, _ = fmt.Fprint(u.err, line)
	u.drawn = utf8.RuneCountInString(line)
}

// clear removes the line of progress before something else is written. On a
// terminal that has become narrower it takes several rows.
func (u *ui) clear() {
	if u.drawn == 0 {
		return
	}
	if width := columns(u.err); width > 0 && u.drawn > width {
		_, _ = fmt.Fprintf(u.err, "\x1b[%dA\r\x1b[J", (u.drawn-1)/width)
	}
	_, _ = fmt.Fprint(u.err, "\r\x1b[K")
	u.drawn = 0
}

// reportEvery is how often long work is reported where no terminal shows it, so
// that a CI job does not look dead.
const reportEvery = 10 * time.Second

// transfer is the progress of something that is not a step of a run.
func (u *ui) transfer(name string) func(done, total int64) {
	began, last, every := time.Now(), time.Time{}, 100*time.Millisecond
	if !u.terminal {
		last, every = began, reportEvery
	}
	return func(done, total int64) {
		now := time.Now()
		if now.Sub(last) < every {
			return
		}
		last = now
		e := report.Event{Kind: report.Progress, Total: total, Step: report.Step{Name: name, Bytes: done, MS: now.Sub(began).Milliseconds()}}
		if u.terminal {
			u.drawStep(e)
			return
		}
		u.stillRuns(e)
	}
}

// requests is the progress of many requests, at a terminal.
func (u *ui) requests() func(done, total int) {
	last := time.Time{}
	return func(done, total int) {
		now := time.Now()
		if !u.terminal || now.Sub(last) < 100*time.Millisecond && done < total {
			return
		}
		last = now
		u.clear()
		if done < total {
			u.draw(fmt.Sprintf("  %d of %d requests", done, total))
		}
	}
}

// stillRuns is the progress of long work as a line.
func (u *ui) stillRuns(e report.Event) {
	if u.log != nil {
		u.log.Info("progress", zap.String("step", e.Step.Name), zap.Int64("ms", e.Step.MS), zap.Int64("bytes", e.Step.Bytes), zap.Int64("total", e.Total))
		return
	}
	took := time.Duration(e.Step.MS) * time.Millisecond
	if e.Step.Bytes == 0 {
		u.say("%s: %s so far", e.Step.Name, report.Duration(took))
		return
	}
	u.say("%s: %s", e.Step.Name, strings.ReplaceAll(strings.TrimSpace(remaining(e, took, 0)), "  ", ", "))
}
