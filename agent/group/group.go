package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"koboshi/agent/awsapi"
)

// The errors that a caller decides by.
var (
	// ErrNoGroup is a group, an application or a deployment group that does not exist.
	ErrNoGroup = errors.New("does not exist")
	// ErrDenied is a call that the caller's role may not make.
	ErrDenied = errors.New("access denied")
	// ErrUnavailable is any other call that failed, after the client's own tries. A
	// change may have been made all the same.
	ErrUnavailable = errors.New("AWS did not answer")
)

// Client calls Auto Scaling, and CodeDeploy. It is safe for concurrent use.
type Client struct {
	api     api
	scaling *awsapi.Client
	deploys *awsapi.Client
}

// api is what the package uses of Auto Scaling.
type api interface {
	DescribeAutoScalingGroups(context.Context, *autoscaling.DescribeAutoScalingGroupsInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error)
	DescribeScalingActivities(context.Context, *autoscaling.DescribeScalingActivitiesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeScalingActivitiesOutput, error)
	SuspendProcesses(context.Context, *autoscaling.SuspendProcessesInput, ...func(*autoscaling.Options)) (*autoscaling.SuspendProcessesOutput, error)
	ResumeProcesses(context.Context, *autoscaling.ResumeProcessesInput, ...func(*autoscaling.Options)) (*autoscaling.ResumeProcessesOutput, error)
}

// New returns a client with cfg's region, credentials, endpoint and retryer.
func New(cfg aws.Config) *Client {
	return &Client{api: autoscaling.NewFromConfig(cfg), scaling: awsapi.New(cfg, scaling), deploys: awsapi.New(cfg, codeDeploy)}
}

// Group is a group as AWS describes it.
type Group struct {
	Name      string
	Desired   int
	Instances []Instance // without those of the warm pool
	Suspended map[Process]string
	Pool      Pool
	Template  Template  // zero = a mixed instances policy, or a launch configuration
	Mixed     bool      // a mixed instances policy
	At        time.Time // when AWS answered, by its own clock, to the second
}

// Instance is one instance of a group.
type Instance struct {
	ID, State string // the lifecycle state: InService, Pending:Wait …
	Healthy   bool
}

// Pool is the warm pool of a group; zero = none.
type Pool struct {
	Size     int
	Deleting bool
}

// Describe returns the group, [ErrNoGroup] where it does not exist. Suspended has a
// reason for each process, such as "User suspended at 2026-04-12T21:57:43Z".
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html
func (c *Client) Describe(ctx context.Context, name string) (Group, error) {
	out, err := c.api.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil {
		return Group{}, explain(ctx, "look at group "+name, err)
	}
	at, known := serverTime(out.ResultMetadata)
	if !known {
		return Group{}, fmt.Errorf("look at group %s: %w with its time (Date)", name, ErrUnavailable)
	}
	for _, found := range out.AutoScalingGroups {
		if aws.ToString(found.AutoScalingGroupName) == name {
			g := read(found)
			g.At = at
			return g, nil
		}
	}
	return Group{}, fmt.Errorf("group %s: %w", name, ErrNoGroup)
}

func serverTime(m middleware.Metadata) (time.Time, bool) {
	at, ok := awsmiddleware.GetServerTime(m)
	return at.UTC(), ok && !at.IsZero()
}

func read(found types.AutoScalingGroup) Group {
	g := Group{Name: aws.ToString(found.AutoScalingGroupName), Desired: int(aws.ToInt32(found.DesiredCapacity)), Suspended: map[Process]string{}}
	for _, i := range found.Instances {
		g.Instances = append(g.Instances, Instance{aws.ToString(i.InstanceId), string(i.LifecycleState), aws.ToString(i.HealthStatus) == "Healthy"})
	}
	for _, p := range found.SuspendedProcesses {
		g.Suspended[Process(aws.ToString(p.ProcessName))] = aws.ToString(p.SuspensionReason)
	}
	g.Mixed = found.MixedInstancesPolicy != nil
	if t := found.LaunchTemplate; t != nil {
		g.Template = Template{aws.ToString(t.LaunchTemplateId), aws.ToString(t.LaunchTemplateName), cmp.Or(aws.ToString(t.Version), "$Default")}
	}
	g.Pool.Size = int(aws.ToInt32(found.WarmPoolSize))
	if found.WarmPoolConfiguration != nil {
		g.Pool.Deleting = found.WarmPoolConfiguration.Status == types.WarmPoolStatusPendingDelete
	}
	return g
}

// Event is a scaling activity that is under way.
type Event struct {
	ID, Status, What string
	Since            time.Time
}

// Activities are the scaling activities that are in progress, the newest first. Only the
// newest 100 activities are looked at: an older one that is still in progress has an
// instance in transition.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeScalingActivities.html
func (c *Client) Activities(ctx context.Context, name string) (open []Event, err error) {
	out, err := c.api.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(name)})
	if err != nil {
		return nil, explain(ctx, "look at the activities of "+name, err)
	}
	for _, a := range out.Activities {
		switch a.StatusCode {
		case types.ScalingActivityStatusCodeSuccessful, types.ScalingActivityStatusCodeFailed, types.ScalingActivityStatusCodeCancelled:
		default:
			open = append(open, Event{aws.ToString(a.ActivityId), string(a.StatusCode), aws.ToString(a.Description), aws.ToTime(a.StartTime).UTC()})
		}
	}
	return open, nil
}

// Suspend suspends processes: at least one, since AWS reads an empty list as all.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SuspendProcesses.html
func (c *Client) Suspend(ctx context.Context, name string, first Process, more ...Process) error {
	processes, err := spelled(first, more)
	if err != nil {
		return err
	}
	_, err = c.api.SuspendProcesses(ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(name), ScalingProcesses: processes})
	if err != nil {
		return explain(ctx, "suspend processes of "+name, err)
	}
	return nil
}

// Resume resumes processes: at least one, since AWS reads an empty list as all.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_ResumeProcesses.html
func (c *Client) Resume(ctx context.Context, name string, first Process, more ...Process) error {
	processes, err := spelled(first, more)
	if err != nil {
		return err
	}
	_, err = c.api.ResumeProcesses(ctx, &autoscaling.ResumeProcessesInput{AutoScalingGroupName: aws.String(name), ScalingProcesses: processes})
	if err != nil {
		return explain(ctx, "resume processes of "+name, err)
	}
	return nil
}

// spelled is the list of a request. It has only names that AWS knows: what a list of
// others means is not known.
func spelled(first Process, more []Process) (names []string, err error) {
	for _, p := range append([]Process{first}, more...) {
		if _, err := ParseProcess(string(p)); err != nil {
			return nil, err
		}
		names = append(names, string(p))
	}
	return names, nil
}

// explain sorts what a call failed with.
func explain(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	}
	refusal, answered := errors.AsType[smithy.APIError](err)
	if !answered {
		return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, err)
	}
	kind := ErrUnavailable
	switch code := refusal.ErrorCode(); code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		kind = ErrDenied
	case "ApplicationDoesNotExistException", "DeploymentGroupDoesNotExistException":
		kind = ErrNoGroup
	case "ValidationError":
		if missing(refusal.ErrorMessage()) {
			kind = ErrNoGroup
		}
	}
	return fmt.Errorf("%s: %w: %s (%s)", doing, kind, refusal.ErrorMessage(), refusal.ErrorCode())
}
