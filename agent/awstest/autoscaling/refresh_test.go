package autoscaling

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// fleet is a group of instances that take a minute to start, from version 1 of a launch
// template that has two.
func fleet(t *testing.T, desired int) *Model {
	t.Helper()
	version := func(ami string) LaunchOptions { return LaunchOptions{AMI: ami, PendingFor: time.Minute} }
	m := model(t, Group{
		Name: "web", Desired: desired, LaunchTemplate: LaunchTemplate{ID: "lt-1", Version: "1"},
		Versions: map[string]LaunchOptions{"1": version("ami-old"), "2": version("ami-new")},
	})
	elapse(time.Hour)
	return m
}

var toNew = LaunchTemplate{ID: "lt-1", Version: "2"}

// refresh starts one.
func refresh(t *testing.T, m *Model, desired LaunchTemplate, p Preferences) {
	t.Helper()
	var err error
	m.do(func(now time.Time) { _, err = m.startRefresh(m.groups["web"], desired, p, now) })
	check(t, err)
}

// amis are the AMIs of the members.
func amis(m *Model) (all []string) {
	m.do(func(time.Time) {
		for _, i := range m.members("web") {
			all = append(all, i.options.AMI)
		}
	})
	slices.Sort(all)
	return all
}

// launchesFrom is the launch template of the group.
func launchesFrom(m *Model) (t LaunchTemplate) {
	m.do(func(time.Time) { t = m.groups["web"].LaunchTemplate })
	return t
}

func last(m *Model) Refresh { return m.Refreshes("web")[0] }

// Whatever the limits are, a refresh replaces every instance once, and keeps the limits
// where that is possible at all.
func TestRefreshKeepsItsLimits(t *testing.T) {
	runs, whole := 0, 0
	for desired := 1; desired <= 7; desired++ {
		for _, least := range []int{0, 50, 90, 100} {
			for _, most := range []int{0, 100, 110, 200} {
				if most-least > 100 {
					continue
				}
				runs++
				synctest.Test(t, func(t *testing.T) {
					m := fleet(t, desired)
					refresh(t, m, toNew, Preferences{MinHealthy: least, MaxHealthy: most, Warmup: 30 * time.Second})
					floor, ceiling := (desired*least+99)/100, desired*max(most, 100)/100
					if floor == desired && ceiling == desired { // one of them is exceeded, by one
						if most == 0 {
							floor--
						} else {
							ceiling++
						}
					}
					for step := 0; last(m).active(); step++ {
						if step > 10000 {
							t.Fatalf("desired %d, min %d, max %d: %+v", desired, least, most, last(m))
						}
						healthy, members := 0, 0
						m.do(func(time.Time) {
							for _, i := range m.members("web") {
								members++
								if i.state == InService {
									healthy++
								}
							}
						})
						if healthy < floor || members > ceiling || len(m.Instances()) > 2*desired {
							t.Fatalf("desired %d, min %d, max %d: %d healthy, %d members of %d", desired, least, most, healthy, members, len(m.Instances()))
						}
						elapse(time.Second)
					}
					r := last(m)
					if r.Status == "Successful" && r.Percent == 100 && r.ToUpdate == 0 && slices.Equal(amis(m), slices.Repeat([]string{"ami-new"}, desired)) && len(m.Instances()) == 2*desired {
						whole++
					} else {
						t.Errorf("desired %d, min %d, max %d: %+v %v", desired, least, most, r, amis(m))
					}
					equal(t, launchesFrom(m), toNew)
				})
			}
		}
	}
	t.Logf("%d of %d refreshes are whole and within their limits", whole, runs)
}

func TestRefreshWaitsAtCheckpointsAndBakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := fleet(t, 4)
		began := time.Now()
		refresh(t, m, toNew, Preferences{MinHealthy: 100, MaxHealthy: 200, Checkpoints: []int{25, 50, 100}, CheckpointDelay: 10 * time.Minute, Bake: time.Hour})
		at := func(after time.Duration, status string, percent int, reason string) {
			t.Helper()
			elapse(after - time.Since(began))
			r := last(m)
			equal(t, []any{r.Status, r.Percent, r.Reason}, []any{status, percent, reason})
		}
		waiting := func(over time.Duration, at int) string {
			return fmt.Sprintf("Waiting until %s at checkpoint %d%%.", timestamp(began.Add(over)), at)
		}
		at(2*time.Minute, "InProgress", 25, waiting(11*time.Minute, 25))
		at(13*time.Minute, "InProgress", 50, waiting(22*time.Minute, 50))
		equal(t, amis(m), []string{"ami-new", "ami-new", "ami-old", "ami-old"})
		at(24*time.Minute, "Baking", 100, "")
		equal(t, launchesFrom(m).Version, "1")
		at(83*time.Minute+time.Second, "Successful", 100, "")
		equal(t, launchesFrom(m).Version, "2")
	})
}

// An alarm fails a refresh, or has it rolled back: instances are launched again, by the
// configuration from before.
func TestRefreshAlarms(t *testing.T) {
	for _, test := range []struct {
		auto       bool
		during     string
		wait       time.Duration
		then, ends string
	}{
		{false, "InProgress", 90 * time.Second, "Failed", "Failed"},
		{true, "InProgress", 90 * time.Second, "RollbackInProgress", "RollbackSuccessful"},
		{true, "Baking", 10 * time.Minute, "RollbackInProgress", "RollbackSuccessful"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := fleet(t, 4)
			refresh(t, m, toNew, Preferences{MinHealthy: 50, Alarms: []string{"errors"}, AutoRollback: test.auto, Bake: time.Hour})
			elapse(test.wait)
			equal(t, last(m).Status, test.during)
			m.SetAlarm("latency", true)
			equal(t, last(m).Status, test.during)
			before := last(m).Percent
			m.SetAlarm("errors", true)
			equal(t, last(m).Status, test.then)
			elapse(30 * time.Second)
			if test.auto && last(m).Percent > before {
				t.Errorf("a rollback counts from %d to %d", before, last(m).Percent)
			}
			elapse(time.Hour)
			equal(t, last(m).Status, test.ends)
			equal(t, launchesFrom(m).Version, "1")
			equal(t, capacity(m, "web"), 4)
			if test.auto {
				equal(t, amis(m), slices.Repeat([]string{"ami-old"}, 4))
				equal(t, []any{last(m).Percent, last(m).RollbackReason}, []any{0, "CloudWatch alarm errors is in the ALARM state."})
			}
		})
	}
}

func TestRefreshFailsWithItsLaunches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := fleet(t, 2)
		check(t, m.PutHook("web", launching("up", time.Minute, Abandon)))
		refresh(t, m, toNew, Preferences{MinHealthy: 90})
		elapse(time.Hour)
		equal(t, []string{last(m).Status, last(m).Reason}, []string{"Failed", "3 instances failed to launch."})
	})
}

func TestRefreshSkipsWhatMatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := fleet(t, 3)
		refresh(t, m, LaunchTemplate{}, Preferences{MinHealthy: 90, SkipMatching: true}) // the same version: nothing is replaced
		elapse(time.Second)
		equal(t, []any{last(m).Status, len(m.Instances())}, []any{"Successful", 3})
		refresh(t, m, toNew, Preferences{MinHealthy: 90})
		elapse(30 * time.Second)
		m.do(func(now time.Time) { m.endRefresh(m.groups["web"], "Cancelled", "", now) }) // in the middle
		equal(t, amis(m), []string{"ami-new", "ami-old", "ami-old"})
		elapse(time.Hour)
		refresh(t, m, toNew, Preferences{MinHealthy: 90, SkipMatching: true})
		equal(t, last(m).ToUpdate, 2)
		elapse(time.Hour)
		equal(t, last(m).Status, "Successful")
		equal(t, amis(m), slices.Repeat([]string{"ami-new"}, 3))
	})
}

// What is suspended holds a refresh up, and a change of the desired capacity does not.
func TestRefreshUnderSuspensionAndScaling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := fleet(t, 4)
		for _, p := range []Process{InstanceRefresh, Launch, Terminate} {
			check(t, m.Suspend("web", p))
			refresh(t, m, toNew, Preferences{MinHealthy: 50})
			elapse(time.Hour)
			equal(t, []any{last(m).Status, last(m).Percent}, []any{"Pending", 0})
			check(t, m.Resume("web", p))
			equal(t, last(m).Status, "InProgress")
			elapse(time.Second)
			check(t, m.Suspend("web", p))
			elapse(time.Hour)
			equal(t, []any{last(m).Status, last(m).Percent, last(m).Reason}, []any{"InProgress", 50, "Instance refresh is paused: a process of the group is suspended."})
			check(t, m.Resume("web", p))
			elapse(time.Hour)
			equal(t, last(m).Status, "Successful")
		}
		for _, size := range []int{2, 6, 1} {
			refresh(t, m, toNew, Preferences{MinHealthy: 50, MaxHealthy: 150})
			elapse(30 * time.Second)
			check(t, m.SetDesired("web", size))
			elapse(time.Hour)
			equal(t, []any{last(m).Status, last(m).Percent}, []any{"Successful", 100})
			equal(t, capacity(m, "web"), size)
		}
	})
}

func TestRefreshByTheSDK(t *testing.T) {
	m := model(t, Group{
		Name: "web", Desired: 1, LaunchTemplate: LaunchTemplate{ID: "lt-1", Version: "1"},
		Versions: map[string]LaunchOptions{"1": {}, "2": {PendingFor: time.Hour}, "3": {AMI: "resolve:ssm:/web/ami"}},
	}, Group{Name: "latest", LaunchTemplate: LaunchTemplate{ID: "lt-1", Version: "$Latest"}})
	client, web := sdkClient(t, m), aws.String("web")
	start := func(in sdk.StartInstanceRefreshInput) error {
		if in.AutoScalingGroupName == nil {
			in.AutoScalingGroupName = web
		}
		_, err := client.StartInstanceRefresh(t.Context(), &in)
		return err
	}
	to := func(version string) *types.DesiredConfiguration {
		return &types.DesiredConfiguration{LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String("lt-1"), Version: aws.String(version)}}
	}
	number := aws.Int32
	for name, p := range map[string]types.RefreshPreferences{
		"not ascending":      {CheckpointPercentages: []int32{50, 20, 100}},
		"twice":              {CheckpointPercentages: []int32{50, 50}},
		"over 100":           {CheckpointPercentages: []int32{50, 101}},
		"delay alone":        {CheckpointDelay: number(60)},
		"delay too long":     {CheckpointPercentages: []int32{100}, CheckpointDelay: number(172801)},
		"bake too long":      {BakeTime: number(172801)},
		"min over 100":       {MinHealthyPercentage: number(101)},
		"max below 100":      {MinHealthyPercentage: number(50), MaxHealthyPercentage: number(99)},
		"max alone":          {MaxHealthyPercentage: number(110)},
		"apart":              {MinHealthyPercentage: number(50), MaxHealthyPercentage: number(151)},
		"11 alarms":          {AlarmSpecification: &types.AlarmSpecification{Alarms: slices.Repeat([]string{"a"}, 11)}},
		"nothing to go back": {AutoRollback: aws.Bool(true)},
	} {
		if err := start(sdk.StartInstanceRefreshInput{Preferences: &p}); code(err) != "ValidationError" {
			t.Errorf("%s: %v", name, err)
		}
	}
	rollback := &types.RefreshPreferences{AutoRollback: aws.Bool(true)}
	for _, in := range []sdk.StartInstanceRefreshInput{
		{DesiredConfiguration: to("$Latest"), Preferences: rollback}, {DesiredConfiguration: to("3"), Preferences: rollback},
		{DesiredConfiguration: to("4")}, {AutoScalingGroupName: aws.String("api")},
		{DesiredConfiguration: to("2"), Preferences: rollback, AutoScalingGroupName: aws.String("latest")},
	} {
		equal(t, code(start(in)), "ValidationError")
	}
	_, err := client.RollbackInstanceRefresh(t.Context(), &sdk.RollbackInstanceRefreshInput{AutoScalingGroupName: web})
	equal(t, code(err), "ActiveInstanceRefreshNotFound")
	_, err = client.CancelInstanceRefresh(t.Context(), &sdk.CancelInstanceRefreshInput{AutoScalingGroupName: web})
	equal(t, code(err), "ActiveInstanceRefreshNotFound")

	check(t, start(sdk.StartInstanceRefreshInput{DesiredConfiguration: to("2"), Preferences: &types.RefreshPreferences{
		MinHealthyPercentage: number(100), MaxHealthyPercentage: number(150), CheckpointPercentages: []int32{50, 100}, BakeTime: number(60),
		AlarmSpecification: &types.AlarmSpecification{Alarms: []string{"errors"}}, AutoRollback: aws.Bool(true), InstanceWarmup: number(5),
	}}))
	equal(t, code(start(sdk.StartInstanceRefreshInput{})), "InstanceRefreshInProgress")
	shown := func() types.InstanceRefresh {
		t.Helper()
		out, err := client.DescribeInstanceRefreshes(t.Context(), &sdk.DescribeInstanceRefreshesInput{AutoScalingGroupName: web})
		check(t, err)
		return out.InstanceRefreshes[0]
	}
	r := shown()
	equal(t, []any{r.Status, *r.PercentageComplete, *r.InstancesToUpdate, *r.DesiredConfiguration.LaunchTemplate.Version, r.EndTime == nil}, []any{types.InstanceRefreshStatusInProgress, int32(0), int32(1), "2", true})
	p := r.Preferences
	equal(t, []any{p.CheckpointPercentages, *p.CheckpointDelay, *p.BakeTime, p.AlarmSpecification.Alarms, *p.AutoRollback, *p.MaxHealthyPercentage, *p.InstanceWarmup},
		[]any{[]int32{50, 100}, int32(3600), int32(60), []string{"errors"}, true, int32(150), int32(5)})
	_, err = client.RollbackInstanceRefresh(t.Context(), &sdk.RollbackInstanceRefreshInput{AutoScalingGroupName: web})
	check(t, err)
	r = shown()
	equal(t, []any{r.Status, *r.RollbackDetails.RollbackReason}, []any{types.InstanceRefreshStatusRollbackInProgress, "Rollback initiated by user request."})
	_, err = client.RollbackInstanceRefresh(t.Context(), &sdk.RollbackInstanceRefreshInput{AutoScalingGroupName: web})
	equal(t, code(err), "IrreversibleInstanceRefresh")
	_, err = client.CancelInstanceRefresh(t.Context(), &sdk.CancelInstanceRefreshInput{AutoScalingGroupName: web, WaitForTransitioningInstances: aws.Bool(false)})
	check(t, err)
	equal(t, shown().Status, types.InstanceRefreshStatusCancelled)

	check(t, start(sdk.StartInstanceRefreshInput{Preferences: &types.RefreshPreferences{BakeTime: number(60)}})) // as it is: no way back
	equal(t, shown().Status, types.InstanceRefreshStatusBaking)
	_, err = client.RollbackInstanceRefresh(t.Context(), &sdk.RollbackInstanceRefreshInput{AutoScalingGroupName: web})
	equal(t, code(err), "IrreversibleInstanceRefresh")
}
