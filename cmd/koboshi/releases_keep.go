package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/prune"
	"koboshi/artifacts/retire"
)

type keepOptions struct {
	releaseFlags
	undo bool
}

func (c *cli) releasesKeep() *cobra.Command {
	var o keepOptions
	cmd := &cobra.Command{
		Use:   "keep VERSION --source S --app A",
		Short: "keep a release from being removed",
		Long: "Keep a release from every koboshi releases prune, and take off the mark that one has put on it.\n" +
			"A release that is being removed, or was, cannot be kept. --undo: it is not kept any more." +
			pruneExits(),
		Example: "  koboshi releases keep 1.4.2 --source s3://acme-releases/apps --app web",
		Args:    oneArgument("VERSION"),

		ValidArgsFunction: c.offerVersions("keep"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runReleasesKeep(cmd.Context(), o, args[0]) },
	}
	cmd.Flags().BoolVar(&o.undo, "undo", false, "do not keep it any more")
	addEncryption(cmd, &o.encryption)
	return o.addBelow(cmd)
}

// pruneExits are the exit codes of what removes releases, or keeps them.
func pruneExits() string {
	return exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Integrity, failure.Interrupted)
}

func (c *cli) runReleasesKeep(ctx context.Context, o keepOptions, version string) error {
	if err := artifacts.CheckVersion(version); err != nil {
		return usage(err)
	}
	if err := checkEncryption(o.source, o.encryption); err != nil {
		return err
	}
	ignoreSIGPIPE()
	b, err := openBucket(ctx, o.source, o.app, func(b *s3.Bucket) { b.Encryption = o.encryption })
	if err != nil {
		return err
	}
	was, err := prune.Keep(ctx, b, o.app, version, holder(), o.undo)
	if err != nil {
		return unknownVersion(ctx, err, o.app, version, b)
	}
	if o.json {
		return c.ui.printJSON(keptJSON{version, !o.undo, was})
	}
	c.ui.printf("%s %s\n", o.app, keptText(version, was, o.undo))
	return nil
}

// keptJSON is the output of releases keep --json.
type keptJSON struct {
	Version string       `json:"version"`
	Kept    bool         `json:"kept"`
	Was     retire.State `json:"was"` // "" = it had no mark
}

func keptText(version string, was retire.State, undo bool) string {
	switch {
	case undo:
		return version + " is not kept any more"
	case was == retire.Marked:
		return fmt.Sprintf("%s is kept: the mark for removal is off", version)
	}
	return version + " is kept"
}
