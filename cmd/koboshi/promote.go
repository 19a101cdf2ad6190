package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts"
	"koboshi/artifacts/publish"
	"koboshi/systemd/install"
)

type promoteOptions struct {
	releaseFlags
	channel, version string
	expires, spread  time.Duration
	percent          int
	abort, force     bool
	previous         bool
	reason           string
	dryRun           bool
	healthy          healthyFlags
	members          string // a file of instances, "" = none
	// Flags that were not given leave what a rollout has.
	keepExpiry, keepSpread bool
	trust                  []string
}

func (c *cli) promote() *cobra.Command {
	var o promoteOptions
	cmd := &cobra.Command{
		Use:   "promote --source S --app A --channel C --version V --key FILE...",
		Short: "make a release the current one of a channel, or roll it out",
		Long: "Make a release the current one of a channel, by compare-and-swap: of two promoters at once\n" +
			"one wins, and the other gets an error that names the winner. A store that ignores the\n" +
			"condition of a write is warned of: see koboshi help network. Promoting an older version\n" +
			"rolls a fleet back; promoting the current one signs it again, with a new expiry.\n" +
			"--previous does that without a name. With --percent only a share of the instances gets the\n" +
			"release: see koboshi help release." +
			releaseExits(failure.Found, failure.Disk, failure.Deadline, failure.Interrupted),
		Example: "  koboshi promote --source s3://acme-releases/apps --app web --channel stable --version 1.4.2 --key release.key\n" +
			"  koboshi promote --source s3://acme-releases/apps --app web --channel stable --version 1.5.0 --percent 10 --key release.key\n" +
			"  koboshi promote --source s3://acme-releases/apps --app web --channel stable --abort --key release.key",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runPromote(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.channel, "channel", "", "the `channel`, such as stable")
	cmd.Flags().StringVar(&o.version, "version", "", "the `version` that the channel shall point to")
	cmd.Flags().DurationVar(&o.expires, "expires", 0, "refuse the pointer after this `time`; 0 = never")
	cmd.Flags().DurationVar(&o.spread, "spread", 0, "spread the syncs of a fleet over this `time`")
	cmd.Flags().IntVar(&o.percent, "percent", 0, "roll the version out to this `share` of the instances, 1 to 99; again with a higher one for more of them; 100 ends the rollout")
	cmd.Flags().StringArrayVar(&o.trust, "trust", nil, "public key `FILE` of who publishes, where that is not --key: only releases that it has signed are promoted")
	cmd.Flags().BoolVar(&o.abort, "abort", false, "drop the rollout: all instances get the release that the channel points to")
	cmd.Flags().BoolVar(&o.previous, "previous", false, "the release that the channel pointed to before, by its history")
	cmd.Flags().StringVar(&o.reason, "reason", "", "`why`, for the channel's history: one line of at most 200 bytes")
	cmd.Flags().BoolVar(&o.force, "force", false, "although another release, or this one to more instances, is being rolled out")
	cmd.Flags().StringVar(&o.members, "show-members", "", "with --percent: first list which instances of this `FILE` would get it (- = standard input): ids, one a line, or what aws autoscaling describe-auto-scaling-groups prints")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "report what would change, sign and write nothing")
	o.healthy.add(cmd)
	oneOf(cmd, true, "version", "previous", "abort")
	excludes(cmd, "abort", "percent", "force", "show-members", "require-healthy")
	excludes(cmd, "previous", "percent", "show-members", "require-healthy")
	alsoCheck(cmd, o.check)
	return required(o.addSigning(cmd), "channel")
}

// check is what cobra cannot know of the flags.
func (o *promoteOptions) check(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	keep := given("percent") || o.abort || o.previous
	o.keepExpiry, o.keepSpread = keep && !given("expires"), keep && !given("spread")
	switch {
	case given("percent") && (o.percent < 1 || o.percent > 100):
		return fmt.Errorf("--percent %d: want 1 to 100", o.percent)
	case artifacts.CheckReason(o.reason) != nil:
		return fmt.Errorf("--reason: %w", artifacts.CheckReason(o.reason))
	case given("show-members") && (o.percent == 0 || o.percent == 100):
		return errors.New("--show-members is for --percent 1 to 99: it lists who is in")
	}
	return nil
}

func (c *cli) runPromote(ctx context.Context, o promoteOptions) error {
	if err := artifacts.CheckName(o.channel); err != nil {
		return usage(fmt.Errorf("--channel: %w", err))
	}
	if !o.abort && !o.previous {
		if err := artifacts.CheckVersion(o.version); err != nil {
			return usage(fmt.Errorf("--version: %w", err))
		}
	}
	if o.expires != 0 && o.expires < time.Second || o.spread < 0 || o.spread > artifacts.MaxSpread { // times are whole seconds
		return usage(fmt.Errorf("want --expires of 0 or at least 1s and --spread of 0 to %s", artifacts.MaxSpread))
	}
	if err := artifacts.CheckName(o.app); err != nil {
		return usage(fmt.Errorf("--app: %w", err))
	}
	publishers, err := readPublic(o.trust)
	if err != nil {
		return err
	}
	members, err := c.readMembers(o)
	if err != nil {
		return err
	}
	b, keys, err := o.open(ctx)
	if err != nil {
		return err
	}
	if members != nil && !o.json {
		c.ui.members(o.version, o.percent, *members)
	}
	if err := c.requireHealthy(ctx, b, o); err != nil {
		return err
	}
	promoted, err := publish.Promote(ctx, b, publish.Promotion{
		App: o.app, Channel: o.channel, Version: o.version, Keys: keys, Publishers: publishers,
		Percent: o.percent, Abort: o.abort, Previous: o.previous, Reason: o.reason, Force: o.force, DryRun: o.dryRun,
		Expires: o.expires, KeepExpiry: o.keepExpiry, Spread: o.spread, KeepSpread: o.keepSpread, Now: time.Now(),
	})
	if err != nil && o.version != "" {
		return unknownVersion(ctx, err, o.app, o.version, b)
	}
	if err != nil {
		return err
	}
	return c.tellPromoted(o, promoted, members)
}

// promotedJSON is the output of promote --json.
type promotedJSON struct {
	Pointer  artifacts.Pointer  `json:"pointer"`
	Previous *artifacts.Pointer `json:"previous"`
	// How the store handles compare-and-swap: honoured, ignored, no-etag or unknown.
	Conditions publish.Conditions `json:"conditional_writes,omitzero"`
	Members    *membersJSON       `json:"members,omitzero"`
	DryRun     bool               `json:"dry_run,omitzero"`
}

func (c *cli) tellPromoted(o promoteOptions, p publish.Promoted, members *membersJSON) error {
	c.ui.warnOfStore(p.Conditions)
	if o.json {
		return c.ui.printJSON(promotedJSON{p.Pointer, p.Previous, p.Conditions, members, o.dryRun})
	}
	if o.dryRun {
		c.ui.printf("nothing was signed or written; this would be:\n")
	}
	c.ui.printf("%s %s, sequence %d%s\n", o.app, pointsTo(o.channel, p), p.Pointer.Sequence, until(p.Pointer))
	if !o.dryRun {
		c.ui.printf("launches install it at once; %s; others at the next koboshi sync\n", followers(time.Duration(p.Pointer.SpreadSeconds)*time.Second))
	}
	return nil
}

// pointsTo is where a channel points to, and what it did before.
func pointsTo(channel string, p publish.Promoted) string {
	now, was := p.Pointer, p.Previous
	switch {
	case was == nil:
		return fmt.Sprintf("%s points to %s (new channel)", channel, now.Version)
	case now.Next != nil:
		return fmt.Sprintf("%s rolls out %s to %d %% (was %s), the others stay at %s", channel, now.Next.Version, now.Next.Percent, share(was.Next), now.Version)
	case was.Next != nil && was.Version == now.Version:
		return fmt.Sprintf("%s points to %s for all instances (the rollout of %s is aborted)", channel, now.Version, share(was.Next))
	case was.Next != nil:
		return fmt.Sprintf("%s points to %s for all instances (was %s, and %s)", channel, now.Version, was.Version, share(was.Next))
	}
	return fmt.Sprintf("%s points to %s (was %s)", channel, now.Version, was.Version)
}

// share is a release that is rolled out, and to how many of the instances.
func share(n *artifacts.Next) string {
	if n == nil {
		return "0 %"
	}
	return fmt.Sprintf("%s to %d %%", n.Version, n.Percent)
}

// followers is when the machines begin that follow their channel by themselves. How
// often that is, each of them knows; the promotion knows the spread.
func followers(spread time.Duration) string {
	const every = 5 * time.Minute
	within := (install.Within(every) + spread + time.Minute - 1) / time.Minute
	return fmt.Sprintf("instances installed with --follow 5m begin within %d min", within)
}

func until(p artifacts.Pointer) string {
	if p.Expires.IsZero() {
		return ""
	}
	return ", until " + p.Expires.Format(time.RFC3339)
}
