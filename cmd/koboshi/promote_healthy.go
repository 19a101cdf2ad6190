package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	manifest, err := publish.ReadManifest(ctx, b, o.app, o.version)
	if err == nil {
		err = manifest.Err
	}
	if err != nil {
		return unknownVersion(ctx, err, o.app, o.version, b)
	}
	release := census.Release{Channel: cmp.Or(o.healthy.from, o.channel), Version: o.version, Manifest: manifest.SHA256}
	waiting, cancel := context.WithTimeout(ctx, o.healthy.wait)
	defer cancel()
	var told pace.Told
	for {
		h, err := o.healthy.look(ctx, b, o.app, release)
		switch {
		case err != nil:
			return err
		case h.enough():
			c.ui.waitedFor(&told, h.String())
			return nil
		case waiting.Err() != nil && ctx.Err() == nil:
			return h.tooFew(o.channel)
		}
		c.ui.waitedFor(&told, h.String())
		if err := pace.Sleep(waiting, lookEvery); err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// healthy is on how many instances a release is healthy, and what was wanted.
type healthy struct {
	healthyFlags
	census.Passed
	release census.Release
	silent  bool // no instance has written a record at all
}

// look looks once. A failure is an error at once: waiting cures none.
func (f healthyFlags) look(ctx context.Context, b bucket.Bucket, app string, r census.Release) (healthy, error) {
	l, err := survey(ctx, b, app, r.Channel)
	if err != nil {
		return healthy{}, err
	}
	h := healthy{f, l.Judge(r, f.since, l.Date), r, len(l.Newest) == 0}
	if h.silent && f.from != "" { // a name that is misspelt is not worth waiting for
		if p, err := publish.PointerOf(ctx, b, app, f.from, artifacts.Trust{}); errors.Is(errors.Join(err, p.Err), bucket.ErrNotFound) {
			missing := failure.Mark(fmt.Errorf("--from-channel: %s has no channel %s", app, f.from), bucket.ErrNotFound)
			return h, failure.WithHint(missing, "koboshi releases lists the channels")
		}
	}
	if len(h.Failed) > 0 {
		found := failure.Mark(fmt.Errorf("%s failed on %s of channel %s: %s", r.Version, count(len(h.Failed), "instance", "instances"), r.Channel, some(h.Bad())), failure.ErrFound)
		first := h.Failed[0]
		return h, failure.WithHint(found, fmt.Sprintf("koboshi fleet --channel %s shows why; a fixed release needs a version of its own, and promote --abort drops a rollout; where %s, which failed at %s, is gone, delete its record once you know why: %s",
			r.Channel, first.Instance, first.Modified.Format(time.RFC3339), first.Key()))
	}
	return h, nil
}

func (h healthy) enough() bool { return h.Good >= h.least }

// String is how it stands, for people.
func (h healthy) String() string {
	text := fmt.Sprintf("%s is healthy on %s of channel %s", h.release.Version, count(h.Good, "instance", "instances"), h.release.Channel)
	if h.since > 0 {
		text += " for " + report.Duration(h.since)
	}
	text += fmt.Sprintf(", want %d", h.least)
	if h.Young > 0 {
		text += fmt.Sprintf("; on %d for less", h.Young)
	}
	if h.silent {
		text += "; no instance has written a record"
	}
	return text
}

// tooFew is the refusal, with a hint that fits.
func (h healthy) tooFew(channel string) error {
	hint := "--wait 1h waits for them; koboshi rollout status shows how far the rollout is; --min asks for fewer"
	switch {
	case h.silent:
		hint = noRecordsHint
	case h.Good+h.Young == 0 && h.release.Channel == channel:
		hint = "the first step of a rollout has nothing to require: leave --require-healthy out, or take another channel's with --from-channel"
	}
	return failure.WithHint(failure.Mark(errors.New(h.String()), failure.ErrFound), hint)
}
