package autoscaling

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

func completeInput(i *Instance, hook, result string) *sdk.CompleteLifecycleActionInput {
	return &sdk.CompleteLifecycleActionInput{
		AutoScalingGroupName: aws.String("web"), LifecycleHookName: aws.String(hook),
		InstanceId: aws.String(i.ID()), LifecycleActionResult: aws.String(result),
	}
}

func beatInput(i *Instance, hook string) *sdk.RecordLifecycleActionHeartbeatInput {
	return &sdk.RecordLifecycleActionHeartbeatInput{
		AutoScalingGroupName: aws.String("web"), LifecycleHookName: aws.String(hook), InstanceId: aws.String(i.ID()),
	}
}

// refused checks for a ValidationError with the text.
func refused(t *testing.T, err error, text string) {
	t.Helper()
	equal(t, code(err), "ValidationError")
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %q", err, text)
	}
}

func TestCompleteOverTheAPI(t *testing.T) {
	const inactive = "No active Lifecycle Action found with instance ID "
	s, i := web(t, LaunchOptions{RaceCompletes: 2})
	check(t, s.CreateGroup(Group{Name: "other"}))
	client, ctx := sdkClient(t, s), t.Context()

	_, err := client.RecordLifecycleActionHeartbeat(ctx, beatInput(i, "up"))
	check(t, err)
	_, err = client.CompleteLifecycleAction(ctx, completeInput(i, "other", "CONTINUE"))
	refused(t, err, inactive+i.ID())
	elsewhere := completeInput(i, "up", "CONTINUE")
	elsewhere.AutoScalingGroupName = aws.String("other")
	_, err = client.CompleteLifecycleAction(ctx, elsewhere)
	refused(t, err, inactive+i.ID())
	_, err = client.CompleteLifecycleAction(ctx, completeInput(i, "up", "MAYBE"))
	refused(t, err, "MAYBE")
	for range 2 { // the race
		_, err = client.CompleteLifecycleAction(ctx, completeInput(i, "up", "CONTINUE"))
		refused(t, err, inactive+i.ID())
		equal(t, i.State(), PendingWait)
	}
	input := completeInput(i, "up", "CONTINUE")
	input.LifecycleActionToken = aws.String("of-something-else")
	_, err = client.CompleteLifecycleAction(ctx, input)
	refused(t, err, "No active Lifecycle Action found with token of-something-else")
	input.InstanceId, input.LifecycleActionToken = nil, aws.String(i.Actions()[0].Token)
	_, err = client.CompleteLifecycleAction(ctx, input)
	check(t, err)
	equal(t, i.State(), InService)
	_, err = client.CompleteLifecycleAction(ctx, input)
	refused(t, err, "No active Lifecycle Action found with token "+*input.LifecycleActionToken)
	_, err = client.RecordLifecycleActionHeartbeat(ctx, beatInput(i, "up"))
	refused(t, err, inactive+i.ID())

	a := i.Actions()[0]
	equal(t, []any{a.Hook, a.Transition, a.Heartbeats, a.Result, a.Ending}, []any{"up", OnLaunch, 1, Continue, ByCall})
}

func TestCompleteBeforeTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := model(t, Group{Name: "web", Hooks: []Hook{launching("up", time.Minute, "")}})
		i := launch(t, s, LaunchOptions{Group: "web", PendingFor: 10 * time.Second})
		elapse(10*time.Second - 1)
		equal(t, complete(s, i, "up", Continue).Error(), "ValidationError: No active Lifecycle Action found with instance ID "+i.ID())
		elapse(1)
		check(t, complete(s, i, "up", Continue))
	})
}

func TestActionsTellHowTheyEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := model(t, Group{Name: "web", Hooks: []Hook{launching("a", time.Minute, ""), launching("b", time.Hour, "")}})
		i := launch(t, s, LaunchOptions{Group: "web"})
		elapse(time.Hour)
		got := i.Actions()
		equal(t, []any{got[0].Result, got[0].Ending, got[0].Ended.Sub(got[0].Began)}, []any{Abandon, ByTimeout, time.Minute})
		equal(t, []any{got[1].Result, got[1].Ending, got[1].Ended.Sub(got[1].Began)}, []any{Result(""), Dropped, time.Minute})
		equal(t, i.Await(t.Context(), InService).Error(), "waiting for "+i.ID()+" to be InService: it is Terminated")
	})
}

func TestTerminationEndsTheLaunchHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := model(t, Group{Name: "web", Hooks: []Hook{launching("up", time.Minute, ""), terminating("down", time.Hour, "")}})
		i := launch(t, s, LaunchOptions{Group: "web"})
		check(t, s.Terminate(i.ID()))
		equal(t, []Ending{i.Actions()[0].Ending, i.Actions()[1].Ending}, []Ending{Dropped, ""})
		if err := complete(s, i, "up", Continue); err == nil {
			t.Error("the launch hook of a terminating instance could be completed")
		}
		equal(t, i.State(), TerminatingWait)
	})
}

// Each of the hooks has heartbeats and a timeout of its own, and the instance waits
// for all of them.
func TestSeveralHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := model(t, Group{Name: "web", Hooks: []Hook{launching("blue", time.Minute, ""), launching("green", time.Hour, "")}})
		i := launch(t, s, LaunchOptions{Group: "web"})
		elapse(50 * time.Second)
		check(t, beat(s, i, "blue"))
		elapse(50 * time.Second)
		check(t, complete(s, i, "blue", Continue))
		equal(t, complete(s, i, "blue", Continue).Error(), "ValidationError: No active Lifecycle Action found with instance ID "+i.ID())
		equal(t, i.State(), PendingWait)
		equal(t, []int{i.Actions()[0].Heartbeats, i.Actions()[1].Heartbeats}, []int{1, 0})
		check(t, complete(s, i, "green", Continue))
		equal(t, i.State(), InService)

		i = launch(t, s, LaunchOptions{Group: "web"})
		check(t, complete(s, i, "blue", Continue))
		check(t, complete(s, i, "green", Abandon))
		equal(t, i.State(), Terminated)
	})
}

// A hook that is deleted ends what waits for it: ABANDON at launch, CONTINUE at
// termination.
func TestDeletedHook(t *testing.T) {
	s := model(t, Group{Name: "web", Hooks: []Hook{launching("blue", time.Hour, Continue), launching("green", time.Hour, ""), terminating("down", time.Hour, "")}})
	client, ctx := sdkClient(t, s), t.Context()
	remove := func(hook string) {
		t.Helper()
		_, err := client.DeleteLifecycleHook(ctx, &sdk.DeleteLifecycleHookInput{AutoScalingGroupName: aws.String("web"), LifecycleHookName: aws.String(hook)})
		check(t, err)
	}
	i := launch(t, s, LaunchOptions{Group: "web"})
	check(t, complete(s, i, "green", Continue))
	remove("other")
	equal(t, i.State(), PendingWait)
	remove("blue")
	equal(t, []any{i.Actions()[0].Result, i.Actions()[0].Ending}, []any{Abandon, ByDelete})
	equal(t, i.State(), TerminatingWait)
	remove("down")
	equal(t, i.State(), Terminated)
	equal(t, []any{i.Actions()[2].Result, i.Actions()[2].Ending}, []any{Continue, ByDelete})
	i = launch(t, s, LaunchOptions{Group: "web"})
	check(t, complete(s, i, "green", Continue))
	equal(t, i.State(), InService)
}

func TestHooksOfAGroup(t *testing.T) {
	s := model(t, Group{Name: "web", Hooks: []Hook{launching("hook-0", time.Hour, ""), launching("hook-1", time.Hour, "")}})
	described, err := sdkClient(t, s).DescribeLifecycleHooks(t.Context(), &sdk.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String("web")})
	check(t, err)
	equal(t, []string{*described.LifecycleHooks[0].LifecycleHookName, *described.LifecycleHooks[1].LifecycleHookName}, []string{"hook-0", "hook-1"})
	for n := range maxHooks {
		check(t, s.PutHook("web", launching(fmt.Sprintf("hook-%d", n), time.Hour, "")))
	}
	check(t, s.PutHook("web", launching("hook-0", time.Minute, "")))
	equal(t, s.PutHook("web", launching("one-more", time.Hour, "")).Error(), "LimitExceeded: web has 50 lifecycle hooks already")
}

// TestSameDeadline: the hook that began first ends first, so runs repeat.
func TestSameDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := model(t, Group{Name: "web", Hooks: []Hook{launching("b", time.Minute, Abandon), launching("a", time.Minute, Continue)}})
		i := launch(t, s, LaunchOptions{Group: "web"})
		elapse(time.Minute)
		equal(t, []Ending{i.Actions()[0].Ending, i.Actions()[1].Ending}, []Ending{ByTimeout, ByTimeout})
		equal(t, []Result{i.Actions()[0].Result, i.Actions()[1].Result}, []Result{Continue, Abandon})
	})
}

// TestLateReader: an event happens at its own time, however late the model is read.
func TestLateReader(t *testing.T) {
	start := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	now := start
	a := agenda{now: func() time.Time { return now }, wake: func() {}}
	t.Cleanup(a.cancel)
	var ran []time.Duration
	a.add(start.Add(time.Hour), func(at time.Time) { ran = append(ran, at.Sub(start)) })
	a.add(start.Add(time.Minute), func(at time.Time) {
		ran = append(ran, at.Sub(start))
		a.add(at.Add(time.Minute), func(at time.Time) { ran = append(ran, at.Sub(start)) })
	})
	a.settle()
	equal(t, len(ran), 0)
	now = start.Add(time.Hour)
	a.settle()
	equal(t, ran, []time.Duration{time.Minute, 2 * time.Minute, time.Hour})
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := model(t, Group{Name: "web", Hooks: []Hook{launching("up", time.Minute, Continue)}})
		i := launch(t, s, LaunchOptions{Group: "web"})
		start := time.Now()
		check(t, i.Await(t.Context(), InService))
		equal(t, time.Since(start), time.Minute)
	})
}

func TestHooksOverTheAPI(t *testing.T) {
	s, _ := web(t, LaunchOptions{})
	client, ctx := sdkClient(t, s), t.Context()
	put := func(timeout int32) error {
		_, err := client.PutLifecycleHook(ctx, &sdk.PutLifecycleHookInput{
			AutoScalingGroupName: aws.String("web"), LifecycleHookName: aws.String("extra"), HeartbeatTimeout: aws.Int32(timeout),
			LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_LAUNCHING"), DefaultResult: aws.String("CONTINUE"),
		})
		return err
	}
	refused(t, put(29), "between 30 and 7200")
	refused(t, put(7201), "between 30 and 7200")
	check(t, put(30))

	hooks, err := client.DescribeLifecycleHooks(ctx, &sdk.DescribeLifecycleHooksInput{
		AutoScalingGroupName: aws.String("web"), LifecycleHookNames: []string{"extra", "down"},
	})
	check(t, err)
	equal(t, hooks.LifecycleHooks, []types.LifecycleHook{{
		AutoScalingGroupName: aws.String("web"), LifecycleHookName: aws.String("down"), DefaultResult: aws.String("ABANDON"),
		HeartbeatTimeout: aws.Int32(3600), GlobalTimeout: aws.Int32(172800), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"),
	}, {
		AutoScalingGroupName: aws.String("web"), LifecycleHookName: aws.String("extra"), DefaultResult: aws.String("CONTINUE"),
		HeartbeatTimeout: aws.Int32(30), GlobalTimeout: aws.Int32(3000), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_LAUNCHING"),
	}})

	_, err = client.DeleteLifecycleHook(ctx, &sdk.DeleteLifecycleHookInput{AutoScalingGroupName: aws.String("web"), LifecycleHookName: aws.String("extra")})
	check(t, err)
	hooks, err = client.DescribeLifecycleHooks(ctx, &sdk.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String("web")})
	check(t, err)
	equal(t, len(hooks.LifecycleHooks), 2)
}

func TestUnknownGroup(t *testing.T) {
	s, i := web(t, LaunchOptions{})
	client, ctx := sdkClient(t, s), t.Context()
	input := completeInput(i, "up", "CONTINUE")
	input.AutoScalingGroupName = aws.String("nope")
	_, err := client.CompleteLifecycleAction(ctx, input)
	refused(t, err, "AutoScalingGroup name not found")
	_, err = client.DescribeLifecycleHooks(ctx, &sdk.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String("nope")})
	refused(t, err, "AutoScalingGroup name not found")
	groups, err := client.DescribeAutoScalingGroups(ctx, &sdk.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"nope"}})
	check(t, err)
	equal(t, len(groups.AutoScalingGroups), 0)
	if _, err := s.Launch(LaunchOptions{Group: "nope"}); err == nil {
		t.Error("launched into an unknown group")
	}
	equal(t, len(s.Instances()), 1)
}

func TestDescribeInstances(t *testing.T) {
	s, i := web(t, LaunchOptions{})
	client, ctx := sdkClient(t, s), t.Context()
	_, err := s.Launch(LaunchOptions{}) // outside any group: not shown
	check(t, err)
	self := &sdk.DescribeAutoScalingInstancesInput{InstanceIds: []string{i.ID()}}
	for _, step := range []struct {
		hook string
		want string
	}{{"", "Pending:Wait"}, {"up", "InService"}} {
		if step.hook != "" {
			_, err := client.CompleteLifecycleAction(ctx, completeInput(i, step.hook, "CONTINUE"))
			check(t, err)
		}
		got, err := client.DescribeAutoScalingInstances(ctx, self)
		check(t, err)
		equal(t, got.AutoScalingInstances, []types.AutoScalingInstanceDetails{{
			InstanceId: aws.String(i.ID()), AutoScalingGroupName: aws.String("web"), InstanceType: aws.String("m7i.large"),
			AvailabilityZone: aws.String("us-east-1a"), LifecycleState: aws.String(step.want), HealthStatus: aws.String("HEALTHY"),
			ProtectedFromScaleIn: aws.Bool(false),
		}})
	}
	out, err := client.TerminateInstanceInAutoScalingGroup(ctx, &sdk.TerminateInstanceInAutoScalingGroupInput{
		InstanceId: aws.String(i.ID()), ShouldDecrementDesiredCapacity: aws.Bool(true),
	})
	check(t, err)
	equal(t, *out.Activity.Description, "Terminating EC2 instance: "+i.ID())
	equal(t, i.State(), TerminatingWait)
	_, err = client.CompleteLifecycleAction(ctx, completeInput(i, "down", "ABANDON"))
	check(t, err)
	equal(t, i.State(), Terminated)
	got, err := client.DescribeAutoScalingInstances(ctx, nil)
	check(t, err)
	equal(t, len(got.AutoScalingInstances), 0)
}

func TestCapacityOverTheAPI(t *testing.T) {
	s := model(t)
	client, ctx := sdkClient(t, s), t.Context()
	_, err := client.CreateAutoScalingGroup(ctx, &sdk.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("web"), MinSize: aws.Int32(1), MaxSize: aws.Int32(3), DesiredCapacity: aws.Int32(2),
		AvailabilityZones: []string{"us-east-1b"},
		LifecycleHookSpecificationList: []types.LifecycleHookSpecification{{
			LifecycleHookName: aws.String("up"), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_LAUNCHING"), HeartbeatTimeout: aws.Int32(60),
		}},
	})
	check(t, err)
	members := func() (states []string) {
		groups, err := client.DescribeAutoScalingGroups(ctx, nil)
		check(t, err)
		for _, i := range groups.AutoScalingGroups[0].Instances {
			states = append(states, string(i.LifecycleState))
		}
		return states
	}
	equal(t, members(), []string{"Pending:Wait", "Pending:Wait"})
	_, err = client.SetDesiredCapacity(ctx, &sdk.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("web"), DesiredCapacity: aws.Int32(4)})
	refused(t, err, "outside of min value:1 and max value:3")
	_, err = client.UpdateAutoScalingGroup(ctx, &sdk.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String("web"), MaxSize: aws.Int32(4), DesiredCapacity: aws.Int32(4)})
	check(t, err)
	equal(t, len(members()), 4)
	_, err = client.SetDesiredCapacity(ctx, &sdk.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("web"), DesiredCapacity: aws.Int32(0)})
	refused(t, err, "outside of min value:1 and max value:4")
	for _, wrong := range []sdk.UpdateAutoScalingGroupInput{
		{MinSize: aws.Int32(-5), DesiredCapacity: aws.Int32(-1)}, {MaxSize: aws.Int32(3)}, {MaxSize: aws.Int32(1 << 30), DesiredCapacity: aws.Int32(1 << 30)},
	} {
		wrong.AutoScalingGroupName = aws.String("web")
		if _, err := client.UpdateAutoScalingGroup(ctx, &wrong); err == nil {
			t.Errorf("%+v was taken", wrong)
		}
		equal(t, len(members()), 4)
	}
	_, err = client.SetDesiredCapacity(ctx, &sdk.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("web"), DesiredCapacity: aws.Int32(1)})
	check(t, err)
	equal(t, len(members()), 1)
	equal(t, s.Instances()[0].State(), Terminated) // the oldest of the group
	equal(t, s.Instances()[3].State(), PendingWait)

	_, err = client.CreateAutoScalingGroup(ctx, &sdk.CreateAutoScalingGroupInput{AutoScalingGroupName: aws.String("web"), MinSize: aws.Int32(0), MaxSize: aws.Int32(0)})
	equal(t, code(err), "AlreadyExists")
}

func TestReplace(t *testing.T) {
	for _, replace := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := model(t, Group{Name: "web", Replace: replace, Desired: 1, Hooks: []Hook{launching("up", time.Minute, Abandon)}})
			elapse(2*time.Minute + time.Second)
			var got []State
			for _, i := range s.Instances() {
				got = append(got, i.State())
			}
			want := []State{Terminated}
			if replace {
				want = []State{Terminated, Terminated, PendingWait}
			}
			equal(t, got, want)
		})
	}
}

func TestMetadata(t *testing.T) {
	s := model(t, Group{Name: "web", Hooks: []Hook{launching("up", time.Hour, "")}})
	i := launch(t, s, LaunchOptions{Group: "web", TerminatingFor: time.Hour})
	equal(t, i.Metadata().TargetState, "InService")
	i.SetTag("k", "v")
	equal(t, i.Metadata().Tags, map[string]string{"aws:autoscaling:groupName": "web", "k": "v"})
	i.RemoveTag("k")
	equal(t, i.Metadata().Tags, map[string]string{"aws:autoscaling:groupName": "web"})
	check(t, s.Terminate(i.ID()))
	equal(t, i.State(), Terminating)
	equal(t, i.Metadata().TargetState, "Terminated")

	outside := launch(t, s, LaunchOptions{TagsOff: true}).Metadata()
	equal(t, outside.TargetState, "")
	equal(t, outside.Tags == nil, true)
}
