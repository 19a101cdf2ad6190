package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/prune"
	"koboshi/artifacts/retire"
)

type pruneOptions struct {
	releaseFlags
	keep          int
	minAge, grace time.Duration
	amis          string
	yes           bool
}

func (c *cli) releasesPrune() *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use:   "prune --source S --app A",
		Short: "remove old releases from the bucket",
		Long: "Mark releases that nothing needs, and remove what was marked at least --grace ago. Without --yes\n" +
			"nothing is written: what would be done is printed, with its bytes. A release stays that a channel\n" +
			"points to, rolls out or pointed to before, the newest ones, the younger ones, what AMIs carry,\n" +
			"what a delta of those starts from, and what koboshi releases keep keeps. A marked release can\n" +
			"be installed until it is removed, but neither promoted nor published. A version that was removed\n" +
			"is never published again. Objects that koboshi has not made are left alone." + pruneExits(),
		Example: "  koboshi releases prune --source s3://acme-releases/apps --app web          # what would go\n" +
			"  koboshi releases prune --source s3://acme-releases/apps --app web --yes    # each night",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.stdin = cmd.InOrStdin
			return c.runReleasesPrune(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.keep, "keep", 10, "so many of the newest releases stay: a `number`")
	cmd.Flags().DurationVar(&o.minAge, "min-age", 720*time.Hour, "a release that is younger than this `time` stays")
	cmd.Flags().DurationVar(&o.grace, "grace", 24*time.Hour, "`time` from the mark to the removal, at least 2h")
	cmd.Flags().StringVar(&o.amis, "amis", "", "what these AMIs carry stays: output of aws ec2 describe-images, a `FILE`, or - for standard input")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do it")
	addEncryption(cmd, &o.encryption)
	return o.addBelow(cmd)
}

func (o pruneOptions) check() error {
	switch {
	case o.keep < 0:
		return fmt.Errorf("--keep %d, want 0 or more", o.keep)
	case o.minAge < 0:
		return fmt.Errorf("--min-age %s is below 0", o.minAge)
	case o.grace < retire.MinGrace:
		return fmt.Errorf("--grace %s, want at least %s: a promotion that has read that a release has no mark may write for an hour", o.grace, retire.MinGrace)
	}
	return checkEncryption(o.source, o.encryption)
}

func (c *cli) runReleasesPrune(ctx context.Context, o pruneOptions) error {
	if err := o.check(); err != nil {
		return usage(err)
	}
	carried, err := carriedBy(o.amis, o.app, o.stdin())
	if err != nil {
		return err
	}
	ignoreSIGPIPE()
	b, err := openBucket(ctx, o.source, o.app, func(b *s3.Bucket) { b.Encryption = o.encryption })
	if err != nil {
		return err
	}
	rules := prune.Options{App: o.app, Keep: o.keep, MinAge: o.minAge, Carried: carried, Grace: o.grace, By: holder(), Progress: c.ui.releases()}
	if !inS3(o.source) {
		rules.Local = time.Now // a directory has no clock of its own
	}
	defer c.ui.clear()
	plan, err := prune.Look(ctx, b, rules)
	if err == nil && o.yes {
		err = plan.Do(ctx)
	}
	if err != nil {
		return err
	}
	c.ui.clear()
	return c.tellPruned(o, plan)
}

// carriedBy are the versions of an app that AMIs carry. Where the tags of one cannot be
// read, it is not known.
func carriedBy(file, app string, stdin io.Reader) (map[string]string, error) {
	images, err := readAMIs(file, stdin)
	if err != nil {
		return nil, err
	}
	carried := map[string]string{}
	for _, i := range images {
		if i.Err != nil {
			return nil, failure.WithHint(failure.Mark(fmt.Errorf("--amis: %s: %w", i.ID, i.Err), failure.ErrConfiguration),
				"it is not known what it carries: correct its tags, which koboshi ami-tags prints, or leave it out of the file")
		}
		for _, carries := range i.Carries {
			if carries.App == app {
				carried[carries.Version] = i.ID
			}
		}
	}
	return carried, nil
}

// prunedJSON is the output of releases prune --json.
type prunedJSON struct {
	DryRun    bool                `json:"dry_run"`
	Releases  []prunedReleaseJSON `json:"releases"` // but those that were removed before
	Mark      prunedSum           `json:"mark"`     // what is marked now
	Wait      prunedSum           `json:"wait"`     // what was, and stays for now
	Remove    prunedSum           `json:"remove"`
	Unknown   []string            `json:"unknown,omitzero"` // some of the keys that are not koboshi's
	Unknowns  int                 `json:"unknowns"`
	kept      int
	unmarked  int
	abandoned int
}

type prunedSum struct {
	Releases int   `json:"releases"`
	Bytes    int64 `json:"bytes"`
}

func (s *prunedSum) add(r *prune.Release) {
	s.Releases++
	s.Bytes += r.Bytes
}

type prunedReleaseJSON struct {
	Version string       `json:"version"`
	Created time.Time    `json:"created,omitzero"`
	Action  prune.Action `json:"action"`
	Why     string       `json:"why,omitzero"`  // what keeps it
	From    time.Time    `json:"from,omitzero"` // when it may be removed
	State   retire.State `json:"state,omitzero"`
	Objects int          `json:"objects"`
	Bytes   int64        `json:"bytes"`
	Changed bool         `json:"changed,omitzero"` // another one has changed its mark meanwhile: nothing was done
}

func pruned(p *prune.Plan, dry bool) prunedJSON {
	out := prunedJSON{DryRun: dry, Releases: []prunedReleaseJSON{}, Unknowns: p.Unknowns}
	for _, key := range p.Unknown {
		out.Unknown = append(out.Unknown, report.Clean(key, failure.MaxMessage))
	}
	for _, r := range p.Releases {
		if r.State == retire.Gone && r.Action == prune.Stay {
			continue
		}
		out.Releases = append(out.Releases, prunedReleaseJSON{r.Version, r.Created, r.Action, report.Clean(r.Why, failure.MaxMessage), r.From, r.State, r.Objects, r.Bytes, r.Changed})
		switch {
		case r.Changed:
		case r.Action == prune.Mark:
			out.Mark.add(r)
		case r.Action == prune.Wait:
			out.Wait.add(r)
		case r.Action == prune.Sweep:
			out.Remove.add(r)
		case r.Action == prune.Unmark:
			out.unmarked++
		case r.Created.IsZero():
			out.abandoned++
		default:
			out.kept++
		}
	}
	return out
}

func (c *cli) tellPruned(o pruneOptions, p *prune.Plan) error {
	out := pruned(p, !o.yes)
	if o.json {
		return c.ui.printJSON(out)
	}
	if err := c.ui.listPruned(out); err != nil {
		return err
	}
	c.ui.printf("%s: %s, %s, %s; %s\n", o.app,
		out.Mark.text(out.DryRun, "marked"), out.Remove.text(out.DryRun, "removed"), out.Wait.text(false, "waiting"), count(out.kept+out.unmarked, "release stays", "releases stay"))
	if out.abandoned > 0 {
		c.ui.say("%s without a manifest that can be read, left alone: a publish is under way, or broke off", count(out.abandoned, "version", "versions"))
	}
	if out.Unknowns > 0 {
		c.ui.say("%s below releases/ that koboshi has not made, left alone, such as %s", count(out.Unknowns, "object", "objects"), out.Unknown[0])
	}
	if out.DryRun && out.Mark.Releases+out.Remove.Releases+out.unmarked > 0 {
		c.ui.say("nothing was changed: --yes does it")
	}
	return nil
}

func (s prunedSum) text(dry bool, done string) string {
	if dry {
		done = "to be " + done
	}
	if s.Releases == 0 {
		return "0 " + done
	}
	return fmt.Sprintf("%d %s (%s)", s.Releases, done, report.Bytes(s.Bytes))
}

func (u *ui) listPruned(out prunedJSON) error {
	w := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	for _, r := range out.Releases {
		if text := r.text(out.DryRun); text != "" {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Version, count(r.Objects, "object", "objects"), report.Bytes(r.Bytes), text) // Flush reports it
		}
	}
	return w.Flush()
}

// text is what is done with a release, "" for one that stays.
func (r prunedReleaseJSON) text(dry bool) string {
	would := ""
	if dry {
		would = "to be "
	}
	switch {
	case r.Changed:
		return "left alone: its mark has changed meanwhile"
	case r.Action == prune.Mark:
		return would + "marked"
	case r.Action == prune.Unmark:
		return would + "unmarked: " + r.Why
	case r.Action == prune.Wait:
		return "marked, to be removed from " + r.From.UTC().Format(time.RFC3339) + " on"
	case r.Action == prune.Sweep:
		return would + "removed"
	}
	return ""
}

// releases is the progress of what goes through releases: often at a terminal, and a
// line from time to time elsewhere.
func (u *ui) releases() func(what string, done, total int) {
	last, every := time.Now(), drawEvery
	if !u.terminal {
		every = reportEvery
	}
	return func(what string, done, total int) {
		if now := time.Now(); now.Sub(last) >= every && what != "" {
			last = now
			text := fmt.Sprintf("%s: %s", what, count(done, "release", "releases"))
			if total > 0 {
				text = fmt.Sprintf("%s: %d of %s", what, done, count(total, "release", "releases"))
			}
			if !u.terminal {
				u.say("%s", text)
				return
			}
			u.clear()
			u.draw("  " + text)
		}
	}
}
