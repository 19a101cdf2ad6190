package autoscaling

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"koboshi/agent/awstest/query"
)

// Refresh is an instance refresh as DescribeInstanceRefreshes shows it.
type Refresh struct {
	ID       string    `json:"id,omitempty"`
	Status   string    `json:"status"` // Pending, InProgress, Baking, Cancelling, RollbackInProgress are active
	Reason   string    `json:"reason,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Percent  int       `json:"percent,omitempty"`
	ToUpdate int       `json:"to_update,omitempty"`

	Preferences Preferences    `json:"preferences,omitzero"`
	Desired     LaunchTemplate `json:"desired,omitzero"` // zero = none

	RollbackReason string    `json:"rollback_reason,omitempty"`
	RolledBack     time.Time `json:"rolled_back,omitzero"` // when that began
}

// Preferences are those of an instance refresh. What is about instances in Standby or
// protected from scale-in is left out: those instances are ignored.
type Preferences struct {
	MinHealthy      int           `json:"min_healthy,omitempty"` // percent
	MaxHealthy      int           `json:"max_healthy,omitempty"` // percent; 0 = not given
	Warmup          time.Duration `json:"warmup,omitempty"`
	Checkpoints     []int         `json:"checkpoints,omitempty"` // percent
	CheckpointDelay time.Duration `json:"checkpoint_delay,omitempty"`
	Bake            time.Duration `json:"bake,omitempty"`
	Alarms          []string      `json:"alarms,omitempty"`
	AutoRollback    bool          `json:"auto_rollback,omitempty"`
	SkipMatching    bool          `json:"skip_matching,omitempty"`
}

// LaunchTemplate is a version of a launch template.
type LaunchTemplate struct {
	ID      string `json:"id,omitempty" xml:"LaunchTemplateId,omitempty"`
	Name    string `json:"name,omitempty" xml:"LaunchTemplateName,omitempty"`
	Version string `json:"version,omitempty" xml:",omitempty"` // a number, $Latest or $Default
}

// refreshStatuses are those of the API.
var refreshStatuses = []string{"Pending", "InProgress", "Successful", "Failed", "Cancelling", "Cancelled", "RollbackInProgress", "RollbackFailed", "RollbackSuccessful", "Baking"}

// active reports whether the refresh is the one of its group.
func (r Refresh) active() bool {
	return slices.Contains([]string{"Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking"}, r.Status)
}

// SetRefreshes gives a group these instance refreshes, the newest first, and no others.
// They are only shown: nothing is replaced by them.
func (m *Model) SetRefreshes(group string, refreshes ...Refresh) (err error) {
	m.do(func(now time.Time) {
		var g *Group
		if g, err = m.group(group); err != nil {
			return
		}
		for n := range refreshes {
			r := &refreshes[n]
			if !slices.Contains(refreshStatuses, r.Status) {
				err = query.Invalid(fmt.Sprintf("an instance refresh is not %q", r.Status))
				return
			}
			if r.ID == "" {
				r.ID = refreshID(len(refreshes) - n)
			}
			if r.Started.IsZero() {
				r.Started = now
			}
		}
		g.Refreshes, g.run = slices.Clone(refreshes), nil
	})
	return err
}

// Refreshes are the instance refreshes of a group, the newest first.
func (m *Model) Refreshes(group string) (all []Refresh) {
	m.do(func(time.Time) {
		if g, ok := m.groups[group]; ok {
			all = slices.Clone(g.Refreshes)
		}
	})
	return all
}

func refreshID(n int) string { return fmt.Sprintf("00000000-0000-4000-a000-%012x", n) }

type (
	refreshShape struct {
		ID          string `xml:"InstanceRefreshId"`
		Group       string `xml:"AutoScalingGroupName"`
		Status      string
		Reason      string `xml:"StatusReason,omitempty"`
		StartTime   string
		EndTime     string            `xml:",omitempty"`
		Percent     int               `xml:"PercentageComplete"`
		ToUpdate    int               `xml:"InstancesToUpdate"`
		Preferences *preferencesShape `xml:",omitempty"`
		Desired     *desiredShape     `xml:"DesiredConfiguration"`
		Rollback    *rollbackShape    `xml:"RollbackDetails"`
	}
	desiredShape struct {
		LaunchTemplate LaunchTemplate
	}
	rollbackShape struct {
		Reason  string `xml:"RollbackReason"`
		Started string `xml:"RollbackStartTime"`
	}
	preferencesShape struct {
		MinHealthy      int      `xml:"MinHealthyPercentage"`
		MaxHealthy      int      `xml:"MaxHealthyPercentage,omitempty"`
		Warmup          int      `xml:"InstanceWarmup"`
		Checkpoints     []int    `xml:"CheckpointPercentages>member"`
		CheckpointDelay int      `xml:"CheckpointDelay,omitempty"`
		Bake            int      `xml:"BakeTime,omitempty"`
		Alarms          []string `xml:"AlarmSpecification>Alarms>member"`
		AutoRollback    bool
		SkipMatching    bool
	}
	refreshesResult struct {
		Refreshes []refreshShape `xml:"InstanceRefreshes>member"`
		NextToken string         `xml:",omitempty"`
	}
	refreshResult struct {
		ID string `xml:"InstanceRefreshId"`
	}
)

func (r Refresh) shape(group string) refreshShape {
	p := r.Preferences
	shape := refreshShape{
		ID: r.ID, Group: group, Status: r.Status, Reason: r.Reason, StartTime: timestamp(r.Started), Percent: r.Percent, ToUpdate: r.ToUpdate,
		Preferences: &preferencesShape{
			p.MinHealthy, p.MaxHealthy, seconds(p.Warmup), p.Checkpoints, seconds(p.CheckpointDelay), seconds(p.Bake), p.Alarms, p.AutoRollback, p.SkipMatching,
		},
	}
	if !r.Ended.IsZero() {
		shape.EndTime = timestamp(r.Ended)
	}
	if r.Desired != (LaunchTemplate{}) {
		shape.Desired = &desiredShape{r.Desired}
	}
	if !r.RolledBack.IsZero() {
		shape.Rollback = &rollbackShape{r.RollbackReason, timestamp(r.RolledBack)}
	}
	return shape
}

func seconds(d time.Duration) int { return int(d / time.Second) }

func (s api) describeRefreshes(p query.Params, now time.Time) (any, error) {
	g, err := s.seen(now).group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	var all []refreshShape
	for _, r := range g.Refreshes {
		if chosen(p.List("InstanceRefreshIds"), r.ID) {
			all = append(all, r.shape(g.Name))
		}
	}
	page, next, err := paged(p, all)
	return refreshesResult{page, next}, err
}

func (s api) startRefresh(p query.Params, now time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	desired := readLaunchTemplate(p, "DesiredConfiguration.LaunchTemplate.")
	preferences, err := readPreferences(p, "Preferences.")
	if err != nil {
		return nil, err
	}
	id, err := s.Model.startRefresh(g, desired, preferences, now)
	return refreshResult{id}, err
}

func readLaunchTemplate(p query.Params, prefix string) LaunchTemplate {
	return LaunchTemplate{ID: p.Get(prefix + "LaunchTemplateId"), Name: p.Get(prefix + "LaunchTemplateName"), Version: p.Get(prefix + "Version")}
}

// The limits of the API on preferences.
const (
	maxDelay  = 48 * time.Hour // of a checkpoint and of the bake time
	maxAlarms = 10
)

// readPreferences reads and checks what needs no group.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RefreshPreferences.html
func readPreferences(p query.Params, prefix string) (r Preferences, err error) {
	number := func(name string, otherwise, least, most int) (n int) {
		if err == nil {
			n, err = p.Int(prefix+name, otherwise)
		}
		if err == nil && (n < least || n > most) && p.Has(prefix+name) {
			err = query.Invalid(fmt.Sprintf("%s %d must be between %d and %d", name, n, least, most))
		}
		return n
	}
	r.MinHealthy = number("MinHealthyPercentage", 90, 0, 100)
	r.MaxHealthy = number("MaxHealthyPercentage", 0, 100, 200)
	r.Warmup = time.Duration(number("InstanceWarmup", 0, 0, 1<<30)) * time.Second
	r.CheckpointDelay = time.Duration(number("CheckpointDelay", 0, 0, seconds(maxDelay))) * time.Second
	r.Bake = time.Duration(number("BakeTime", 0, 0, seconds(maxDelay))) * time.Second
	if err != nil {
		return r, err
	}
	r.AutoRollback, r.SkipMatching = p.Get(prefix+"AutoRollback") == "true", p.Get(prefix+"SkipMatching") == "true"
	r.Alarms = p.List(prefix + "AlarmSpecification.Alarms")
	for _, text := range p.List(prefix + "CheckpointPercentages") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 || len(r.Checkpoints) > 0 && n <= r.Checkpoints[len(r.Checkpoints)-1] {
			return r, query.Invalid("CheckpointPercentages must be unique and ascending, from 1 to 100")
		}
		r.Checkpoints = append(r.Checkpoints, n)
	}
	switch {
	case p.Has(prefix+"MaxHealthyPercentage") && !p.Has(prefix+"MinHealthyPercentage"):
		return r, query.Invalid("MinHealthyPercentage must be specified with MaxHealthyPercentage")
	case r.MaxHealthy-r.MinHealthy > 100:
		return r, query.Invalid("The difference between MaxHealthyPercentage and MinHealthyPercentage must not be greater than 100")
	case p.Has(prefix+"CheckpointDelay") && len(r.Checkpoints) == 0:
		return r, query.Invalid("CheckpointPercentages must be specified with CheckpointDelay")
	case len(r.Alarms) > maxAlarms:
		return r, query.Invalid("at most 10 alarms may be specified")
	case len(r.Checkpoints) > 0 && !p.Has(prefix+"CheckpointDelay"):
		r.CheckpointDelay = time.Hour
	}
	return r, nil
}

// cancelRefresh waits for what is in transition, unless it is told not to.
func (s api) cancelRefresh(p query.Params, now time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	if len(g.Refreshes) == 0 || !g.Refreshes[0].active() {
		return nil, noRefresh(g)
	}
	r := &g.Refreshes[0]
	r.Status = "Cancelling"
	if p.Get("WaitForTransitioningInstances") == "false" || g.run == nil {
		s.endRefresh(g, "Cancelled", "Cancelled due to user request.", now)
		return refreshResult{r.ID}, nil
	}
	s.stepRefresh(g, now)
	return refreshResult{r.ID}, nil
}

func (s api) rollbackRefresh(p query.Params, now time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	switch {
	case len(g.Refreshes) == 0 || !g.Refreshes[0].active():
		return nil, noRefresh(g)
	case g.run == nil || slices.Contains([]string{"Cancelling", "RollbackInProgress"}, g.Refreshes[0].Status):
		return nil, irreversible("The instance refresh cannot be rolled back from " + g.Refreshes[0].Status)
	}
	if why := g.irreversible(g.Refreshes[0].Desired); why != "" {
		return nil, irreversible(why)
	}
	s.rollBack(g, "Rollback initiated by user request.", now)
	return refreshResult{g.Refreshes[0].ID}, nil
}

func noRefresh(g *Group) error {
	return &query.Error{Status: http.StatusBadRequest, Code: "ActiveInstanceRefreshNotFound", Message: "No in progress or pending Instance Refresh found for Auto Scaling group " + g.Name}
}

func irreversible(why string) error {
	return &query.Error{Status: http.StatusBadRequest, Code: "IrreversibleInstanceRefresh", Message: why}
}

// irreversible is why a refresh of the group to that configuration cannot be rolled
// back; "" = it can.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-rollback.html
func (g *Group) irreversible(desired LaunchTemplate) string {
	switch {
	case desired == (LaunchTemplate{}):
		return "A desired configuration is required for a rollback"
	case !numbered(desired) || !numbered(g.LaunchTemplate):
		return "A rollback needs a numbered version of the launch template, not $Latest or $Default"
	case strings.HasPrefix(g.launch(g.LaunchTemplate).AMI, "resolve:ssm:") || strings.HasPrefix(g.launch(desired).AMI, "resolve:ssm:"):
		return "A rollback is not supported for a launch template with an SSM parameter as its AMI"
	}
	return ""
}

func numbered(t LaunchTemplate) bool {
	n, err := strconv.Atoi(t.Version)
	return err == nil && n > 0
}
