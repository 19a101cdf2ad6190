package autoscaling

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// capacity is how many instances of a group count.
func capacity(m *Model, group string) (n int) {
	m.do(func(time.Time) { n = len(m.members(group)) })
	return n
}

func TestSuspendedProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := model(t, Group{Name: "web", Suspended: map[Process]string{Launch: "by hand"}})
		began := timestamp(time.Now())
		check(t, m.Suspend("web", Launch, AZRebalance))
		elapse(time.Minute)
		check(t, m.Suspend("web", AZRebalance, HealthCheck))
		equal(t, m.Suspended("web"), map[Process]string{Launch: "by hand", AZRebalance: "User suspended at " + began, HealthCheck: "User suspended at " + timestamp(time.Now())})
		check(t, m.Resume("web", Launch))
		equal(t, len(m.Suspended("web")), 2)
		check(t, m.Resume("web"))
		equal(t, len(m.Suspended("web")), 0)
		check(t, m.Suspend("web"))
		equal(t, len(m.Suspended("web")), len(Processes))
		equal(t, m.Suspend("web", "Lunch").Error(), "ValidationError: Invalid scaling process: Lunch")
		equal(t, m.Resume("api", Launch) != nil, true)

		renewing := model(t, Group{Name: "web", Renews: true})
		check(t, renewing.Suspend("web", Launch))
		elapse(time.Minute)
		check(t, renewing.Suspend("web", Launch))
		equal(t, renewing.Suspended("web"), map[Process]string{Launch: "User suspended at " + timestamp(time.Now())})
	})
}

func TestWhatSuspensionStops(t *testing.T) {
	m := model(t, Group{Name: "web", Desired: 2, Max: 4, Replace: true})
	check(t, m.Suspend("web", Launch))
	check(t, m.SetDesired("web", 4))
	equal(t, capacity(m, "web"), 2)
	check(t, m.SetHealth(m.Instances()[0].ID(), false)) // it is terminated all the same
	equal(t, capacity(m, "web"), 1)
	check(t, m.Resume("web", Launch)) // everything missing at once
	equal(t, capacity(m, "web"), 4)

	check(t, m.Suspend("web", Terminate))
	check(t, m.SetDesired("web", 1))
	equal(t, capacity(m, "web"), 4)
	acted, err := m.Trigger("web", AZRebalance, 0) // up to 10 % past the maximum
	check(t, err)
	equal(t, acted, true)
	acted, err = m.Trigger("web", AZRebalance, 0)
	check(t, err)
	equal(t, acted, false)
	equal(t, capacity(m, "web"), 5)
	check(t, m.Resume("web", Terminate))
	equal(t, capacity(m, "web"), 1)
}

func TestTriggeredProcesses(t *testing.T) {
	m := model(t, Group{Name: "web", Desired: 2})
	oldest := m.Instances()[0]
	acted, err := m.Trigger("web", AZRebalance, 0)
	check(t, err)
	equal(t, acted, true)
	equal(t, capacity(m, "web"), 2)
	equal(t, oldest.State(), Terminated)

	check(t, m.Suspend("web", AZRebalance, AlarmNotification, ScheduledActions))
	for _, p := range []Process{AZRebalance, AlarmNotification, ScheduledActions} {
		acted, err := m.Trigger("web", p, 7)
		check(t, err)
		equal(t, acted, false)
	}
	check(t, m.Resume("web"))
	equal(t, capacity(m, "web"), 2) // what was due is not made up for
	acted, err = m.Trigger("web", AlarmNotification, 3)
	check(t, err)
	equal(t, acted, true)
	equal(t, capacity(m, "web"), 3)
	_, err = m.Trigger("web", HealthCheck, 0)
	equal(t, err != nil, true)
}

func TestHealthUnderSuspension(t *testing.T) {
	m := model(t, Group{Name: "web", Desired: 1, Replace: true})
	i := m.Instances()[0]
	check(t, m.Suspend("web", HealthCheck, ReplaceUnhealthy))
	check(t, m.Move(i.ID(), ToTermination))
	equal(t, []any{i.Off(), i.State(), i.unhealthy}, []any{true, InService, false})
	check(t, m.Resume("web", HealthCheck))
	equal(t, []any{i.State(), i.unhealthy}, []any{InService, true})
	check(t, m.Resume("web", ReplaceUnhealthy))
	equal(t, i.State(), Terminated)
	equal(t, capacity(m, "web"), 1)
}

// registry is a balancer that notes who was registered.
type registry []string

func (r *registry) Register(_, id string) error            { *r = append(*r, id); return nil }
func (*registry) Deregister(string, string) (at time.Time) { return at }

func TestAddToLoadBalancerIsNotMadeUpFor(t *testing.T) {
	var added registry
	m := model(t)
	m.Balancer = &added
	check(t, m.CreateGroup(Group{Name: "web", TargetGroups: []string{"blue"}}))
	check(t, m.Suspend("web", AddToLoadBalancer))
	check(t, m.SetDesired("web", 1))
	check(t, m.Resume("web", AddToLoadBalancer))
	check(t, m.SetDesired("web", 2))
	equal(t, added, registry{m.Instances()[1].ID()})
}

func TestScalingActivities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, i := web(t, LaunchOptions{PendingFor: time.Second, ProceedFor: time.Second})
		status := func() (all []string) {
			m.do(func(time.Time) {
				for _, a := range m.activitiesOf("web") {
					all = append(all, a.Description[:9]+" "+a.StatusCode)
				}
			})
			return all
		}
		equal(t, status(), []string{"Launching PreInService"})
		elapse(time.Second)
		equal(t, status(), []string{"Launching MidLifecycleAction"})
		check(t, complete(m, i, "up", Continue))
		equal(t, status(), []string{"Launching InProgress"})
		elapse(time.Second)
		equal(t, status(), []string{"Launching Successful"})
		check(t, m.Terminate(i.ID()))
		equal(t, status(), []string{"Terminati MidLifecycleAction", "Launching Successful"})
		check(t, complete(m, i, "down", Continue))
		elapse(time.Second)
		equal(t, status(), []string{"Terminati Successful", "Launching Successful"})

		_, err := m.Launch(LaunchOptions{Group: "web"})
		check(t, err)
		check(t, complete(m, m.Instances()[1], "up", Abandon))
		equal(t, status()[:2], []string{"Terminati MidLifecycleAction", "Launching Cancelled"})
	})
}

func TestProcessesByTheSDK(t *testing.T) {
	m := model(t, Group{Name: "web", Max: 200})
	aws1 := sdkClient(t, m, func(o *sdk.Options) {
		// Of a large answer that comes at once the SDK now and then closes the connection too soon, and asks again.
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	})
	group := aws.String("web")
	_, err := aws1.SuspendProcesses(t.Context(), &sdk.SuspendProcessesInput{AutoScalingGroupName: group, ScalingProcesses: []string{"Launch"}})
	check(t, err)
	described := func() types.AutoScalingGroup {
		t.Helper()
		out, err := aws1.DescribeAutoScalingGroups(t.Context(), &sdk.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"web"}})
		check(t, err)
		return out.AutoScalingGroups[0]
	}
	equal(t, *described().SuspendedProcesses[0].ProcessName, "Launch")
	_, err = aws1.ResumeProcesses(t.Context(), &sdk.ResumeProcessesInput{AutoScalingGroupName: group})
	check(t, err)
	equal(t, len(described().SuspendedProcesses), 0)
	_, err = aws1.SuspendProcesses(t.Context(), &sdk.SuspendProcessesInput{AutoScalingGroupName: group})
	check(t, err)
	equal(t, len(described().SuspendedProcesses), len(Processes))

	for range 2 { // with one token: once
		out, err := aws1.LaunchInstances(t.Context(), &sdk.LaunchInstancesInput{AutoScalingGroupName: group, RequestedCapacity: aws.Int32(90), ClientToken: aws.String("once")})
		check(t, err)
		equal(t, len(out.Instances[0].InstanceIds), 90)
	}
	_, err = aws1.LaunchInstances(t.Context(), &sdk.LaunchInstancesInput{AutoScalingGroupName: group, RequestedCapacity: aws.Int32(101), ClientToken: aws.String("more")})
	equal(t, code(err), "ValidationError")
	_, err = aws1.LaunchInstances(t.Context(), &sdk.LaunchInstancesInput{AutoScalingGroupName: group, RequestedCapacity: aws.Int32(60), ClientToken: aws.String("again")})
	check(t, err)
	first, err := aws1.DescribeScalingActivities(t.Context(), &sdk.DescribeScalingActivitiesInput{AutoScalingGroupName: group})
	check(t, err)
	equal(t, []any{len(first.Activities), first.Activities[0].StatusCode}, []any{100, types.ScalingActivityStatusCodeSuccessful})
	rest, err := aws1.DescribeScalingActivities(t.Context(), &sdk.DescribeScalingActivitiesInput{AutoScalingGroupName: group, NextToken: first.NextToken})
	check(t, err)
	equal(t, []any{len(rest.Activities), rest.NextToken == nil}, []any{50, true})
	_, err = aws1.DescribeScalingActivities(t.Context(), &sdk.DescribeScalingActivitiesInput{AutoScalingGroupName: group, NextToken: aws.String("x")})
	equal(t, code(err) != "", true)

	check(t, m.SetRefreshes("web", Refresh{Status: "Baking"}, Refresh{Status: "Failed"}))
	refreshes, err := aws1.DescribeInstanceRefreshes(t.Context(), &sdk.DescribeInstanceRefreshesInput{AutoScalingGroupName: group})
	check(t, err)
	equal(t, []any{len(refreshes.InstanceRefreshes), refreshes.InstanceRefreshes[0].Status}, []any{2, types.InstanceRefreshStatusBaking})
	equal(t, m.SetRefreshes("web", Refresh{Status: "Cooking"}) != nil, true)
	for _, err := range []error{
		second(aws1.DescribeScalingActivities(t.Context(), &sdk.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String("api")})),
		second(aws1.DescribeInstanceRefreshes(t.Context(), &sdk.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String("api")})),
	} {
		equal(t, code(err), "ValidationError")
	}
	_, err = aws1.SetInstanceHealth(t.Context(), &sdk.SetInstanceHealthInput{InstanceId: aws.String(m.Instances()[0].ID()), HealthStatus: aws.String("Unhealthy")})
	check(t, err)
	equal(t, aws.ToString(described().Instances[0].HealthStatus), "Unhealthy")
}

func second[T any](_ T, err error) error { return err }

// What Describe answers lags behind what was done, until it catches up.
func TestStaleDescribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := model(t, Group{Name: "web", Desired: 1})
		seen := func() (suspended, activities int) {
			m.do(func(now time.Time) {
				s := api{m}.seen(now)
				suspended, activities = len(s.groupShape(s.groups["web"]).Suspended), len(s.activitiesOf("web"))
			})
			return suspended, activities
		}
		expect := func(suspended, activities int) {
			t.Helper()
			s, a := seen()
			equal(t, [2]int{s, a}, [2]int{suspended, activities})
		}
		m.SetLag(30 * time.Second)
		check(t, m.Suspend("web", Launch))
		expect(0, 1)
		elapse(20 * time.Second)
		check(t, m.Suspend("web", Terminate))
		check(t, m.Resume("web", Launch))
		check(t, m.SetDesired("web", 2))
		expect(0, 1)
		elapse(10 * time.Second)
		expect(1, 1)
		elapse(20 * time.Second)
		expect(1, 2)
		equal(t, m.Suspended("web")[Launch], "")
		check(t, m.Resume("web"))
		expect(1, 2)
		m.SetLag(0)
		expect(0, 2)
	})
}
