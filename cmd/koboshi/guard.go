package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	cfg, err := loadAWS(ctx, g.Holder+fmt.Sprint(os.Getpid()))
	if err != nil {
		return nil, err
	}
	if u, err := parseSource(f.source); err == nil && cfg.Region == "" {
		cfg.Region = regionOf(u)
	}
	if cfg.Region == "" {
		return nil, failure.WithHint(failure.Mark(errors.New("no AWS region is set"), failure.ErrConfiguration), "set AWS_REGION to the region of the group")
	}
	if !inS3(f.source) {
		g.Local = time.Now // a directory has no clock of its own
	}
	g.Records, g.Scaling = b, group.New(forLaptop(cfg))
	return g, nil
}

// read reads the flags that are more than text.
func (f *guardFlags) read(g *agent.Guard) error {
	for _, name := range g.Groups {
		if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
			return fmt.Errorf("--group %q is no name of a group", name)
		}
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

func (c *cli) guardCheck() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "check --source S --app A --group G",
		Short: "find out whether a group is safe to deploy to",
		Long: "Look for reasons for which a deploy would meet a group in change: one line a reason, and exit code\n" +
			"1 where there is one. With --wait it waits until there is none, unless waiting does not help." + guardExits(failure.Found),
		Example: "  koboshi guard check --source s3://acme-releases/apps --app web --group web --codedeploy shop/web-blue-green",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runGuardCheck(cmd.Context(), f) },
	}
	f.addLooking(cmd, 0)
	return f.add(cmd)
}

func (c *cli) runGuardCheck(ctx context.Context, f guardFlags) error {
	g, err := c.newGuard(ctx, f, c.sayOf)
	if err != nil {
		return err
	}
	all, err := g.Check(ctx)
	if err != nil {
		return err
	}
	var unsafe []string
	for _, found := range all {
		if !found.Safe {
			unsafe = append(unsafe, found.Group)
		}
		if f.json {
			if err := c.ui.printJSON(found); err != nil {
				return err
			}
			continue
		}
		c.ui.reasons(found)
	}
	if len(unsafe) > 0 {
		return failure.WithHint(failure.Mark(fmt.Errorf("not safe to deploy to: %s", strings.Join(unsafe, ", ")), failure.ErrFound),
			"wait until it is over (--wait), or accept a reason: --allow CODE")
	}
	return nil
}

// reasons prints one line a reason.
func (u *ui) reasons(found guard.GroupReasons) {
	if found.Safe {
		u.printf("%s: safe\n", found.Group)
	}
	for _, r := range found.Reasons {
		since := ""
		if !r.Since.IsZero() {
			since = ", since " + r.Since.Format(time.RFC3339)
		}
		u.printf("%s: %s: %s%s\n", found.Group, r.Code, r.Text, since)
	}
}

func (c *cli) guardAcquire() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "acquire --source S --app A --group G",
		Short: "keep a group still until it is released: for pipelines of several steps",
		Long: "Take the lock of the groups, wait until they are quiet, suspend their processes, and print the\n" +
			"fence that release and renew ask for. A lease that is not renewed ends; then koboshi guard repair,\n" +
			"by anyone, puts the groups back." + guardExits(failure.Found, failure.Lifecycle, failure.Locked, failure.Deadline),
		Example: "  fence=$(koboshi guard acquire --source s3://acme-releases/apps --app web --group web --lease 2h --reason 'deploy 1.5.0')",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withHeld(cmd.Context(), f, true, func(ctx context.Context, g *agent.Guard) ([]agent.GroupHeld, error) { return g.Acquire(ctx) })
		},
	}
	f.addHolding(cmd, leaseOfAcquire)
	return f.add(cmd)
}

func (c *cli) guardRenew() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "renew --source S --app A --group G --fence N",
		Short: "extend the lease of a group that was acquired",
		Long:  "Extend the lease of groups that koboshi guard acquire has taken, by its fence." + guardExits(failure.Locked, failure.Deadline),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withHeld(cmd.Context(), f, false, func(ctx context.Context, g *agent.Guard) ([]agent.GroupHeld, error) { return g.Renew(ctx, f.fence) })
		},
	}
	cmd.Flags().Int64Var(&f.fence, "fence", 0, "the `number` that acquire has printed")
	cmd.Flags().DurationVar(&f.lease, "lease", leaseOfAcquire, "`time` from now on")
	return required(f.add(cmd), "fence")
}

// heldJSON is a group in the output of acquire, renew and run.
type heldJSON struct {
	Group     string          `json:"group"`
	Fence     int64           `json:"fence"`
	Until     time.Time       `json:"lease_until"`
	Suspended []group.Process `json:"suspended"`
	Before    []group.Process `json:"before"` // by others
}

func heldOf(h agent.GroupHeld) heldJSON {
	return heldJSON{h.Group, h.Fence, h.Until, append([]group.Process{}, h.Suspended...), append([]group.Process{}, h.Before...)}
}

func (c *cli) withHeld(ctx context.Context, f guardFlags, printFence bool, do func(context.Context, *agent.Guard) ([]agent.GroupHeld, error)) error {
	g, err := c.newGuard(ctx, f, c.sayOf)
	if err != nil {
		return err
	}
	c.warnOfLaunch(g)
	ignoreSIGPIPE()
	held, err := do(ctx, g)
	if err != nil {
		return err
	}
	for n, h := range held {
		switch {
		case f.json:
			if err := c.ui.printJSON(heldOf(h)); err != nil {
				return err
			}
		case printFence && n == 0: // the same for all
			c.ui.printf("%d\n", h.Fence)
		case !printFence:
			c.ui.printf("%s: held until %s\n", h.Group, h.Until.Format(time.RFC3339))
		}
	}
	return nil
}

func (c *cli) warnOfLaunch(g *agent.Guard) {
	if slices.Contains(g.Suspend, group.Launch) {
		c.ui.warn("without Launch nothing is replaced, and all that is missing is launched at once afterwards")
	}
	if slices.Contains(g.Suspend, group.Terminate) {
		c.ui.warn("without Terminate the group may grow to 10 % above its maximum")
	}
}

func (c *cli) guardRelease() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "release --source S --app A --group G --fence N",
		Short: "put a group back that was acquired",
		Long: "Resume what koboshi guard acquire has suspended, by its fence, and release the lock. What others\n" +
			"have suspended stays as it is. A group that is released already is no error." + guardExits(failure.Lifecycle, failure.Locked),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withRestored(cmd.Context(), f, func(ctx context.Context, g *agent.Guard) ([]agent.GroupRestored, error) {
				return g.Release(ctx, f.fence)
			})
		},
	}
	cmd.Flags().Int64Var(&f.fence, "fence", 0, "the `number` that acquire has printed")
	return required(f.add(cmd), "fence")
}

func (c *cli) guardRepair() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "repair --source S --app A --group G",
		Short: "put back what a holder has left that is dead",
		Long: "Resume what a guard has suspended whose holder is dead: no sooner than a minute after its lease has\n" +
			"ended, or at once with --force. It prints each process that it resumes, and each that it leaves\n" +
			"alone and why. That there is nothing to repair is no error." + guardExits(failure.Lifecycle, failure.Locked),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withRestored(cmd.Context(), f, func(ctx context.Context, g *agent.Guard) ([]agent.GroupRestored, error) {
				return g.Repair(ctx, f.force)
			})
		},
	}
	cmd.Flags().BoolVar(&f.force, "force", false, "do not wait for the lease to end: its holder is known to be dead, or has to end its command")
	return f.add(cmd)
}

func (c *cli) withRestored(ctx context.Context, f guardFlags, do func(context.Context, *agent.Guard) ([]agent.GroupRestored, error)) error {
	g, err := c.newGuard(ctx, f, c.lines(f))
	if err != nil {
		return err
	}
	ignoreSIGPIPE()
	restored, err := do(ctx, g)
	for _, r := range restored {
		if f.json {
			err = errors.Join(err, c.ui.printJSON(restoredOf(r)))
		}
	}
	return err
}

func restoredOf(r agent.GroupRestored) agent.GroupRestored {
	r.Left = append([]guard.Left{}, r.Left...)
	return r
}

func (c *cli) guardStatus() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "status --source S --app A [--group G]",
		Short: "show who holds which group",
		Long:  "Show who holds which group, why and until when, and what was suspended; without --group of all groups." + guardExits(),
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.runGuardStatus(cmd.Context(), f) },
	}
	f.add(cmd)
	delete(cmd.Flag("group").Annotations, cobra.BashCompOneRequiredFlag)
	return cmd
}

// statusJSON is a group in the output of status.
type guardStatusJSON struct {
	guard.Record
	Over bool `json:"lease_over"` // held by someone whose lease has ended
}

func (c *cli) runGuardStatus(ctx context.Context, f guardFlags) error {
	g, err := c.newGuard(ctx, f, c.sayOf)
	if err != nil {
		return err
	}
	all, err := g.Status(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		r := s.Record
		held := &guard.HeldError{Record: r, Now: s.Now}
		switch {
		case f.json:
			if err := c.ui.printJSON(guardStatusJSON{r, r.State == guard.Held && held.Over()}); err != nil {
				return err
			}
		case r.State == guard.Held:
			c.ui.printf("%s\n", held)
			for _, p := range slices.Sorted(maps.Keys(r.Ours)) {
				c.ui.printf("%s: %s: suspended by the guard: %s\n", r.Group, p, r.Ours[p])
			}
			for _, p := range slices.Sorted(maps.Keys(r.Before)) {
				c.ui.printf("%s: %s: suspended by someone else: %s\n", r.Group, p, r.Before[p])
			}
		default:
			c.ui.printf("group %s is free, last fence %d\n", r.Group, r.Fence)
		}
	}
	if len(all) == 0 && !f.json {
		c.ui.say("no group of %s was guarded yet", f.app)
	}
	return nil
}
