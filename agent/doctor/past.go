package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"koboshi/agent/report"
)

// checkLastRun explains the last verdict: what happened, why, how the lifecycle
// action was completed, and what was strange.
func checkLastRun(f *facts) []Finding {
	r := f.report.value
	switch {
	case errors.Is(f.report.err, fs.ErrNotExist):
		return warning("koboshi boot runs at the next start, koboshi sync runs now", "koboshi has not run here yet")
	case f.report.err != nil:
		return unknown(f.report.err)
	case f.who.err == nil && r.Instance.ID != "" && r.Instance.ID != f.who.value.ID:
		return warning("the report came with the image; koboshi boot writes one of this instance", "the last run here was on another instance, %s", r.Instance.ID)
	}
	out := []Finding{{Level: gravity(r.Verdict), Text: verdictText(r)}}
	if r.Error != nil && r.Verdict == report.Drained {
		out[0].Level = Warn
	}
	if r.Error != nil {
		out[0].Text += "; error: " + r.Error.Message
		out[0].Hint = r.Error.Hint
	}
	if step, ok := slowest(r); ok {
		out = append(out, fine("most of the time was spent in %s: %s of %s", step.Name, milliseconds(step.MS), milliseconds(r.MS))...)
	}
	for _, w := range r.Warnings {
		out = append(out, warning("", "its warning: %s", w)...)
	}
	return out
}

func gravity(v report.Verdict) Level {
	switch v {
	case report.Fresh, report.Current, report.Drained:
		return OK
	case report.Stale, report.Held:
		return Warn
	}
	return Fail
}

// verdictText is the last run in a sentence.
func verdictText(r report.Report) string {
	text := fmt.Sprintf("%s of %s %s", r.Command, r.Started.Format(time.RFC3339), verdictMeans(r))
	if r.Lifecycle.Result != "" {
		text += fmt.Sprintf("; lifecycle hook %s: %s", r.Lifecycle.Hook, r.Lifecycle.Result)
	}
	return text
}

func verdictMeans(r report.Report) string {
	running, target := name(r.Release), name(r.Target)
	switch r.Verdict {
	case report.Fresh:
		return "installed " + running + ", which passed the gate"
	case report.Current:
		return "found " + running + " installed, as the channel wants, and healthy"
	case report.Stale:
		return "could not install what the channel points to (" + target + "); " + running + " keeps running"
	case report.Drained:
		return "took the app out of service: " + drainReason(r)
	case report.Held:
		return "kept " + running + " running, since it is held"
	}
	if r.Release == nil {
		return "failed; no release is running"
	}
	return "failed to bring up " + target + "; " + running + " is current"
}

func name(r *report.Release) string {
	if r == nil {
		return "an unknown release"
	}
	return r.Version
}

func drainReason(r report.Report) string {
	if r.Drain == nil {
		return "for an unknown reason"
	}
	return r.Drain.Reason
}

// resting is why nothing is to run here, "" where something is.
func (f *facts) resting() string {
	r := f.report.value
	if f.report.err == nil && r.Verdict == report.Drained && r.Instance.ID == f.who.value.ID {
		return "drained (" + drainReason(r) + "); where that is not too late, koboshi drain --undo starts it"
	}
	if done := f.state.value.For(f.who.value.ID).Signalled; done != nil && done.Pooled {
		return "in a warm pool, where nothing is started"
	}
	return ""
}

// slowest is the step that took more than half of a run that people noticed.
func slowest(r report.Report) (report.Step, bool) {
	if len(r.Steps) == 0 || r.MS < 10_000 {
		return report.Step{}, false
	}
	step := slices.MaxFunc(r.Steps, func(a, b report.Step) int { return int(a.MS - b.MS) })
	return step, step.MS > r.MS/2
}

func milliseconds(n int64) string { return report.Duration(time.Duration(n) * time.Millisecond) }

// checkHold reports a hold by an operator or by tag.
func checkHold(f *facts) []Finding {
	if f.config.HoldTag != "" {
		return warning("remove the tag koboshi:hold to let syncs update it again; a hold never counts at launch", "a tag holds this instance at its release: %s", f.config.HoldTag)
	}
	switch hold := f.state.value.For(f.who.value.ID).Hold; {
	case f.state.err != nil && !errors.Is(f.state.err, fs.ErrNotExist):
		return unknown(f.state.err)
	case hold.Active(f.Now):
		return warning("syncs leave it alone until the hold ends; a hold never counts at launch", "%s holds this instance at its release%s: %s", hold.By, until(hold.Until), hold.Reason)
	}
	return fine("no hold keeps this instance at its release")
}

func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + t.UTC().Format(time.RFC3339)
}
