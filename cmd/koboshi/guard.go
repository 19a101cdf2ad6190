package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/failure"
	"koboshi/agent/group"
	"koboshi/agent/guard"
	"koboshi/agent/report"
)

// guardFlags are the flags of the commands below guard.
type guardFlags struct {
	source, app        string
	groups             []string
	json               bool
	holder, reason     string
	suspend            []string
	allow              []string
	codedeploy         string
	wait, lease, limit time.Duration
	fence              int64
	force              bool
}

// usuallySuspended is what a deploy is in the way of, and what is in the way of a
// deploy. Launch and Terminate are not among them: without them an instance that fails
// is not replaced.
var usuallySuspended = []group.Process{group.AZRebalance, group.AlarmNotification, group.ScheduledActions, group.ReplaceUnhealthy, group.InstanceRefresh}

const (
	leaseOfRun     = 2 * time.Minute
	leaseOfAcquire = time.Hour
	minLease       = 15 * time.Second
	maxLease       = 12 * time.Hour
)

func (c *cli) guard() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "keep Auto Scaling groups still around a deploy",
		Long: "Keep Auto Scaling groups still around a deploy: one holder at a time, by a lock in the bucket; its\n" +
			"processes suspended, and resumed again as they were. See koboshi help deploys.",
		GroupID: releaseSide,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage(errors.New("which of check, run, acquire, release, renew, status and repair?"))
		},
	}
	cmd.AddCommand(c.guardCheck(), c.guardRun(), c.guardAcquire(), c.guardRelease(), c.guardRenew(), c.guardStatus(), c.guardRepair())
	return cmd
}

// guardExits are the exit codes that all of these commands share.
func guardExits(more ...failure.Code) string {
	codes := append([]failure.Code{failure.OK, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Interrupted}, more...)
	slices.Sort(codes)
	return exits(codes...)
}

// add adds the flags that all have.
func (f *guardFlags) add(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&f.source, "source", "", "where the lock is kept: `s3://bucket/prefix[?region=R] or file:///directory`")
	cmd.Flags().StringVar(&f.app, "app", "", "the `app`")
	cmd.Flags().StringArrayVar(&f.groups, "group", nil, "an Auto Scaling `group`; repeat it for several, of which all are taken or none")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return required(cmd, "source", "app", "group")
}

// addLooking adds the flags of what looks at the groups.
func (f *guardFlags) addLooking(cmd *cobra.Command, wait time.Duration) {
	cmd.Flags().StringVar(&f.codedeploy, "codedeploy", "", "look for deployments of CodeDeploy, too: `APP/GROUP`")
	cmd.Flags().StringSliceVar(&f.allow, "allow", nil, "accept reasons with this `CODE`: "+codes())
	cmd.Flags().DurationVar(&f.wait, "wait", wait, "how long to wait for the groups to be quiet, such as 10m; never for the lock")
}

// addHolding adds the flags of what takes the groups.
func (f *guardFlags) addHolding(cmd *cobra.Command, lease time.Duration) {
	f.addLooking(cmd, 10*time.Minute)
	cmd.Flags().StringVar(&f.holder, "holder", "", "`who` holds the groups; default: user and host")
	cmd.Flags().StringVar(&f.reason, "reason", "", "`why`, for those who find the groups held")
	cmd.Flags().StringSliceVar(&f.suspend, "suspend", names(usuallySuspended), "`processes` to suspend; Launch and Terminate are suspended only where they are named")
	cmd.Flags().DurationVar(&f.lease, "lease", lease, "after this `time` without renewal others may put the groups back")
}

func names(processes []group.Process) (all []string) {
	for _, p := range processes {
		all = append(all, string(p))
	}
	return all
}

func codes() string {
	var all []string
	for _, c := range guard.Codes() {
		all = append(all, string(c))
	}
	return strings.Join(all, ", ")
}

// newGuard builds the guard of these flags. observe gets each line for people.
func (c *cli) newGuard(ctx context.Context, f guardFlags, observe func(group, line string)) (*agent.Guard, error) {
	g := &agent.Guard{
		Holder: f.holder, Reason: f.reason, Wait: f.wait, Lease: f.lease, Observe: observe,
		Groups: slices.Compact(slices.Sorted(slices.Values(f.groups))),
	}
	if g.Holder == "" {
		g.Holder = holder()
	}
	if g.Lease == 0 {
		g.Lease = leaseOfRun
	}
	if err := f.read(g); err != nil {
		return nil, usage(err)
	}
	b, err := openBucket(ctx, f.source, f.app)
	if err != nil {
		return nil, err
	}
	cfg, err := awsOfGroups(ctx, f.source)
	if err != nil {
		return nil, err
	}
	if !inS3(f.source) {
		g.Local = time.Now // a directory has no clock of its own
	}
	g.Records, g.Scaling = b, group.New(cfg)
	return g, nil
}

// read reads the flags that are more than text.
func (f *guardFlags) read(g *agent.Guard) error {
	if err := checkGroups(g.Groups); err != nil {
		return err
	}
	if err := f.readLists(g); err != nil {
		return err
	}
	switch {
	case f.wait < 0 || f.limit < 0:
		return errors.New("--wait and --timeout are not below 0")
	case f.lease != 0 && (f.lease < minLease || f.lease > maxLease):
		return fmt.Errorf("--lease %s, want %s to %s", f.lease, minLease, maxLease)
	case strings.ContainsFunc(f.holder+f.reason, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(f.holder+f.reason) > 1000:
		return errors.New("--holder and --reason are one short line each")
	}
	return nil
}

func (f *guardFlags) readLists(g *agent.Guard) error {
	for _, name := range f.suspend {
		p, err := group.ParseProcess(name)
		if err != nil {
			return fmt.Errorf("--suspend: %w", err)
		}
		g.Suspend = append(g.Suspend, p)
	}
	slices.Sort(g.Suspend)
	g.Suspend = slices.Compact(g.Suspend)
	for _, code := range f.allow {
		if !slices.Contains(guard.Codes(), guard.Code(code)) {
			return fmt.Errorf("--allow %q, want one of %s", code, codes())
		}
		g.Allow = append(g.Allow, guard.Code(code))
	}
	if f.codedeploy != "" {
		app, deployments, ok := strings.Cut(f.codedeploy, "/")
		if !ok || app == "" || deployments == "" {
			return fmt.Errorf("--codedeploy %q, want APP/GROUP", f.codedeploy)
		}
		g.Application, g.Deployments = app, deployments
	}
	return nil
}

func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return whoami() + "@" + host
}

// lines prints what is done as a result, or with --json beside it.
func (c *cli) lines(f guardFlags) func(group, line string) {
	if f.json {
		return c.sayOf
	}
	return func(group, line string) { c.ui.printf("%s: %s\n", group, report.Clean(line, failure.MaxMessage)) }
}

func (c *cli) sayOf(group, line string) {
	c.ui.say("%s: %s", group, report.Clean(line, failure.MaxMessage))
}
