package lifecycle

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/smithy-go"
)

const self = "i-0123456789abcdef0"

var ours = Action{Group: "web", Hook: "koboshi-launching", Instance: self}

// service is Auto Scaling as one instance sees it, in memory. Its switches are
// functions of the time since it was made.
type service struct {
	begun     time.Time
	state     func(t time.Duration) string // "" = in no group
	waiting   func(t time.Duration) bool   // the hook has an active action
	hooks     []types.LifecycleHook
	broken    map[string]func(t time.Duration) error // by operation; nil = works
	result    string                                 // what the hook was completed with
	calls     []call
	chatty    bool // answers with more than was requested
	replyLost bool // Complete works, but answers that there was no action
}

type call struct {
	op string
	at time.Duration
}

func always[T any](v T) func(time.Duration) T { return func(time.Duration) T { return v } }

// newService returns an instance in Pending:Wait, its hook active.
func newService(timeout time.Duration) *service {
	return &service{
		begun:   time.Now(),
		state:   always("Pending:Wait"),
		waiting: always(true),
		broken:  map[string]func(time.Duration) error{},
		hooks: []types.LifecycleHook{
			hook("other", launching, time.Hour),
			hook(ours.Hook, launching, timeout),
		},
	}
}

func hook(name, transition string, timeout time.Duration) types.LifecycleHook {
	return types.LifecycleHook{
		LifecycleHookName:   aws.String(name),
		LifecycleTransition: aws.String(transition),
		HeartbeatTimeout:    aws.Int32(int32(timeout / time.Second)),
	}
}

// client returns a Client of the service.
func (s *service) client() *Client { return &Client{api: s} }

func (s *service) log(op string) (time.Duration, error) {
	at := time.Since(s.begun)
	s.calls = append(s.calls, call{op, at})
	if broken := s.broken[op]; broken != nil {
		return at, broken(at)
	}
	return at, nil
}

// count returns how often an operation was called.
func (s *service) count(op string) int { return len(s.times(op)) }

func (s *service) times(op string) []time.Duration {
	var at []time.Duration
	for _, c := range s.calls {
		if c.op == op {
			at = append(at, c.at)
		}
	}
	return at
}

func noAction() error {
	return &smithy.GenericAPIError{
		Code:    "ValidationError",
		Message: "No active Lifecycle Action found with instance ID " + self,
	}
}

func (s *service) CompleteLifecycleAction(_ context.Context, in *autoscaling.CompleteLifecycleActionInput, _ ...func(*autoscaling.Options)) (*autoscaling.CompleteLifecycleActionOutput, error) {
	at, err := s.log("Complete")
	if err != nil {
		return nil, err
	}
	if !s.waits(at, in.AutoScalingGroupName, in.LifecycleHookName, in.InstanceId) || s.result != "" {
		return nil, noAction()
	}
	s.result = *in.LifecycleActionResult
	s.state = always("InService")
	if s.replyLost {
		return nil, noAction()
	}
	return &autoscaling.CompleteLifecycleActionOutput{}, nil
}

func (s *service) waits(at time.Duration, group, hook, instance *string) bool {
	asked := Action{Group: *group, Hook: *hook, Instance: *instance}
	return asked == ours && s.waiting(at)
}

func (s *service) RecordLifecycleActionHeartbeat(_ context.Context, in *autoscaling.RecordLifecycleActionHeartbeatInput, _ ...func(*autoscaling.Options)) (*autoscaling.RecordLifecycleActionHeartbeatOutput, error) {
	at, err := s.log("Heartbeat")
	if err != nil {
		return nil, err
	}
	if !s.waits(at, in.AutoScalingGroupName, in.LifecycleHookName, in.InstanceId) {
		return nil, noAction()
	}
	return &autoscaling.RecordLifecycleActionHeartbeatOutput{}, nil
}

func (s *service) DescribeAutoScalingInstances(_ context.Context, in *autoscaling.DescribeAutoScalingInstancesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingInstancesOutput, error) {
	at, err := s.log("DescribeInstances")
	if err != nil {
		return nil, err
	}
	out := &autoscaling.DescribeAutoScalingInstancesOutput{}
	if s.chatty {
		out.AutoScalingInstances = append(out.AutoScalingInstances, types.AutoScalingInstanceDetails{
			InstanceId:           aws.String("i-00000001"),
			AutoScalingGroupName: aws.String("strangers"),
			LifecycleState:       aws.String("Standby"),
		})
	}
	if state := s.state(at); state != "" && slices.Equal(in.InstanceIds, []string{self}) {
		out.AutoScalingInstances = append(out.AutoScalingInstances, types.AutoScalingInstanceDetails{
			InstanceId:           aws.String(self),
			AutoScalingGroupName: aws.String(ours.Group),
			LifecycleState:       aws.String(state),
		})
	}
	return out, nil
}

func (s *service) DescribeLifecycleHooks(_ context.Context, in *autoscaling.DescribeLifecycleHooksInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeLifecycleHooksOutput, error) {
	if _, err := s.log("DescribeHooks"); err != nil {
		return nil, err
	}
	out := &autoscaling.DescribeLifecycleHooksOutput{}
	for _, h := range s.hooks {
		if s.chatty || slices.Contains(in.LifecycleHookNames, *h.LifecycleHookName) {
			out.LifecycleHooks = append(out.LifecycleHooks, h)
		}
	}
	return out, nil
}

// within returns a context that ends after d of the test's time.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
