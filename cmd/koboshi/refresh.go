package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/failure"
	"koboshi/agent/group"
	"koboshi/agent/report"
)

// refreshFlags are the flags of the commands below refresh.
type refreshFlags struct {
	group  string
	noWait bool
	json   bool
}

func (c *cli) refresh() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "refresh",
		Short: "replace the instances of a group, by Auto Scaling's instance refresh",
		Long: "Start, watch and end the instance refresh of an Auto Scaling group, which alone replaces\n" +
			"instances. What comes follows its channel. See koboshi help ami.",
		GroupID: releaseSide,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return usage(errors.New("which of start, status and cancel?")) },
	}
	cmd.AddCommand(c.refreshStart(), c.refreshStatus(), c.refreshCancel())
	return cmd
}

func (f *refreshFlags) add(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&f.group, "group", "", "the Auto Scaling `group`")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return required(cmd, "group")
}

func (f *refreshFlags) addWaiting(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "do not wait for its end")
	return f.add(cmd)
}

// checkGroup accepts what may be the name of a group.
func checkGroup(name string) error {
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return fmt.Errorf("--group %q is no name of a group", name)
	}
	return nil
}

// refresher builds what works on the refreshes of the group.
func (c *cli) refresher(ctx context.Context, f refreshFlags) (*agent.Refresher, error) {
	if err := checkGroup(f.group); err != nil {
		return nil, usage(err)
	}
	cfg, err := awsOfGroups(ctx, "")
	if err != nil {
		return nil, err
	}
	return &agent.Refresher{Scaling: group.New(cfg), Group: f.group, Observe: c.ui.watchRefresh(f)}, nil
}

// follow waits for the end of a refresh, and prints it.
func (c *cli) follow(ctx context.Context, r *agent.Refresher, f refreshFlags, id, want string) error {
	if f.noWait {
		if f.json {
			return c.ui.printJSON(map[string]string{"group": f.group, "id": id})
		}
		c.ui.printf("%s: instance refresh %s; koboshi refresh status --group %s shows how far it is\n", f.group, id, f.group)
		return nil
	}
	last, err := r.Follow(ctx, id, want)
	c.ui.clear()
	if f.json && last.ID != "" {
		err = errors.Join(c.ui.printJSON(refreshOf(f.group, last)), err)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return goesOn(f.group, "goes on")
	}
	return err
}

// ofRefresh gives an error of these commands the hint that fits them.
func ofRefresh(err error) error {
	switch {
	case errors.Is(err, group.ErrDenied) && strings.Contains(err.Error(), "launch template"):
		return failure.WithHint(err, "a refresh to a launch template also needs ec2:RunInstances, and where the template has them, iam:PassRole for its instance profile and ec2:CreateTags for its tags")
	case errors.Is(err, group.ErrDenied):
		return failure.WithHint(err, "allow what koboshi iam-policy --refresh prints")
	}
	return noSuchGroup(err)
}

// noSuchGroup gives the error of a group that does not exist the hint of a command that
// knows nothing of CodeDeploy.
func noSuchGroup(err error) error {
	if errors.Is(err, group.ErrNoGroup) {
		return failure.WithHint(err, "compare --group with aws autoscaling describe-auto-scaling-groups, in the region of AWS_REGION")
	}
	return err
}

// goesOn is the error of a command that was interrupted, and whose refresh was not.
func goesOn(name, how string) error {
	return failure.WithHint(failure.Mark(fmt.Errorf("the instance refresh of %s %s", name, how), failure.ErrInterrupted),
		fmt.Sprintf("koboshi refresh status --group %s shows how far it is, koboshi refresh cancel --group %s ends it", name, name))
}

// watchRefresh shows how far a refresh is: at a terminal in a line that is drawn again,
// elsewhere a line at each new status.
func (u *ui) watchRefresh(f refreshFlags) func(group.Refresh) {
	var shown group.Refresh
	return func(r group.Refresh) {
		u.clear()
		if r.Status != shown.Status || r.RollbackReason != shown.RollbackReason {
			write := u.printf
			if f.json {
				write = func(format string, args ...any) { u.say(strings.TrimSuffix(format, "\n"), args...) }
			}
			write("%s\n", refreshLine(f.group, r))
			shown = r
			return
		}
		if u.terminal {
			u.draw("  " + refreshLine(f.group, r))
		}
	}
}

// refreshLine is how far a refresh is.
func refreshLine(name string, r group.Refresh) string {
	parts := []string{r.Status, fmt.Sprintf("%d %%", r.Percent)}
	if r.Active() {
		parts = append(parts, count(r.ToUpdate, "instance", "instances")+" to update")
	}
	if next := nextCheckpoint(r); next > 0 && r.Status == "InProgress" {
		parts = append(parts, fmt.Sprintf("next checkpoint %d %%", next))
	}
	if r.Status == "Baking" {
		parts = append(parts, "bake time "+report.Duration(r.Bake))
	}
	text := name + ": " + strings.Join(parts, ", ")
	switch {
	case r.RollbackReason != "":
		text += ": " + report.Clean(r.RollbackReason, failure.MaxMessage)
	case r.Reason != "":
		text += ": " + report.Clean(r.Reason, failure.MaxMessage)
	}
	return text
}

// nextCheckpoint is the percentage that the refresh is on its way to; 0 = the end.
func nextCheckpoint(r group.Refresh) int {
	for _, percent := range r.Checkpoints {
		if percent > r.Percent && percent < 100 {
			return percent
		}
	}
	return 0
}

// refreshJSON is a refresh in the output of --json.
type refreshJSON struct {
	Group    string          `json:"group"`
	ID       string          `json:"id"`
	Status   string          `json:"status"` // in AWS's words
	Active   bool            `json:"active"`
	Reason   string          `json:"reason,omitzero"`
	Started  time.Time       `json:"started,omitzero"`
	Ended    time.Time       `json:"ended,omitzero"`
	Percent  int             `json:"percent"`
	ToUpdate int             `json:"instances_to_update"`
	Template *group.Template `json:"template,omitzero"`

	Checkpoints    []int    `json:"checkpoints,omitzero"` // percent
	Delay          int64    `json:"checkpoint_delay_seconds,omitzero"`
	Bake           int64    `json:"bake_seconds,omitzero"`
	Alarms         []string `json:"alarms,omitzero"`
	AutoRollback   bool     `json:"auto_rollback"`
	RollbackReason string   `json:"rollback_reason,omitzero"`
}

func refreshOf(name string, r group.Refresh) refreshJSON {
	return refreshJSON{
		Group: name, ID: r.ID, Status: r.Status, Active: r.Active(), Reason: report.Clean(r.Reason, failure.MaxMessage), Started: r.Started, Ended: r.Ended,
		Percent: r.Percent, ToUpdate: r.ToUpdate, Template: r.Desired, Checkpoints: r.Checkpoints, Delay: int64(r.CheckpointDelay / time.Second),
		Bake: int64(r.Bake / time.Second), Alarms: r.Alarms, AutoRollback: r.AutoRollback, RollbackReason: report.Clean(r.RollbackReason, failure.MaxMessage),
	}
}
