package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/smithy-go/logging"
	"github.com/spf13/cobra"

	"koboshi/agent/census"
	"koboshi/agent/failure"
	"koboshi/agent/group"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/durable"
	"koboshi/artifacts/publish"
)

// fleetFlags choose whose records are read.
type fleetFlags struct {
	releaseFlags
	channel string
	groups  []string
	trust   []string
}

func (f *fleetFlags) add(cmd *cobra.Command) *cobra.Command {
	f.addGroups(cmd)
	cmd.Flags().StringArrayVar(&f.trust, "trust", nil, "public key `FILE`; without it pointers are read, not verified")
	return f.releaseFlags.add(cmd)
}

func (f *fleetFlags) addGroups(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.groups, "group", nil, "an Auto Scaling `group`, which says who is there; repeat it for several")
}

type fleetOptions struct {
	fleetFlags
	html string
	all  bool
}

func (c *cli) fleet() *cobra.Command {
	var o fleetOptions
	cmd := &cobra.Command{
		Use:   "fleet --source S --app A",
		Short: "show which instance runs what",
		Long: "Show which instance runs which release, since when, how its last boot went and its node id, by\n" +
			"the health records of instances with fleet.report = true. What needs someone comes last: failed\n" +
			"is one on which its release failed, behind one that runs another release than its channel has for\n" +
			"it. With --group the group decides who is there: its instances without a record are unknown, and\n" +
			"a record whose instance the group does not have is ended. Instances that are gone or ended are\n" +
			"only counted, without --all. The records are not signed: they are hints. What has not changed is\n" +
			"read from a cache of the user's." +
			exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Disk, failure.Interrupted),
		Example: "  koboshi fleet --source s3://acme-releases/apps --app web --group web\n  koboshi fleet --source s3://acme-releases/apps --app web --html fleet.html",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runFleet(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.channel, "channel", "", "only this `channel`'s instances")
	cmd.Flags().StringVar(&o.html, "html", "", "write one HTML page, which needs nothing else, into this `FILE`")
	cmd.Flags().BoolVar(&o.all, "all", false, "list instances that are gone or ended, too")
	return o.add(cmd)
}

func (c *cli) runFleet(ctx context.Context, o fleetOptions) error {
	v, err := c.lookAtFleet(ctx, o.fleetFlags)
	if err != nil {
		return err
	}
	if !o.all {
		v.Rows = slices.DeleteFunc(v.Rows, func(r census.Row) bool { return r.Status == census.Left || r.Status == census.Ended })
	}
	if o.html != "" {
		if err := writePage(o.html, v, o.source); err != nil {
			return err
		}
		c.ui.say("%s is written", o.html)
	}
	switch {
	case o.json:
		return c.ui.printJSON(v)
	case o.html != "":
		return nil
	}
	return c.ui.listFleet(v, o.source)
}

// lookAtFleet reads records, channels and groups.
func (c *cli) lookAtFleet(ctx context.Context, f fleetFlags) (v census.View, err error) {
	b, trust, err := f.openFleet(ctx)
	if err != nil {
		return v, err
	}
	in := census.Input{App: f.app}
	if in.Channels, err = f.pointers(ctx, b, trust); err != nil {
		return v, err
	}
	if in.Members, err = f.members(ctx); err != nil {
		return v, err
	}
	listing, err := f.survey(ctx, b, in.Members)
	if err != nil {
		return v, err
	}
	c.warnForeign(listing.Foreign)
	cache, done := openCache(f.source, f.app, f.channel)
	defer done()
	if in.Entries, err = census.Read(ctx, b, f.app, listing.Newest, cache, c.ui.requests()); err != nil {
		return v, fmt.Errorf("read the health records of %s: %w", f.app, err)
	}
	if cache != nil {
		if err := cache.Save(); err != nil {
			c.ui.warn(fmt.Sprintf("the cache of health records could not be written: %v", err))
		}
	}
	in.Now = listing.Date
	v = census.Look(in)
	if len(v.Rows) == 0 {
		of := f.app
		if f.channel != "" {
			of = fmt.Sprintf("channel %s of %s", f.channel, f.app)
		}
		nothing := failure.Mark(fmt.Errorf("no instance of %s has written a health record", of), failure.ErrFound)
		return v, failure.WithHint(nothing, noRecordsHint)
	}
	return v, nil
}

const noRecordsHint = "instances write them with [fleet] report = true and s3:PutObject on health/*: koboshi help configuration; compare --app, --source and the channel, too"

// survey lists the health records of a channel, or of all where that is "". Its date is the
// store's, or our own where the store has said none.
func survey(ctx context.Context, b bucket.Bucket, app, channel string) (census.Listing, error) {
	l, err := census.Survey(ctx, b, channel)
	if l.Date.IsZero() {
		l.Date = time.Now().UTC().Truncate(time.Second)
	}
	if err == nil {
		return l, nil
	}
	err = fmt.Errorf("list the health records of %s: %w", app, err)
	if errors.Is(err, census.ErrTooMany) {
		err = failure.WithHint(failure.Mark(err, failure.ErrFound), "a lifecycle rule of the bucket expires old ones: koboshi help configuration has one; --channel looks at one channel alone")
	}
	return l, err
}

// survey lists the records of the channel. Of a group, which may have instances of several
// channels, it takes all to know which are of others: these are taken out of members.
func (f *fleetFlags) survey(ctx context.Context, b bucket.Bucket, members map[string]census.Member) (census.Listing, error) {
	if members == nil || f.channel == "" {
		return survey(ctx, b, f.app, f.channel)
	}
	l, err := survey(ctx, b, f.app, "")
	return l.Only(f.channel, members), err
}

func (c *cli) warnForeign(n int) {
	if n > 0 {
		c.ui.warn(fmt.Sprintf("not counted: %s below %s, no health %s", count(n, "object", "objects"), census.Directory, map[bool]string{true: "record", false: "records"}[n == 1]))
	}
}

func (f *fleetFlags) openFleet(ctx context.Context) (b bucket.Bucket, trust artifacts.Trust, err error) {
	if f.channel != "" {
		if err := artifacts.CheckName(f.channel); err != nil {
			return nil, trust, usage(fmt.Errorf("--channel: %w", err))
		}
	}
	if err := checkGroups(f.groups); err != nil {
		return nil, trust, usage(err)
	}
	if len(f.trust) > 0 {
		if trust, err = readTrust(f.trust); err != nil {
			return nil, trust, err
		}
	}
	b, err = openBucket(ctx, f.source, f.app)
	return b, trust, err
}

// pointers are those of the channels that can be used; of one channel, nothing else is
// read. With --trust, one that is not signed by it is an error: who is behind would be
// what someone else says.
func (f *fleetFlags) pointers(ctx context.Context, b bucket.Bucket, trust artifacts.Trust) (map[string]artifacts.Pointer, error) {
	var all []publish.Listed[artifacts.Pointer]
	var err error
	if f.channel == "" {
		all, err = publish.Pointers(ctx, b, f.app, trust)
	} else if one, e := publish.PointerOf(ctx, b, f.app, f.channel, trust); !errors.Is(one.Err, bucket.ErrNotFound) {
		all, err = []publish.Listed[artifacts.Pointer]{one}, e
	}
	if err != nil {
		return nil, err
	}
	usable := map[string]artifacts.Pointer{}
	for _, l := range all {
		if len(f.trust) > 0 && !l.Verified {
			return nil, failure.Mark(fmt.Errorf("channel %s is not signed by --trust", l.Name), artifacts.ErrUntrusted)
		}
		if l.Err == nil {
			usable[l.Name] = l.Document
		}
	}
	return usable, nil
}

// members are the instances of the groups, nil where none is named.
func (f *fleetFlags) members(ctx context.Context) (map[string]census.Member, error) {
	if len(f.groups) == 0 {
		return nil, nil //nolint:nilnil // it is not known who is there
	}
	cfg, err := awsOfGroups(ctx, f.source)
	if err != nil {
		return nil, err
	}
	cfg.Logger = logging.Nop{} // of a large answer the SDK now and then closes the connection too soon, asks again, and says so
	client, all := group.New(cfg), map[string]census.Member{}
	for _, name := range f.groups {
		g, err := client.Describe(ctx, name)
		if errors.Is(err, group.ErrDenied) {
			err = failure.WithHint(err, "allow what koboshi iam-policy --fleet prints")
		}
		if err != nil {
			return nil, noSuchGroup(err)
		}
		for _, i := range g.Instances {
			all[i.ID] = census.Member{Group: g.Name, State: i.State}
		}
	}
	return all, nil
}

// checkGroups accepts what may be names of groups.
func checkGroups(names []string) error {
	for _, name := range names {
		if err := checkGroup(name); err != nil {
			return err
		}
	}
	return nil
}

// openCache opens what was read before; nil where there is no place for it.
func openCache(source, app, channel string) (cache *census.Cache, done func()) {
	done = func() {}
	base, err := os.UserCacheDir()
	if err != nil {
		return nil, done
	}
	where := filepath.Join(base, "koboshi")
	if os.MkdirAll(where, 0o700) != nil {
		return nil, done
	}
	dir, err := os.OpenRoot(where)
	if err != nil {
		return nil, done
	}
	name := "fleet-" + artifacts.Sum([]byte(source+"\n"+app+"\n"+channel)).Short() + ".json"
	return census.OpenCache(dir, name), func() { _ = dir.Close() } // nothing is written through it
}

// writePage replaces a file by the page, or leaves it as it was.
func writePage(name string, v census.View, source string) error {
	var page bytes.Buffer
	if err := v.Page(&page, source); err != nil {
		return err
	}
	dir, err := os.OpenRoot(filepath.Dir(name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return usage(fmt.Errorf("--html: %w", unreadable(name, err)))
	}
	if err != nil {
		return ofCaller(unreadable(name, err))
	}
	err = durable.WriteFile(dir, filepath.Base(name), page.Bytes(), 0o644)
	if err = errors.Join(err, dir.Close()); err != nil {
		return ofCaller(unreadable(name, err))
	}
	return nil
}

// listFleet prints a line for each instance, and how many there are.
func (u *ui) listFleet(v census.View, source string) error {
	w := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	if len(v.Rows) > 0 {
		_, _ = fmt.Fprintln(w, "instance\tstatus\trelease\tchannel\tsince\tboot\tnode\tgroup\tnote") // Flush reports an error
	}
	width := columns(u.out) // a note takes what is left of a line beside the other columns, and at least a few words
	for _, r := range v.Rows {
		note := cmp.Or(r.Note(), "-")
		if width > 0 {
			note = cut(note, max(40, width-110))
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Instance, r.Status, cmp.Or(r.Release, "-"), cmp.Or(r.Channel, "-"),
			census.Age(v.At, r.Since), r.BootText(), r.NodeText(), cmp.Or(r.Group, "-"), note)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range v.Channels {
		next := ""
		if p.Next != nil {
			next = fmt.Sprintf(", and %s for %d %% of the instances", p.Next.Version, p.Next.Percent)
		}
		u.printf("channel %s: %s%s\n", p.Channel, p.Version, next)
	}
	u.printf("%s in %s: %s\n", v.App, source, fleetSummary(v.Counts))
	return nil
}

// fleetSummary is how many instances have each status, the best first.
func fleetSummary(counts map[census.Status]int) string {
	var words []string
	for _, s := range append(census.Statuses()[2:], census.Left, census.Ended) {
		if counts[s] > 0 || s == census.Well {
			words = append(words, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	return strings.Join(words, ", ")
}
