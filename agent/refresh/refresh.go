package refresh

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"koboshi/agent/group"
)

// The limits of Auto Scaling.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RefreshPreferences.html
const (
	MaxDelay  = 48 * time.Hour // of a checkpoint, and of the bake time
	MaxAlarms = 10
	maxApart  = 100 // percent between min and max healthy
)

// RefusedError is a refresh that is not started, or a rollback that is not begun, by what
// the group is now.
type RefusedError struct{ Why, Do string }

// Error says why.
func (e *RefusedError) Error() string { return e.Why }

// Advice is what to do about it.
func (e *RefusedError) Advice() string { return e.Do }

// EndedError is a refresh that has ended in another way than it was to.
type EndedError struct {
	Group   string
	Refresh group.Refresh
}

// Error says how, and why in AWS's words.
func (e *EndedError) Error() string {
	text := fmt.Sprintf("the instance refresh of %s has ended as %s", e.Group, e.Refresh.Status)
	if why := cmp.Or(e.Refresh.RollbackReason, e.Refresh.Reason); why != "" {
		text += ": " + why
	}
	return text
}

// Advice is what to do about it.
func (e *EndedError) Advice() string {
	switch e.Refresh.Status {
	case "RollbackSuccessful":
		return "the instances that the rollback launched follow their channel: koboshi releases shows where that points"
	case "Cancelled":
		return "what was replaced stays: start another one, with --skip-matching where the launch template has a new version"
	}
	return "aws autoscaling describe-scaling-activities --auto-scaling-group-name " + e.Group + " has the launches that failed, and koboshi status on such an instance why"
}

// ParseTemplate reads ID:VERSION or NAME:VERSION.
func ParseTemplate(text string) (t group.Template, err error) {
	i := strings.LastIndexByte(text, ':')
	if i < 1 || i == len(text)-1 {
		return t, fmt.Errorf("%.60q, want ID:VERSION, such as lt-0a1b2c3d4e5f60718:7", text)
	}
	t.Version = text[i+1:]
	if strings.HasPrefix(text, "lt-") {
		t.ID = text[:i]
	} else {
		t.Name = text[:i]
	}
	if !t.Numbered() && t.Version != "$Latest" && t.Version != "$Default" {
		return t, fmt.Errorf("%.60q: want a number as the version, or $Latest or $Default", text)
	}
	return t, nil
}

// Check refuses what Auto Scaling would, and skip matching where there is nothing new to
// match, by the options alone.
func Check(o group.RefreshOptions) error {
	for i, percent := range o.Checkpoints {
		if percent < 1 || percent > 100 || i > 0 && percent <= o.Checkpoints[i-1] {
			return errors.New("--checkpoints ascend, from 1 to 100")
		}
	}
	switch n := len(o.Checkpoints); {
	case n > 0 && o.Checkpoints[n-1] != 100:
		return fmt.Errorf("--checkpoints end at %d: the last one is 100, or the rest of the group stays as it is", o.Checkpoints[n-1])
	case n == 0 && o.CheckpointDelay != 0:
		return errors.New("--checkpoint-delay is for --checkpoints")
	case o.AutoRollback && o.Template == nil:
		return errors.New("--auto-rollback needs --template: without a desired configuration there is nothing to go back from")
	case o.AutoRollback && !o.Template.Numbered():
		return fmt.Errorf("--auto-rollback needs a numbered version of the launch template, not %s", o.Template.Version)
	case o.SkipMatching && o.Template == nil:
		return errors.New("--skip-matching needs --template with a new version: it compares launch templates and does not see the channel, so nothing would be replaced")
	case o.SkipMatching && !o.Template.Numbered():
		return fmt.Errorf("--skip-matching needs a numbered version of the launch template, not %s: it cannot be seen whether that is a new one", o.Template.Version)
	}
	return errors.Join(checkHealthy(o), checkDelay("--checkpoint-delay", o.CheckpointDelay), checkDelay("--bake", o.Bake), checkWarmup(o), checkAlarms(o.Alarms))
}

func checkHealthy(o group.RefreshOptions) error {
	switch least, most := o.MinHealthy, o.MaxHealthy; {
	case least != nil && (*least < 0 || *least > 100):
		return fmt.Errorf("--min-healthy %d, want 0 to 100", *least)
	case most == nil:
	case *most < 100 || *most > 200:
		return fmt.Errorf("--max-healthy %d, want 100 to 200", *most)
	case least == nil:
		return errors.New("--max-healthy needs --min-healthy")
	case *most-*least > maxApart:
		return fmt.Errorf("--min-healthy %d and --max-healthy %d are more than %d apart", *least, *most, maxApart)
	}
	return nil
}

func checkDelay(flag string, d time.Duration) error {
	if d < 0 || d > MaxDelay || d%time.Second != 0 {
		return fmt.Errorf("%s %s, want whole seconds, at most %s", flag, d, MaxDelay)
	}
	return nil
}

func checkWarmup(o group.RefreshOptions) error {
	if w := o.Warmup; w != nil && (*w < 0 || *w%time.Second != 0) {
		return fmt.Errorf("--warmup %s, want whole seconds", *w)
	}
	return nil
}

func checkAlarms(alarms []string) error {
	if len(alarms) > MaxAlarms {
		return fmt.Errorf("%d alarms, want at most %d", len(alarms), MaxAlarms)
	}
	for i, name := range alarms {
		if name == "" || len(name) > 255 || slices.Contains(alarms[:i], name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("--alarm %.40q: want names of alarms, each once", name)
		}
	}
	return nil
}

// Fits refuses what cannot be by what the group is now. What its launch template has
// inside is not seen: AWS refuses itself to roll back from or to an SSM parameter as AMI.
// Errors are *RefusedError.
func Fits(o group.RefreshOptions, g group.Group) error {
	if err := runs(g); err != nil {
		return err
	}
	switch {
	case o.Template != nil && g.Mixed:
		return &RefusedError{fmt.Sprintf("group %s has a mixed instances policy, which --template cannot carry", g.Name),
			"start it with aws autoscaling start-instance-refresh --desired-configuration; koboshi refresh status and koboshi refresh cancel are for that one, too"}
	case o.AutoRollback && rolling(g.Template):
		return &RefusedError{fmt.Sprintf("group %s launches from %s: AWS rolls back to a numbered version only", g.Name, g.Template.Version),
			"give the group the number of the version that it launches from now (aws autoscaling update-auto-scaling-group --launch-template), then start the refresh"}
	case o.SkipMatching && same(*o.Template, g.Template):
		return &RefusedError{fmt.Sprintf("group %s launches from %s already: --skip-matching would replace nothing", g.Name, o.Template),
			"leave it out: it compares launch templates and does not see the channel; or make a new version of the template"}
	}
	return nil
}

// runs refuses a group whose refresh would not go on.
func runs(g group.Group) error {
	var stopped []group.Process
	for _, p := range []group.Process{group.InstanceRefresh, group.Launch, group.Terminate} {
		if _, is := g.Suspended[p]; is {
			stopped = append(stopped, p)
		}
	}
	if len(stopped) == 0 {
		return nil
	}
	return &RefusedError{fmt.Sprintf("%s suspended in group %s: an instance refresh would not go on", are(group.Names(stopped), len(stopped)), g.Name),
		"within koboshi guard run, add --suspend AZRebalance,AlarmNotification,ScheduledActions there; otherwise aws autoscaling resume-processes"}
}

func are(names string, n int) string {
	if n == 1 {
		return names + " is"
	}
	return names + " are"
}

// rolling reports whether the version of a template may be another one tomorrow.
func rolling(t group.Template) bool { return t != (group.Template{}) && !t.Numbered() }

func same(o, g group.Template) bool {
	return o.Version == g.Version && (o.ID != "" && o.ID == g.ID || o.ID == "" && o.Name == g.Name)
}

// Matches reports whether a refresh has these options, as far as they are shown.
func Matches(o group.RefreshOptions, r group.Refresh) bool {
	if (o.Template == nil) != (r.Desired == nil) || o.Template != nil && !same(*o.Template, *r.Desired) {
		return false
	}
	return slices.Equal(o.Checkpoints, r.Checkpoints) && slices.Equal(o.Alarms, r.Alarms) && o.Bake == r.Bake && o.AutoRollback == r.AutoRollback
}

// MayRollBack refuses a rollback that AWS would refuse, before anything is changed for
// it. Errors are *RefusedError.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-rollback.html
func MayRollBack(r group.Refresh, g group.Group) error {
	switch {
	case !slices.Contains([]string{"Pending", "InProgress", "Baking"}, r.Status):
		return &RefusedError{fmt.Sprintf("the instance refresh of %s is %s: it cannot be rolled back", g.Name, r.Status), again}
	case r.Desired == nil:
		return &RefusedError{fmt.Sprintf("the instance refresh of %s was started without --template: there is no configuration from before to go back to", g.Name),
			"koboshi refresh cancel stops it; promote the old release, then start a refresh again"}
	case !r.Desired.Numbered() || rolling(g.Template):
		return &RefusedError{fmt.Sprintf("the refresh of %s goes from %s to %s: AWS rolls back between numbered versions only", g.Name, g.Template.Version, r.Desired.Version), again}
	}
	return runs(g)
}

const again = "promote the old release, then start a refresh to the version of the template from before"
