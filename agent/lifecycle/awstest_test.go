package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/lifecycle"
)

const hookName = "koboshi-launching"

// launch returns an instance of the group "web" and a client as that has it.
func launch(t *testing.T, hook autoscaling.Hook, options autoscaling.LaunchOptions) (*awstest.Server, *ec2.Instance, *lifecycle.Client) {
	t.Helper()
	server := awstest.New(t)
	if err := server.CreateGroup(autoscaling.Group{Name: "web", Hooks: []autoscaling.Hook{hook}}); err != nil {
		t.Fatal(err)
	}
	options.Group = "web"
	i, err := server.Launch(options)
	if err != nil {
		t.Fatal(err)
	}
	return server, i, lifecycle.New(aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(server.URL()),
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		Retryer:      func() aws.Retryer { return retry.NewStandard() },
	})
}

func onLaunch(name string) autoscaling.Hook {
	return autoscaling.Hook{Name: name, Transition: autoscaling.OnLaunch, HeartbeatTimeout: 5 * time.Minute}
}

func TestALaunchIsCompleted(t *testing.T) {
	server, i, client := launch(t, onLaunch(hookName), autoscaling.LaunchOptions{RaceCompletes: 1})
	group, state, err := client.Group(t.Context(), i.ID())
	if group != "web" || state != "Pending:Wait" || err != nil {
		t.Errorf("Group = %q, %q, %v", group, state, err)
	}
	timeout, err := client.HeartbeatTimeout(t.Context(), group, hookName)
	if timeout != 5*time.Minute || err != nil {
		t.Errorf("HeartbeatTimeout = %v, %v, want 5m", timeout, err)
	}
	hook := lifecycle.Action{Group: group, Hook: hookName, Instance: i.ID()}
	if err := client.Heartbeat(t.Context(), hook); err != nil {
		t.Errorf("Heartbeat: %v", err)
	}
	for _, want := range []lifecycle.Outcome{{End: lifecycle.Completed}, {End: lifecycle.AlreadyOver, State: "InService"}} {
		if got, err := client.Complete(t.Context(), hook, lifecycle.Continue, nil); got != want || err != nil {
			t.Errorf("Complete = %+v, %v, want %+v", got, err, want)
		}
	}
	if err := client.Heartbeat(t.Context(), hook); !errors.Is(err, lifecycle.ErrNoAction) {
		t.Errorf("Heartbeat afterwards: %v, want ErrNoAction", err)
	}
	if a := i.Actions()[0]; a.Result != autoscaling.Continue || a.Ending != autoscaling.ByCall || a.Heartbeats != 1 {
		t.Errorf("the action is %+v", a)
	}
	if n := server.Calls().Count("autoscaling", "DescribeLifecycleHooks"); n != 2 {
		t.Errorf("DescribeLifecycleHooks was called %d times, want one each for the timeout and the race", n)
	}
}

func TestALostReplyConverges(t *testing.T) {
	server, i, client := launch(t, onLaunch(hookName), autoscaling.LaunchOptions{})
	server.Faults().Add(faults.Fault{Service: "autoscaling", Operation: "CompleteLifecycleAction", Times: 1, Applied: true, Reset: true})
	got, err := client.Complete(t.Context(), lifecycle.Action{Group: "web", Hook: hookName, Instance: i.ID()}, lifecycle.Abandon, nil)
	if err != nil || got.End != lifecycle.AlreadyOver {
		t.Errorf("Complete = %+v, %v, want already over", got, err)
	}
	if a := i.Actions()[0]; a.Result != autoscaling.Abandon || a.Ending != autoscaling.ByCall {
		t.Errorf("the action is %+v", a)
	}
}

func TestAGroupWithoutTheHook(t *testing.T) {
	_, i, client := launch(t, onLaunch("another"), autoscaling.LaunchOptions{})
	hook := lifecycle.Action{Group: "web", Hook: hookName, Instance: i.ID()}
	if got, err := client.Complete(t.Context(), hook, lifecycle.Continue, nil); err != nil || got.End != lifecycle.NoHook {
		t.Errorf("Complete = %+v, %v, want no hook", got, err)
	}
	var reported error
	client.KeepAlive(t.Context(), hook, 0, func(_ int, err error) { reported = err })
	if !errors.Is(reported, lifecycle.ErrNoHook) {
		t.Errorf("KeepAlive reported %v, want ErrNoHook", reported)
	}
}

func TestKeepAliveOverTheWire(t *testing.T) {
	server, i, client := launch(t, onLaunch(hookName), autoscaling.LaunchOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	client.KeepAlive(ctx, lifecycle.Action{Group: "web", Hook: hookName, Instance: i.ID()}, 0, func(n int, err error) {
		if n != 0 || err != nil {
			t.Errorf("reported %d, %v: five minutes ask for no heartbeat yet", n, err)
		}
		cancel()
	})
	if a := i.Actions()[0]; a.Heartbeats != 0 || server.Calls().Count("autoscaling", "") != 1 {
		t.Errorf("%d heartbeats in %d calls, want none yet, and one look", a.Heartbeats, server.Calls().Count("autoscaling", ""))
	}
}
