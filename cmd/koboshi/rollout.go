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

func (c *cli) rollout() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rollout",
		Short:   "show how far a rollout is, and drop one that fails",
		Long:    "Show how far the rollout of a channel is, by the health records of its instances, and drop one that\nfails. It is begun, widened and ended by koboshi promote --percent. See koboshi help release.",
		GroupID: releaseSide,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return usage(errors.New("which of status and watch?")) },
	}
	cmd.AddCommand(c.rolloutStatus(), c.rolloutWatch())
	return cmd
}

type rolloutOptions struct {
	fleetFlags
	watch, abort bool
	limit        time.Duration
}

func (o *rolloutOptions) add(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&o.channel, "channel", "", "the `channel`, such as stable")
	o.fleetFlags.add(cmd)
	cmd.GroupID = ""
	return required(cmd, "channel")
}

func (c *cli) rolloutStatus() *cobra.Command {
	var o rolloutOptions
	cmd := &cobra.Command{
		Use:   "status --source S --app A --channel C",
		Short: "show how many instances are in, healthy, failed and unknown",
		Long: "Show how many of a channel's instances are in its rollout, and on how many of these the release is\n" +
			"healthy, has failed, or is not known to have arrived. Without --group the instances are those that\n" +
			"have written a health record; with it, exactly the group's. Where nothing is rolled out it is the\n" +
			"release that the channel points to, for all instances." +
			exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Interrupted),
		Example: "  koboshi rollout status --source s3://acme-releases/apps --app web --channel stable --group web --watch",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runRolloutStatus(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.watch, "watch", false, "show it again every two seconds")
	o.add(cmd)
	excludes(cmd, "watch", "json")
	return cmd
}

func (c *cli) runRolloutStatus(ctx context.Context, o rolloutOptions) error {
	b, trust, err := o.openFleet(ctx)
	if err != nil {
		return err
	}
	show := func() error {
		r, err := c.progressOf(ctx, b, trust, o)
		switch {
		case err != nil:
			return err
		case o.json:
			return c.ui.printJSON(r)
		}
		c.ui.showRollout(r, c.ui.width())
		return nil
	}
	if o.watch {
		return c.ui.again(ctx, show)
	}
	return show()
}

// progressOf asks how far the channel's rollout is.
func (c *cli) progressOf(ctx context.Context, b bucket.Bucket, trust artifacts.Trust, o rolloutOptions) (r census.Rollout, err error) {
	pointers, err := o.pointers(ctx, b, trust)
	if err != nil {
		return r, err
	}
	p, found := pointers[o.channel]
	if !found {
		missing := failure.Mark(fmt.Errorf("channel %s of %s has no pointer that can be read", o.channel, o.app), bucket.ErrNotFound)
		return r, failure.WithHint(missing, "koboshi releases lists the channels, and what is wrong with them")
	}
	members, err := o.members(ctx)
	if err != nil {
		return r, err
	}
	l, err := o.survey(ctx, b, members)
	if err != nil {
		return r, err
	}
	return l.Progress(p, members, l.Date), nil
}

// A bar has so many columns, fewer where there is no room for that, and none where it would
// have less than minBar.
const (
	maxBar = 30
	minBar = 5
)

func (u *ui) showRollout(r census.Rollout, columns int) {
	if r.From == "" {
		u.printf("channel %s: %s for all instances, no rollout\n", r.Channel, r.Version)
	} else {
		u.printf("channel %s: %s for %d %% of the instances, the others stay at %s\n", r.Channel, r.Version, r.Percent, r.From)
	}
	others, note := max(0, r.Failed+r.OK+r.Unknown-r.In), ""
	if others > 0 {
		note = fmt.Sprintf("instances, %d gone or not in", others)
	}
	u.bar(columns, "in", r.In, r.Instances, dim, "instances")
	u.bar(columns, "ok", r.OK, r.In, green, "")
	u.bar(columns, "failed", r.Failed, r.In+others, red, note)
	u.bar(columns, "unknown", r.Unknown, r.In, yellow, "no record of it")
	if r.Failed > 0 {
		u.printf("failed on %s\n", some(r.Bad))
	}
	if r.Instances == 0 {
		u.printf("no instance has written a health record: %s\n", noRecordsHint)
	}
}

// bar draws n of all, rounded so that some is never shown as none or as all.
func (u *ui) bar(columns int, name string, n, all int, p paint, what string) {
	name, text := fmt.Sprintf("%-8s ", name), strings.TrimSpace(fmt.Sprintf("%d of %d %s", n, all, what))
	width := min(maxBar, columns-len(name)-len(text)-2)
	if width < minBar {
		u.printf("%s%s\n", name, text)
		return
	}
	full := 0
	if all > 0 {
		full = n * width / all
	}
	if n > 0 && full == 0 {
		full = 1
	}
	line := strings.Repeat("█", full)
	if u.colour && isTerminal(u.out) {
		line = u.paint(p, line)
	}
	u.printf("%s%s%s %s\n", name, line, strings.Repeat("░", width-full), text)
}

func (c *cli) rolloutWatch() *cobra.Command {
	var o rolloutOptions
	cmd := &cobra.Command{
		Use:   "watch --source S --app A --channel C [--abort-on-failure --key FILE...]",
		Short: "wait for the end of a rollout, and drop it when an instance fails",
		Long: "Look at the records of a channel every ten seconds until its rollout is over, or for the time of --for.\n" +
			"When the release that is rolled out has failed on an instance, it ends with 1; with --abort-on-failure\n" +
			"it first drops the rollout, as koboshi promote --abort does, so that all instances get the release that\n" +
			"the channel points to." +
			releaseExits(failure.Found, failure.Disk, failure.Deadline, failure.Interrupted),
		Example: "  koboshi rollout watch --source s3://acme-releases/apps --app web --channel stable --abort-on-failure --key release.key --for 30m",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runRolloutWatch(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.abort, "abort-on-failure", false, "drop the rollout when it fails on an instance")
	cmd.Flags().DurationVar(&o.limit, "for", 0, "end with 0 after this `time` without a failure; 0 = watch until the rollout is over")
	o.addKeys(cmd)
	cmd.Flags().StringArrayVar(&o.trust, "trust", nil, "public key `FILE` of who publishes and promotes, where that is not --key alone; without it pointers are read, not verified")
	cmd.Flags().StringVar(&o.channel, "channel", "", "the `channel`, such as stable")
	o.addGroups(cmd)
	cmd.GroupID = ""
	alsoCheck(cmd, func(*cobra.Command) error {
		switch {
		case o.abort && len(o.keys) == 0:
			return errors.New("--abort-on-failure signs the channel's pointer: --key is missing")
		case !o.abort && len(o.keys) > 0:
			return errors.New("--key is for --abort-on-failure")
		case o.limit < 0:
			return errors.New("want --for of at least 0")
		}
		return nil
	})
	return required(cmd, "channel")
}

func (c *cli) runRolloutWatch(ctx context.Context, o rolloutOptions) error {
	var keys []artifacts.PrivateKey
	b, trust, err := o.openFleet(ctx)
	if err == nil && o.abort {
		b, keys, err = o.open(ctx)
	}
	if err != nil {
		return err
	}
	limited, cancel := ctx, func() {}
	if o.limit > 0 {
		limited, cancel = context.WithTimeout(ctx, o.limit)
	}
	defer cancel()
	began := ""
	var told pace.Told
	for {
		r, err := c.progressOf(ctx, b, trust, o)
		switch {
		case err != nil:
			return err
		case r.From == "" && began == "":
			return failure.WithHint(failure.Mark(fmt.Errorf("channel %s has no rollout: it points to %s for all instances", o.channel, r.Version), failure.ErrFound), "koboshi promote --percent begins one")
		case r.From == "" || began != "" && r.Version != began:
			c.ui.printf("the rollout of %s in channel %s is over: it points to %s\n", began, o.channel, r.Version)
			return nil
		case r.Failed > 0:
			return c.rolloutFailed(ctx, b, keys, o, r)
		}
		began = r.Version
		c.ui.waitedFor(&told, fmt.Sprintf("%s to %d %%: %d of %s in, %d ok, %d unknown", r.Version, r.Percent, r.In, count(r.Instances, "instance", "instances"), r.OK, r.Unknown))
		if err := pace.Sleep(limited, lookEvery); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.ui.printf("%s has not failed on any instance of channel %s: %d ok, %d unknown\n", r.Version, o.channel, r.OK, r.Unknown)
			if r.OK == 0 {
				c.ui.warn("no instance reports it as ok, so that nothing failed says little: koboshi rollout status shows who is in")
			}
			return nil
		}
	}
}

// reasonOf is why a rollout was dropped, for the channel's history.
func reasonOf(r census.Rollout) string {
	return report.Clean(fmt.Sprintf("%s failed on %s", r.Version, some(r.Bad)), artifacts.MaxReason)
}

// rolloutFailed drops the rollout, if it is to.
func (c *cli) rolloutFailed(ctx context.Context, b bucket.Bucket, keys []artifacts.PrivateKey, o rolloutOptions, r census.Rollout) error {
	found := failure.Mark(fmt.Errorf("%s failed on %s of channel %s: %s", r.Version, count(r.Failed, "instance", "instances"), o.channel, some(r.Bad)), failure.ErrFound)
	if !o.abort {
		return failure.WithHint(found, "koboshi promote --abort drops the rollout; koboshi fleet shows why it failed")
	}
	publishers, err := readPublic(o.trust)
	if err != nil {
		return err
	}
	promoted, err := publish.Promote(ctx, b, publish.Promotion{
		App: o.app, Channel: o.channel, Version: r.Version, Keys: keys, Publishers: publishers, Abort: true, Reason: reasonOf(r), KeepExpiry: true, KeepSpread: true, Now: time.Now(),
	})
	if err != nil {
		return err
	}
	if err := c.tellPromoted(promoteOptions{releaseFlags: o.releaseFlags, channel: o.channel}, promoted, nil); err != nil {
		return err
	}
	return failure.WithHint(found, "the rollout was dropped; koboshi fleet shows why it failed")
}
