package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/amis"
	"koboshi/artifacts/publish"
)

// amiFlags are the flags of what looks at AMIs.
type amiFlags struct {
	file   string
	maxAge time.Duration
}

func (f *amiFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "amis", "", "list these AMIs: output of aws ec2 describe-images, a `FILE`, or - for standard input")
	cmd.Flags().DurationVar(&f.maxAge, "max-age", 24*time.Hour, "with --amis: fallback.max_age of the instances")
}

// read reads the file; without one there are no AMIs.
func (f *amiFlags) read(stdin io.Reader) ([]amis.AMI, error) {
	if f.maxAge < 0 {
		return nil, usage(errors.New("--max-age is not below 0"))
	}
	return readAMIs(f.file, stdin)
}

func readAMIs(file string, stdin io.Reader) (all []amis.AMI, err error) {
	var data []byte
	switch file {
	case "":
		return nil, nil
	case "-":
		data, err = io.ReadAll(io.LimitReader(stdin, amis.MaxBytes+1))
	default:
		data, err = readArgument(file)
	}
	if err == nil {
		all, err = amis.Read(data)
	}
	if err != nil {
		return nil, failure.WithHint(failure.Mark(fmt.Errorf("--amis: %w", err), failure.ErrConfiguration),
			"aws ec2 describe-images --owners self --filters Name=tag:koboshi:app,Values=APP --output json, with pipefail and without --max-items")
	}
	return all, nil
}

// amisJSON is the output of releases --amis --json.
type amisJSON struct {
	Channels []channelJSON `json:"channels"`
	AMIs     []amiJSON     `json:"amis"`
}

// amiJSON is an AMI that carries the app, or has tags that cannot be read.
type amiJSON struct {
	ID       string           `json:"ami"`
	Created  time.Time        `json:"created,omitzero"`
	Arch     string           `json:"arch,omitzero"`
	Version  string           `json:"version,omitzero"`
	Manifest artifacts.Digest `json:"manifest_sha256,omitzero"`
	Channel  string           `json:"channel,omitzero"`
	Sequence int64            `json:"sequence,omitzero"`
	Baked    time.Time        `json:"baked,omitzero"`
	Agent    string           `json:"agent,omitzero"`

	Target   string `json:"target,omitzero"`  // version that its channel points to
	Rollout  string `json:"rollout,omitzero"` // version that a share of the launches gets in its place
	Fetch    *int64 `json:"fetch_bytes"`      // what a launch fetches of the target; null = not known
	Delta    int64  `json:"delta_bytes,omitzero"`
	Fallback bool   `json:"fallback"` // what is baked is not older than fallback.max_age
	TooOld   bool   `json:"agent_too_old"`
	Error    string `json:"error,omitzero"`
	percent  int    // of the rollout
}

func (c *cli) listAMIs(o releasesOptions, l publish.Listing, images []amis.AMI) error {
	out := amisJSON{AMIs: []amiJSON{}, Channels: listed(l, len(o.trust) > 0).Channels}
	for _, i := range images {
		carried, found := i.Of(o.app)
		switch {
		case found:
			out.AMIs = append(out.AMIs, described(i, carried, l, o.amis.maxAge))
		case i.Err != nil:
			out.AMIs = append(out.AMIs, amiJSON{ID: i.ID, Created: i.Created, Arch: i.Arch, Error: textOf(i.Err)})
		}
	}
	slices.SortStableFunc(out.AMIs, func(a, b amiJSON) int { return b.Created.Compare(a.Created) })
	if o.json {
		return c.ui.printJSON(out)
	}
	if err := c.ui.listAMIs(out); err != nil {
		return err
	}
	if n := len(images) - len(out.AMIs); n > 0 {
		c.ui.say("%s without a release of %s", count(n, "AMI", "AMIs"), o.app)
	}
	return nil
}

// described is one AMI, held against what its channel points to now.
func described(i amis.AMI, c amis.Carried, l publish.Listing, maxAge time.Duration) amiJSON {
	a := amiJSON{
		ID: i.ID, Created: i.Created, Arch: i.Arch, Version: c.Version, Manifest: c.Manifest, Channel: c.Channel, Sequence: c.Sequence,
		Baked: c.Baked, Agent: c.Agent, Fallback: fresh(c.Baked, maxAge), Error: textOf(i.Err),
	}
	at := slices.IndexFunc(l.Channels, func(p publish.Listed[artifacts.Pointer]) bool { return p.Name == c.Channel && p.Err == nil })
	if at < 0 {
		a.Error = fmt.Sprintf("channel %s cannot be read", c.Channel)
		return a
	}
	p := l.Channels[at].Document
	a.Target = p.Version
	if p.Next != nil {
		a.Rollout, a.percent = p.Next.Version, p.Next.Percent
	}
	target := slices.IndexFunc(l.Releases, func(r publish.ListedRelease) bool {
		return r.Name == p.Version && r.SHA256 == p.ManifestSHA256 && r.Err == nil
	})
	if target < 0 {
		a.Error = fmt.Sprintf("channel %s points to %s, which cannot be read", c.Channel, p.Version)
		return a
	}
	m := l.Releases[target].Document
	a.TooOld = c.TooOld(m)
	fetch, err := c.Fetch(m, p.ManifestSHA256, i.Arch)
	if err != nil {
		a.Error = textOf(err)
		return a
	}
	a.Fetch, a.Delta = &fetch.Whole, fetch.Delta
	return a
}

// fresh reports whether what was seen at a time may still be a fallback: as on an
// instance, the future is no such time.
func fresh(seen time.Time, maxAge time.Duration) bool {
	age := time.Since(seen)
	return age >= 0 && age < maxAge
}

func (u *ui) listAMIs(l amisJSON) error {
	w := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	for _, c := range l.Channels {
		_, _ = fmt.Fprintf(w, "channel %s\t%s\tsequence %d\t%s\n", c.Name, c.Version, c.Sequence, doubt(c.Error, c.doubtful, c.Issued)) // Flush reports it
	}
	for _, a := range l.AMIs {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.ID, orNone(a.Version), a.launch(), cmp.Or(strings.Join(a.remarks(), ", "), "-"))
	}
	return w.Flush()
}

// launch is what a launch from the AMI does.
func (a amiJSON) launch() string {
	switch {
	case a.Error != "":
		return a.Error
	case a.Fetch == nil:
		return "not known"
	case *a.Fetch == 0:
		return a.Channel + ": fetches nothing"
	case a.Delta > 0:
		return fmt.Sprintf("%s %s: fetches %s, or %s by delta", a.Channel, a.Target, report.Bytes(*a.Fetch), report.Bytes(a.Delta))
	}
	return fmt.Sprintf("%s %s: fetches %s", a.Channel, a.Target, report.Bytes(*a.Fetch))
}

func (a amiJSON) remarks() (all []string) {
	if a.Version == "" {
		return nil
	}
	all = append(all, "baked "+a.Baked.Format(time.RFC3339))
	if a.Rollout != "" {
		all = append(all, fmt.Sprintf("%d %% get %s", a.percent, a.Rollout))
	}
	if !a.Fallback {
		all = append(all, "too old for a fallback")
	}
	if a.TooOld {
		all = append(all, fmt.Sprintf("its koboshi %s is too old for %s", a.Agent, a.Target))
	}
	return all
}
