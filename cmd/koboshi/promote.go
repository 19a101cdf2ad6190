package main

import (
	"context"
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
}

func (c *cli) promote() *cobra.Command {
	var o promoteOptions
	cmd := &cobra.Command{
		Use:   "promote --source S --app A --channel C --version V --key FILE...",
		Short: "make a release the current one of a channel",
		Long: "Make a release the current one of a channel, by compare-and-swap: of two promoters at once\n" +
			"one wins, and the other gets an error that names the winner. A store that ignores the\n" +
			"condition of a write is warned of: see koboshi help network. Promoting an older version\n" +
			"rolls a fleet back; promoting the current one signs it again, with a new expiry." + releaseExits(failure.Disk, failure.Interrupted),
		Example: "  koboshi promote --source s3://acme-releases/apps --app web --channel stable --version 1.4.2 --key release.key",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runPromote(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.channel, "channel", "", "the `channel`, such as stable")
	cmd.Flags().StringVar(&o.version, "version", "", "the `version` that the channel shall point to")
	cmd.Flags().DurationVar(&o.expires, "expires", 0, "refuse the pointer after this `time`; 0 = never")
	cmd.Flags().DurationVar(&o.spread, "spread", 0, "spread the syncs of a fleet over this `time`")
	return required(o.addSigning(cmd), "channel", "version")
}

func (c *cli) runPromote(ctx context.Context, o promoteOptions) error {
	if err := artifacts.CheckName(o.channel); err != nil {
		return usage(fmt.Errorf("--channel: %w", err))
	}
	if err := artifacts.CheckVersion(o.version); err != nil {
		return usage(fmt.Errorf("--version: %w", err))
	}
	if o.expires != 0 && o.expires < time.Second || o.spread < 0 || o.spread > artifacts.MaxSpread { // times are whole seconds
		return usage(fmt.Errorf("want --expires of 0 or at least 1s and --spread of 0 to %s", artifacts.MaxSpread))
	}
	b, keys, err := o.open(ctx)
	if err != nil {
		return err
	}
	promoted, err := publish.Promote(ctx, b, publish.Promotion{
		App: o.app, Channel: o.channel, Version: o.version, Keys: keys,
		Expires: o.expires, Spread: o.spread, Now: time.Now(),
	})
	if err != nil {
		return unknownVersion(ctx, err, o.version, b)
	}
	return c.tellPromoted(o, promoted)
}

// promotedJSON is the output of promote --json.
type promotedJSON struct {
	Pointer  artifacts.Pointer  `json:"pointer"`
	Previous *artifacts.Pointer `json:"previous"`
	// How the store handles compare-and-swap: honoured, ignored, no-etag or unknown.
	Conditions publish.Conditions `json:"conditional_writes"`
}

func (c *cli) tellPromoted(o promoteOptions, p publish.Promoted) error {
	c.ui.warnOfStore(p.Conditions)
	if o.json {
		return c.ui.printJSON(promotedJSON(p))
	}
	was := "new channel"
	if p.Previous != nil {
		was = "was " + p.Previous.Version
	}
	c.ui.printf("%s %s points to %s (%s), sequence %d%s\n", o.app, o.channel, o.version, was, p.Pointer.Sequence, until(p.Pointer))
	c.ui.printf("launches install it at once; %s; others at the next koboshi sync\n", followers(o.spread))
	return nil
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
