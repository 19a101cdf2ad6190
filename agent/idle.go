package agent

import (
	"context"
	"fmt"
	"time"

	"koboshi/agent/converge"
	"koboshi/agent/failure"
	"koboshi/agent/health"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// idle reports whether a look at the channel finds nothing to do, and how it ends
// then: the machine is held, or has what the channel points to, or that has
// failed here before.
func (r *run) idle(ctx context.Context) (out converge.Outcome, idle bool) {
	if reason, held := r.held(); held {
		_, had, err := r.before()
		r.report.Reason = reason
		return converge.Outcome{Verdict: report.Held}, had && err == nil
	}
	if r.Unchanged(ctx) {
		return r.Reached(), true
	}
	if err := r.rejected(ctx); err != nil {
		return converge.Failed(ctx, err), true
	}
	return out, false
}

// rest ends a look that found nothing to do. It writes to no disk, unless a health record
// was not written before: the reports that are there stay the last ones.
func (r *run) rest(out converge.Outcome) (report.Report, error) {
	r.describe(out)
	r.reportHealth(out)
	r.noteLook()
	return r.report, out.Err
}

// noteLook leaves for operators when the channel was looked at, in a place that does
// not survive a reboot.
func (r *run) noteLook() {
	look := state.Look{At: r.Now().UTC().Truncate(time.Second), Verdict: r.report.Verdict}
	if r.report.Error != nil {
		look.Code = r.report.Error.Code
	}
	if err := look.Save(r.dirs.run); err != nil {
		r.warn("that the channel was looked at could not be recorded: %v", err)
	}
}

// rejections are failures of a release itself, or of this machine with it: it would
// fail again, and the app would be restarted for it, or all of it be fetched.
var rejections = map[failure.Code]error{
	failure.Integrity: artifacts.ErrIntegrity,
	failure.Archive:   tree.ErrRefused,
	failure.Activate:  service.ErrActivate,
	failure.Unhealthy: health.ErrUnhealthy,
}

// noteRejected remembers what failed on this live machine, until something that the
// channel points to has succeeded. What cannot be remembered is tried once more.
func (r *run) noteRejected(out converge.Outcome) {
	t := r.Target()
	if t == nil || t.Pointer == nil {
		return
	}
	code := failure.CodeOf(out.Err)
	switch sequence := t.Pointer.Sequence(); {
	case rejections[code] != nil:
		r.state.Rejected = &state.Rejected{
			Sequence: state.Sequence{Number: sequence.Number, Payload: sequence.Payload}, Manifest: t.Manifest.SHA256(),
			Version: t.Manifest.Manifest().Version, Code: int(code), Message: failure.Explain(out.Err).Message, At: r.Now().UTC().Truncate(time.Second),
		}
	case out.Err == nil && out.Cause == nil && r.state.Rejected != nil:
		r.state.Rejected = nil
	default:
		return
	}
	if err := r.saveState(); err != nil {
		r.warn("%v", err)
	}
}

// stillPointsTo reports whether the pointer is the one whose release failed here, or
// one of a rollout that has the same for this instance.
func (r *run) stillPointsTo(pointer *artifacts.VerifiedPointer, was *state.Rejected) bool {
	if pointer.Sequence() == (artifacts.Sequence{Number: was.Sequence.Number, Payload: was.Sequence.Payload}) {
		return true
	}
	return pointer.Pointer().Next != nil && pointer.Choose(r.Instance.ID).ManifestSHA256 == was.Manifest
}

// rejected is the error of a channel that still points to what failed here before,
// while the release before it is up. Only an operator, a reboot or another promotion
// has it tried again; a step of a rollout is none, where it changes nothing here.
func (r *run) rejected(ctx context.Context) error {
	before, had, err := r.before()
	was := r.state.Rejected
	if err != nil || !had || was == nil || !r.Up(before) {
		return nil //nolint:nilerr // the run itself reports it
	}
	pointer, err := r.Peek(ctx)
	if err != nil || !r.stillPointsTo(pointer, was) {
		return nil //nolint:nilerr // the run itself reports it
	}
	why := fmt.Errorf("%s failed here at %s and is not tried again by itself: %s", was.Version, was.At.Format(time.RFC3339), was.Message)
	return failure.WithHint(failure.Mark(why, rejections[failure.Code(was.Code)]), "promote another release, or run koboshi sync to try this one again; koboshi history has the first failure")
}
