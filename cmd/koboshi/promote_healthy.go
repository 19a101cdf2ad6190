package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/census"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/pace"
	"koboshi/artifacts/publish"
)

// healthyFlags say what has to be healthy before a promotion.
type healthyFlags struct {
	required    bool
	least       int
	since, wait time.Duration
	from        string
}

// dependent are the flags that go with --require-healthy only.
var dependent = []string{"min", "healthy-for", "wait", "from-channel"}

func (f *healthyFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.required, "require-healthy", false, "only where instances report the version as healthy, and none as failed; see koboshi help release")
	cmd.Flags().IntVar(&f.least, "min", 3, "with --require-healthy: at least so `many` instances")
	cmd.Flags().DurationVar(&f.since, "healthy-for", 10*time.Minute, "with --require-healthy: each for this `time`, by the store's clock")
	cmd.Flags().DurationVar(&f.wait, "wait", 0, "with --require-healthy: wait this `time` for them, such as 1h")
	cmd.Flags().StringVar(&f.from, "from-channel", "", "with --require-healthy: the instances of this `channel`, such as canary; default: the one that is promoted")
	alsoCheck(cmd, f.check)
}

func (f *healthyFlags) check(cmd *cobra.Command) error {
	switch given := given(cmd, dependent); {
	case !f.required && len(given) > 0:
		return fmt.Errorf("%s: --require-healthy is missing", list(given, "and"))
	case f.least < 1 || f.since < 0 || f.wait < 0:
		return errors.New("want --min of at least 1, and --healthy-for and --wait of at least 0")
	case f.from != "":
		if err := artifacts.CheckName(f.from); err != nil {
			return fmt.Errorf("--from-channel: %w", err)
		}
	}
	return nil
}

// lookEvery is how often the records are listed while they are waited for.
const lookEvery = 10 * time.Second

// requireHealthy returns once enough instances report the release as healthy. Nothing was
// signed or written before.
func (c *cli) requireHealthy(ctx context.Context, b bucket.Bucket, o promoteOptions) error {
	if !o.healthy.required {
		return nil
	}
	channel := o.channel
	if o.healthy.from != "" {
		channel = o.healthy.from
	}
	manifest, err := publish.ReadManifest(ctx, b, o.app, o.version)
	if err == nil {
		err = manifest.Err
	}
	if err != nil {
		return unknownVersion(ctx, err, o.version, b)
	}
	release := census.Release{Channel: channel, Version: o.version, Manifest: manifest.SHA256}
	waiting, cancel := context.WithTimeout(ctx, o.healthy.wait)
	defer cancel()
	said := ""
	for {
		enough, why, err := o.healthy.judge(ctx, b, release)
		switch {
		case err != nil:
			return err
		case enough:
			c.ui.waitedFor(&said, why)
			return nil
		case waiting.Err() != nil:
			return errors.Join(o.healthy.tooFew(why, o.channel, release), ctx.Err())
		}
		c.ui.waitedFor(&said, why)
		if err := pace.Sleep(waiting, lookEvery); err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// judge looks once. A failure is an error at once: waiting cures none.
func (f healthyFlags) judge(ctx context.Context, b bucket.Bucket, r census.Release) (enough bool, why string, err error) {
	l, err := census.Survey(ctx, b, r.Channel)
	if err != nil {
		return false, "", tooMany(fmt.Errorf("list the health records of %s: %w", r.Channel, err))
	}
	now := l.Date
	if now.IsZero() {
		now = time.Now()
	}
	p := l.Judge(r, f.since, now)
	if len(p.Failed) > 0 {
		found := failure.Mark(fmt.Errorf("%s failed on %s of channel %s: %s", r.Version, count(len(p.Failed), "instance", "instances"), r.Channel, some(p.Failed)), failure.ErrFound)
		return false, "", failure.WithHint(found, "koboshi fleet --channel "+r.Channel+" shows why; a fixed release needs a version of its own, and promote --abort drops a rollout")
	}
	why = fmt.Sprintf("%s is healthy on %s of channel %s", r.Version, count(p.Good, "instance", "instances"), r.Channel)
	if f.since > 0 {
		why += " for " + report.Duration(f.since)
	}
	why += fmt.Sprintf(", want %d", f.least)
	if p.Young > 0 {
		why += fmt.Sprintf("; on %d for less", p.Young)
	}
	if len(l.Newest) == 0 {
		why += noRecords
	}
	return p.Good >= f.least, why, nil
}

const noRecords = "; no instance has written a record"

// tooFew is the refusal, with a hint that fits.
func (f healthyFlags) tooFew(why, channel string, r census.Release) error {
	hint := "--wait 1h waits for them; koboshi rollout status shows how far the rollout is; --min asks for fewer"
	switch {
	case strings.HasSuffix(why, noRecords):
		hint = noRecordsHint
	case strings.Contains(why, " on 0 instances ") && !strings.Contains(why, "for less") && r.Channel == channel:
		hint = "the first step of a rollout has nothing to require: leave --require-healthy out, or take another channel's with --from-channel"
	}
	return failure.WithHint(failure.Mark(errors.New(why), failure.ErrFound), hint)
}

// some are the first of a list.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

// waitedFor shows what is waited for: at a terminal as a line that changes, elsewhere
// once for each change.
func (u *ui) waitedFor(said *string, why string) {
	if *said == why {
		return
	}
	*said = why
	u.say("%s", why)
}
