package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koboshi/agent/census"
	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/failure"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/state"
)

// recordTime bounds the writing of a health record, all its repetitions included. What
// fails is written by the next run.
const recordTime = 10 * time.Second

// recordAgain is after how long a record is written that has not changed, so that a
// lifecycle rule of the bucket expires those of instances that are gone.
const recordAgain = 30 * 24 * time.Hour

// reportHealth writes this instance's health record where that has changed. It comes when
// the lifecycle action is completed, and systemd, the group and the app wait for nothing
// any more. What fails is a warning.
func (r *run) reportHealth(out converge.Outcome) {
	if !r.agent.Files.Fleet.Report || r.cloud.Records == nil || r.Instance.ID == "" {
		return
	}
	rec, ok := r.record(out)
	if !ok {
		return
	}
	is := &state.Reported{Key: rec.Subject().Key(), Content: contentOf(rec), At: r.Now().UTC().Truncate(time.Second)}
	was := r.state.Reported
	if was != nil && was.Key == is.Key && was.Content == is.Content && is.At.Sub(was.At).Abs() < recordAgain {
		return
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), recordTime, errRecordLate)
	defer cancel()
	err := r.Steps.Do(ctx, "record", func(ctx context.Context, _ *report.Span) error {
		err := census.Put(ctx, r.cloud.Records, rec)
		return converge.Because(context.Cause(ctx), err)
	})
	if err != nil {
		r.warn("the health record could not be written, and the next run tries again: %v", err)
		return
	}
	r.state.Reported = is
	if r.unlock == nil { // the state may be another run's by now
		return
	}
	if err := r.saveState(); err != nil {
		r.warn("that the health record was written could not be recorded: %v", err)
	}
}

var errRecordLate = fmt.Errorf("no success within %s", recordTime)

// contentOf is what of a record makes it another one, beside its key. Fresh and current
// both say that the instance has what it should.
func contentOf(rec census.Record) string {
	verdict, node, boot := rec.Verdict, "", 0
	if verdict == report.Fresh {
		verdict = report.Current
	}
	if rec.NodeID != nil {
		node = fmt.Sprintf(" node %d", *rec.NodeID)
	}
	if rec.Boot != nil {
		boot = rec.Boot.Code
	}
	return fmt.Sprintf("%s %d boot %d%s", verdict, rec.Code, boot, node)
}

// record is what the run has to say; false where it has nothing to say of any release.
func (r *run) record(out converge.Outcome) (rec census.Record, ok bool) {
	about, s := r.subject(out)
	if about == nil {
		return rec, false
	}
	rec = census.Record{
		App: r.Config.App, Channel: r.Config.Channel, Instance: r.Instance.ID, Version: about.Version, Sequence: about.Sequence,
		State: s, Verdict: out.Verdict, NodeID: r.report.NodeID, Group: r.Config.Lifecycle.Group, AZ: r.Instance.AZ,
		Agent: r.agent.Version, At: r.Now().UTC().Truncate(time.Second), Boot: r.lastBoot(),
	}
	if rec.ManifestSHA256.UnmarshalText([]byte(about.ManifestSHA256)) != nil {
		return rec, false
	}
	if e := r.report.Error; e != nil {
		rec.Code, rec.Why = e.Code, e.Message
	}
	if s == census.Failed && rec.Code == 0 {
		rec.Code, rec.Why = int(failure.Unhealthy), "it is not healthy now"
	}
	if now := r.report.Release; now != nil && s != census.Gone {
		rec.Since = now.ActivatedAt
		if now.ManifestSHA256 != about.ManifestSHA256 && now.Healthy {
			rec.Running = now.Version
		}
	}
	return rec, true
}

// subject is the release that the run says something about, nil = none, and what. A target
// that is unavailable has not failed: then it is the release that runs.
func (r *run) subject(out converge.Outcome) (*report.Release, census.State) {
	now, target := r.report.Release, r.report.Target
	code := failure.CodeOf(out.Err)
	unavailable := out.Verdict == report.Stale && failure.Kind(cmp.Or(out.Err, out.Cause)) == config.Unavailable
	switch {
	case slices.Contains([]failure.Code{failure.Interrupted, failure.Locked}, code) || r.pooled || r.report.Command == "prebake":
		return nil, ""
	case out.Verdict == report.Drained:
		if d := r.report.Drain; d != nil && d.Reason == string(notice.Shutdown) {
			return nil, "" // it may be a reboot
		}
		return now, census.Gone
	case unavailable || out.Err == nil && out.Verdict != report.Stale:
		if now == nil || now.Healthy {
			return now, census.OK
		}
		return now, census.Failed
	case errors.Is(out.Err, errTerminating):
		return nil, ""
	}
	return target, census.Failed
}

// lastBoot is how the last boot ended, nil where that is not known.
func (r *run) lastBoot() *census.Boot {
	last := r.report
	if last.Command != "boot" {
		if r.dirs.state == nil {
			return nil
		}
		var err error
		if last, err = report.Load(r.dirs.state, "boot"); err != nil || last.Instance.ID != r.Instance.ID {
			return nil
		}
	}
	boot := &census.Boot{MS: max(0, last.MS)}
	if last.Error != nil && last.Verdict != report.Stale {
		boot.Code = last.Error.Code
	}
	return boot
}
