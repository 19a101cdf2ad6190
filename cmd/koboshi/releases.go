package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/retire"
)

type releasesOptions struct {
	releaseFlags
	trust      []string
	checkStore bool
	amis       amiFlags
	history    historyFlags
}

func (c *cli) releases() *cobra.Command {
	var o releasesOptions
	cmd := &cobra.Command{
		Use:   "releases --source S --app A",
		Short: "list what is published and what the channels point to",
		Long: "List every release, the newest first, and every channel. With --trust, what these keys have\n" +
			"not signed is marked. With --check-store nothing is listed: what koboshi needs of the store is\n" +
			"tried out on an object of its own, which is deleted again. With --amis the AMIs are listed in\n" +
			"place of the releases: what koboshi ami-tags says is baked into each, and what a launch from it\n" +
			"fetches today. With --history the promotions of a channel are listed, the newest first." +
			exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Interrupted),
		Example: "  koboshi releases --source s3://acme-releases/apps --app web --trust release.pub\n" +
			"  koboshi releases --source s3://acme-releases/apps --app web --trust release.pub --history stable",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.stdin = cmd.InOrStdin
			return c.runReleases(cmd.Context(), o)
		},
	}
	cmd.Flags().StringArrayVar(&o.trust, "trust", nil, "public key `FILE`")
	addEncryption(cmd, &o.encryption)
	cmd.Flags().BoolVar(&o.checkStore, "check-store", false, "try out the store: conditional writes, ranges, listing")
	cmd.AddCommand(c.releasesPrune(), c.releasesKeep())
	o.amis.add(cmd)
	o.history.add(cmd)
	excludes(cmd, "check-store", "amis", "max-age", "history")
	return o.add(cmd)
}

func (c *cli) runReleases(ctx context.Context, o releasesOptions) (err error) {
	var trust artifacts.Trust
	if len(o.trust) > 0 {
		if trust, err = readTrust(o.trust); err != nil {
			return err
		}
	}
	if err := checkEncryption(o.source, o.encryption); err != nil {
		return err
	}
	images, err := o.amis.read(o.stdin())
	if err != nil {
		return err
	}
	b, err := openBucket(ctx, o.source, o.app, func(b *s3.Bucket) { b.Encryption = o.encryption })
	if err != nil {
		return err
	}
	if o.checkStore {
		return c.checkStore(ctx, b, o)
	}
	if o.history.channel != "" {
		return c.listHistory(ctx, b, o, trust)
	}
	listing, err := publish.List(ctx, b, o.app, trust)
	if err != nil {
		return err
	}
	if o.amis.file != "" {
		return c.listAMIs(o, listing, images)
	}
	l := listed(listing, len(o.trust) > 0)
	if o.json {
		err = c.ui.printJSON(l)
	} else {
		err = c.ui.listReleases(l)
	}
	if len(l.Releases)+len(l.Channels) == 0 {
		nothing := failure.Mark(fmt.Errorf("nothing is published for %s in %s", o.app, o.source), bucket.ErrNotFound)
		err = errors.Join(failure.WithHint(nothing, "compare --app and --source with what koboshi publish was given"), err)
	}
	return err
}

// listingJSON is the output of releases --json. Without --trust nothing was
// verified.
type listingJSON struct {
	Releases []releaseJSON `json:"releases"`
	Channels []channelJSON `json:"channels"`
}

type releaseJSON struct {
	Version   string              `json:"version"`
	Created   time.Time           `json:"created,omitzero"`
	SHA256    artifacts.Digest    `json:"manifest_sha256,omitzero"`
	Platforms []publishedArtifact `json:"platforms"`
	Channels  []string            `json:"channels"`
	Rollouts  []string            `json:"rollouts,omitzero"` // channels that have it for a share of their instances
	State     retire.State        `json:"state,omitzero"`    // marked, sweeping, gone, kept; "" = none of these
	Verified  bool                `json:"verified"`
	Error     string              `json:"error,omitzero"`
	doubtful  bool
}

type channelJSON struct {
	Name     string          `json:"name"`
	Version  string          `json:"version"`
	Next     *artifacts.Next `json:"next,omitzero"` // what is rolled out
	Sequence int64           `json:"sequence"`
	Issued   time.Time       `json:"issued,omitzero"`
	Expires  time.Time       `json:"expires,omitzero"`
	Verified bool            `json:"verified"`
	Error    string          `json:"error,omitzero"`
	doubtful bool
}

func listed(l publish.Listing, trusting bool) listingJSON {
	var out listingJSON
	for _, r := range l.Releases {
		row := releaseJSON{Version: r.Name, Created: r.Document.Created, SHA256: r.SHA256, Channels: r.Channels, Rollouts: r.Rollouts, Verified: r.Verified,
			Error: textOf(r.Err), doubtful: trusting && !r.Verified}
		for _, a := range r.Document.Artifacts {
			row.Platforms = append(row.Platforms, publishedOf(a))
		}
		if row.State = r.State; row.State == retire.Unmarked {
			row.State = ""
		}
		out.Releases = append(out.Releases, row)
	}
	for _, version := range l.Gone {
		out.Releases = append(out.Releases, releaseJSON{Version: version, State: retire.Gone})
	}
	for _, c := range l.Channels {
		out.Channels = append(out.Channels, channelJSON{Name: c.Name, Version: c.Document.Version, Next: c.Document.Next, Sequence: c.Document.Sequence,
			Issued: c.Document.Issued, Expires: c.Document.Expires, Verified: c.Verified, Error: textOf(c.Err), doubtful: trusting && !c.Verified})
	}
	return out
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return report.Clean(err.Error(), failure.MaxMessage)
}

func (u *ui) listReleases(l listingJSON) error {
	w := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	for _, c := range l.Channels {
		version := c.Version
		if c.Next != nil {
			version += ", " + share(c.Next)
		}
		_, _ = fmt.Fprintf(w, "channel %s\t%s\tsequence %d\t%s\n", c.Name, version, c.Sequence, doubt(c.Error, c.doubtful, c.Issued)) // Flush reports it
	}
	for _, r := range l.Releases {
		var platforms []string
		for _, p := range r.Platforms {
			platforms = append(platforms, p.Platform+" "+report.Bytes(p.Size))
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Version, strings.Join(append(r.Channels, rolling(r.Rollouts)...), ", "), strings.Join(platforms, ", "), retired(r, doubt(r.Error, r.doubtful, r.Created)))
	}
	return w.Flush()
}

// rolling are channels that have a release for a share of their instances.
func rolling(channels []string) (all []string) {
	for _, name := range channels {
		all = append(all, name+" (rollout)")
	}
	return all
}

// retired adds how far a release is on its way out of the bucket.
func retired(r releaseJSON, text string) string {
	switch r.State {
	case retire.Marked:
		return text + ", marked for removal"
	case retire.Sweeping:
		return text + ", being removed"
	case retire.Kept:
		return text + ", kept"
	case retire.Gone:
		return "removed"
	}
	return text
}

// doubt is the time of a document, or what is wrong with it.
func doubt(err string, unsigned bool, at time.Time) string {
	switch {
	case err != "":
		return "damaged: " + err
	case unsigned:
		return "not signed by --trust"
	}
	return at.Format(time.RFC3339)
}
