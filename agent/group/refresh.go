package group

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/aws/smithy-go"

	"koboshi/agent/awsapi"
)

// The errors of instance refreshes.
var (
	// ErrRefreshing is a group that has an active instance refresh already.
	ErrRefreshing = errors.New("an instance refresh is active already")
	// ErrNoRefresh is a group without an active instance refresh, or without any.
	ErrNoRefresh = errors.New("no instance refresh")
	// ErrRefused is what AWS refuses for what it asks for.
	ErrRefused = errors.New("AWS refuses it")
)

var scaling = awsapi.Service{ID: "Auto Scaling", Name: "autoscaling", Version: "2011-01-01"}

// Template is a version of a launch template.
type Template struct {
	ID      string `json:"id,omitzero" xml:"LaunchTemplateId"`
	Name    string `json:"name,omitzero" xml:"LaunchTemplateName"`
	Version string `json:"version,omitzero" xml:"Version"` // a number, $Latest or $Default
}

// Numbered reports whether the version is a number.
func (t Template) Numbered() bool {
	n, err := strconv.Atoi(t.Version)
	return err == nil && n > 0
}

// String is the template as --template takes it.
func (t Template) String() string {
	if t.ID != "" {
		return t.ID + ":" + t.Version
	}
	return t.Name + ":" + t.Version
}

// RefreshOptions are the choices of an instance refresh. A nil number is not sent: AWS
// has its own default.
type RefreshOptions struct {
	Template        *Template     // of the desired configuration; nil = none
	Checkpoints     []int         // percent
	CheckpointDelay time.Duration // with checkpoints; 0 = AWS's default, an hour
	MinHealthy      *int          // percent of the desired capacity
	MaxHealthy      *int
	Bake            time.Duration
	Warmup          *time.Duration
	Alarms          []string
	AutoRollback    bool
	SkipMatching    bool
}

// Refresh is an instance refresh as AWS describes it.
type Refresh struct {
	ID       string
	Status   string // Pending, InProgress, Baking, Successful …
	Reason   string // of the status, in AWS's words
	Started  time.Time
	Ended    time.Time // zero while it is active
	Percent  int       // of the instances, healthy and warm; a rollback counts back to 0
	ToUpdate int       // instances

	Checkpoints     []int // percent
	CheckpointDelay time.Duration
	Bake            time.Duration
	Alarms          []string
	AutoRollback    bool
	Desired         *Template // of the desired configuration; nil = none, or not a launch template

	RollbackReason string
}

// Active reports whether the refresh has not ended. A status that AWS adds is active.
func (r Refresh) Active() bool {
	return !slices.Contains([]string{"Successful", "Failed", "Cancelled", "RollbackFailed", "RollbackSuccessful"}, r.Status)
}

// form is the request, in AWS Query.
func (o RefreshOptions) form(name string) url.Values {
	form := url.Values{"AutoScalingGroupName": {name}}
	const in = "Preferences."
	if t := o.Template; t != nil {
		const in = "DesiredConfiguration.LaunchTemplate."
		if t.ID != "" {
			form.Set(in+"LaunchTemplateId", t.ID)
		} else {
			form.Set(in+"LaunchTemplateName", t.Name)
		}
		form.Set(in+"Version", t.Version)
	}
	for i, percent := range o.Checkpoints {
		form.Set(fmt.Sprintf("%sCheckpointPercentages.member.%d", in, i+1), strconv.Itoa(percent))
	}
	for i, alarm := range o.Alarms {
		form.Set(fmt.Sprintf("%sAlarmSpecification.Alarms.member.%d", in, i+1), alarm)
	}
	number := func(name string, n *int) {
		if n != nil {
			form.Set(in+name, strconv.Itoa(*n))
		}
	}
	seconds := func(name string, d time.Duration, send bool) {
		if send {
			form.Set(in+name, strconv.FormatInt(int64(d/time.Second), 10))
		}
	}
	number("MinHealthyPercentage", o.MinHealthy)
	number("MaxHealthyPercentage", o.MaxHealthy)
	seconds("CheckpointDelay", o.CheckpointDelay, o.CheckpointDelay > 0)
	seconds("BakeTime", o.Bake, o.Bake > 0)
	if o.Warmup != nil {
		seconds("InstanceWarmup", *o.Warmup, true)
	}
	if o.AutoRollback {
		form.Set(in+"AutoRollback", "true")
	}
	if o.SkipMatching {
		form.Set(in+"SkipMatching", "true")
	}
	return form
}

// StartRefresh starts an instance refresh, and returns its id. Errors are
// [ErrRefreshing] and [ErrRefused], beside those of every call.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_StartInstanceRefresh.html
func (c *Client) StartRefresh(ctx context.Context, name string, o RefreshOptions) (id string, err error) {
	var out struct {
		ID string `xml:"StartInstanceRefreshResult>InstanceRefreshId"`
	}
	_, err = c.scaling.Call(ctx, "StartInstanceRefresh", o.form(name), &out)
	return out.ID, explainRefresh(ctx, "start an instance refresh of "+name, err)
}

// CancelRefresh cancels the active instance refresh, [ErrNoRefresh] where there is none.
// What is in transition is waited for: until then the status is Cancelling. Nothing is
// put back.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CancelInstanceRefresh.html
func (c *Client) CancelRefresh(ctx context.Context, name string) error {
	_, err := c.scaling.Call(ctx, "CancelInstanceRefresh", url.Values{"AutoScalingGroupName": {name}}, nil)
	return explainRefresh(ctx, "cancel the instance refresh of "+name, err)
}

// RollbackRefresh replaces what the active instance refresh has replaced by instances
// of the configuration from before. Errors are [ErrNoRefresh] and [ErrRefused].
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RollbackInstanceRefresh.html
func (c *Client) RollbackRefresh(ctx context.Context, name string) error {
	_, err := c.scaling.Call(ctx, "RollbackInstanceRefresh", url.Values{"AutoScalingGroupName": {name}}, nil)
	return explainRefresh(ctx, "roll back the instance refresh of "+name, err)
}

// refreshXML is a refresh as AWS writes it.
type refreshXML struct {
	ID          string `xml:"InstanceRefreshId"`
	Status      string
	Reason      string `xml:"StatusReason"`
	StartTime   time.Time
	EndTime     time.Time
	Percent     int `xml:"PercentageComplete"`
	ToUpdate    int `xml:"InstancesToUpdate"`
	Preferences struct {
		Checkpoints     []int    `xml:"CheckpointPercentages>member"`
		CheckpointDelay int64    // seconds
		Bake            int64    `xml:"BakeTime"`
		Alarms          []string `xml:"AlarmSpecification>Alarms>member"`
		AutoRollback    bool
	}
	Desired        *Template `xml:"DesiredConfiguration>LaunchTemplate"`
	RollbackReason string    `xml:"RollbackDetails>RollbackReason"`
}

// Refreshes are the instance refreshes of a group, the newest first: those that AWS
// has on its first page, or the one with that id.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeInstanceRefreshes.html
func (c *Client) Refreshes(ctx context.Context, name string, ids ...string) ([]Refresh, error) {
	form := url.Values{"AutoScalingGroupName": {name}}
	for i, id := range ids {
		form.Set(fmt.Sprintf("InstanceRefreshIds.member.%d", i+1), id)
	}
	var out struct {
		All []refreshXML `xml:"DescribeInstanceRefreshesResult>InstanceRefreshes>member"`
	}
	_, err := c.scaling.Call(ctx, "DescribeInstanceRefreshes", form, &out)
	if err != nil {
		return nil, explain(ctx, "look at the instance refreshes of "+name, err)
	}
	var all []Refresh
	for _, r := range out.All {
		all = append(all, Refresh{
			ID: r.ID, Status: r.Status, Reason: r.Reason, Started: r.StartTime.UTC(), Ended: r.EndTime.UTC(), Percent: r.Percent, ToUpdate: r.ToUpdate,
			Checkpoints: r.Preferences.Checkpoints, CheckpointDelay: time.Duration(r.Preferences.CheckpointDelay) * time.Second,
			Bake: time.Duration(r.Preferences.Bake) * time.Second, Alarms: r.Preferences.Alarms, AutoRollback: r.Preferences.AutoRollback,
			Desired: r.Desired, RollbackReason: r.RollbackReason,
		})
	}
	slices.SortStableFunc(all, func(a, b Refresh) int { return b.Started.Compare(a.Started) })
	return all, nil
}

// explainRefresh sorts what a change of a refresh failed with; nil stays nil.
func explainRefresh(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	refusal, answered := errors.AsType[smithy.APIError](err)
	if ctx.Err() != nil || !answered {
		return explain(ctx, doing, err)
	}
	kind := map[string]error{
		"InstanceRefreshInProgress": ErrRefreshing, "ActiveInstanceRefreshNotFound": ErrNoRefresh,
		"IrreversibleInstanceRefresh": ErrRefused, "LimitExceeded": ErrRefused, "ValidationError": ErrRefused,
	}[refusal.ErrorCode()]
	if kind == nil || refusal.ErrorCode() == "ValidationError" && missing(refusal.ErrorMessage()) {
		return explain(ctx, doing, err)
	}
	return fmt.Errorf("%s: %w: %s (%s)", doing, kind, refusal.ErrorMessage(), refusal.ErrorCode())
}
