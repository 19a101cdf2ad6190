package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/refresh"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/publish"
)

type refreshCancelFlags struct {
	refreshFlags
	rollback                 bool
	to, source, app, channel string
	keys, trust              []string
	encryption               s3.Encryption
	stdin                    func() io.Reader
}

func (c *cli) refreshCancel() *cobra.Command {
	var f refreshCancelFlags
	cmd := &cobra.Command{
		Use:   "cancel --group G [--rollback --to V --source S --app A --channel C [--key FILE...]]",
		Short: "end the active instance refresh of a group, or roll it back",
		Long: "Cancel the instance refresh that is active, and wait until it has ended: what was replaced stays.\n" +
			"With --rollback Auto Scaling replaces those instances again, by the launch template from before.\n" +
			"They follow their channel. So --to is the release that they shall run: the channel has to point\n" +
			"to it already, or with --key is moved there first, if AWS can roll this refresh back at all." +
			exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Integrity, failure.Disk, failure.Interrupted),
		Example: "  koboshi refresh cancel --group web\n" +
			"  koboshi refresh cancel --group web --rollback --to 1.4.2 --source s3://acme-releases/apps --app web --channel stable --key release.key",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.stdin = cmd.InOrStdin
			return ofRefresh(c.runRefreshCancel(cmd.Context(), f))
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.rollback, "rollback", false, "replace what was replaced again, by the launch template from before")
	flags.StringVar(&f.to, "to", "", "with --rollback: the `version` that the channel shall point to")
	flags.StringVar(&f.source, "source", "", "with --rollback: where releases are stored: `s3://bucket/prefix[?region=R] or file:///directory`")
	flags.StringVar(&f.app, "app", "", "with --rollback: the `app`")
	flags.StringVar(&f.channel, "channel", "", "with --rollback: the `channel` of the group's instances")
	flags.StringArrayVar(&f.keys, "key", nil, "with --rollback: move the channel to --to first, signed by this private key, as for koboshi promote")
	flags.StringArrayVar(&f.trust, "trust", nil, "with --key: public key `FILE` of who publishes, as for koboshi promote")
	addEncryption(cmd, &f.encryption)
	alsoCheck(cmd, f.check)
	return f.addWaiting(cmd)
}

func (f *refreshCancelFlags) check(cmd *cobra.Command) error {
	given := given(cmd, []string{"to", "source", "app", "channel"})
	switch {
	case !f.rollback && len(given)+len(f.keys) > 0:
		return errors.New("--to, --source, --app, --channel and --key are for --rollback")
	case f.rollback && len(given) < 4:
		return errors.New("--rollback needs --to, --source, --app and --channel: the instances that it launches follow the channel")
	case len(f.keys) == 0 && len(f.trust) > 0:
		return errors.New("--trust is for --key")
	case !f.rollback:
		return checkGroup(f.group)
	}
	return errors.Join(checkGroup(f.group), named("--to", artifacts.CheckVersion(f.to)), named("--app", artifacts.CheckName(f.app)), named("--channel", artifacts.CheckName(f.channel)))
}

func named(flag string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

func (c *cli) runRefreshCancel(ctx context.Context, f refreshCancelFlags) error {
	r, err := c.refresher(ctx, f.refreshFlags)
	if err != nil {
		return err
	}
	ignoreSIGPIPE()
	if !f.rollback {
		id, err := r.Cancel(ctx)
		if err != nil {
			return err
		}
		return c.follow(ctx, r, f.refreshFlags, id, "Cancelled")
	}
	if err := checkEncryption(f.source, f.encryption); err != nil {
		return err
	}
	keys, err := readKeys(ctx, f.keys, f.stdin())
	if err != nil {
		return err
	}
	b, err := openBucket(ctx, f.source, f.app, func(b *s3.Bucket) { b.Encryption = f.encryption })
	if err != nil {
		return err
	}
	id, err := r.Rollback(ctx, func(ctx context.Context) error { return c.moveBack(ctx, f, b, keys) })
	if err != nil {
		return err
	}
	return c.follow(ctx, r, f.refreshFlags, id, "RollbackSuccessful")
}

// moveBack sees to it that the channel points to the release that the instances of a
// rollback shall run.
func (c *cli) moveBack(ctx context.Context, f refreshCancelFlags, b bucket.Bucket, keys []artifacts.PrivateKey) error {
	channels, err := publish.Pointers(ctx, b, f.app, artifacts.Trust{})
	if err != nil {
		return err
	}
	at := slices.IndexFunc(channels, func(p publish.Listed[artifacts.Pointer]) bool { return p.Name == f.channel })
	switch {
	case at < 0:
		return failure.Mark(fmt.Errorf("channel %s of %s does not exist", f.channel, f.app), bucket.ErrNotFound)
	case channels[at].Err != nil:
		return fmt.Errorf("channel %s: %w", f.channel, channels[at].Err)
	}
	switch p := channels[at].Document; {
	case p.Version == f.to && p.Next == nil:
		return nil
	case len(keys) == 0:
		points := "points to " + p.Version
		if p.Next != nil {
			points += fmt.Sprintf(", and for %d %% to %s", p.Next.Percent, p.Next.Version)
		}
		return &refresh.RefusedError{
			Why: fmt.Sprintf("channel %s of %s %s, not to %s: the instances that a rollback launches would follow it", f.channel, f.app, points, f.to),
			Do:  "promote " + f.to + " first, or give --key: then it is done here",
		}
	}
	publishers, err := readPublic(f.trust)
	if err != nil {
		return err
	}
	p, err := publish.Promote(ctx, b, publish.Promotion{App: f.app, Channel: f.channel, Version: f.to, Keys: keys, Publishers: publishers, Force: true, KeepExpiry: true, KeepSpread: true, Now: time.Now()})
	if err != nil {
		return unknownVersion(ctx, err, f.app, f.to, b)
	}
	c.ui.say("%s %s points to %s, sequence %d", f.app, f.channel, f.to, p.Pointer.Sequence)
	return nil
}
