package refresh_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"koboshi/agent/group"
	"koboshi/agent/refresh"
)

var (
	seven  = group.Template{ID: "lt-0a1b", Version: "7"}
	latest = group.Template{ID: "lt-0a1b", Version: "$Latest"}
)

func TestParseTemplate(t *testing.T) {
	for text, want := range map[string]group.Template{
		"lt-0a1b:7": seven, "lt-0a1b:$Latest": latest, "web/blue:12": {Name: "web/blue", Version: "12"}, "a:b:1": {Name: "a:b", Version: "1"}, "web:$Default": {Name: "web", Version: "$Default"},
		"": {}, "lt-0a1b": {}, ":7": {}, "lt-0a1b:": {}, "lt-0a1b:0": {}, "lt-0a1b:-1": {}, "lt-0a1b:latest": {}, "lt-0a1b:7x": {},
	} {
		got, err := refresh.ParseTemplate(text)
		if wrong := want == (group.Template{}); got != want && !wrong || (err != nil) != wrong {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if err == nil && got.String() != text {
			t.Errorf("%q is written %s", text, got)
		}
	}
}

func TestCheck(t *testing.T) {
	number := func(n int) *int { return &n }
	lasting := func(d time.Duration) *time.Duration { return &d }
	for _, test := range []struct {
		o    group.RefreshOptions
		want string // in the error; "" = none
	}{
		{group.RefreshOptions{}, ""},
		{group.RefreshOptions{
			Template: &seven, Checkpoints: []int{1, 99, 100}, CheckpointDelay: refresh.MaxDelay, MinHealthy: number(100), MaxHealthy: number(200), Bake: refresh.MaxDelay,
			Warmup: lasting(0), Alarms: strings.Split("abcdefghij", ""), AutoRollback: true, SkipMatching: true,
		}, ""},
		{group.RefreshOptions{MinHealthy: number(0), MaxHealthy: number(100)}, ""},
		{group.RefreshOptions{Template: &latest}, ""},
		{group.RefreshOptions{Checkpoints: []int{100}}, ""},
		{group.RefreshOptions{Checkpoints: []int{0, 100}}, "ascend"},
		{group.RefreshOptions{Checkpoints: []int{50, 50, 100}}, "ascend"},
		{group.RefreshOptions{Checkpoints: []int{50, 101}}, "ascend"},
		{group.RefreshOptions{Checkpoints: []int{50, 99}}, "end at 99"},
		{group.RefreshOptions{CheckpointDelay: time.Second}, "is for --checkpoints"},
		{group.RefreshOptions{Checkpoints: []int{100}, CheckpointDelay: refresh.MaxDelay + time.Second}, "at most 48h0m0s"},
		{group.RefreshOptions{Checkpoints: []int{100}, CheckpointDelay: -time.Second}, "whole seconds"},
		{group.RefreshOptions{Bake: refresh.MaxDelay + time.Second}, "at most 48h0m0s"},
		{group.RefreshOptions{Bake: time.Millisecond}, "whole seconds"},
		{group.RefreshOptions{Warmup: lasting(time.Millisecond)}, "whole seconds"},
		{group.RefreshOptions{MinHealthy: number(-1)}, "want 0 to 100"},
		{group.RefreshOptions{MinHealthy: number(101)}, "want 0 to 100"},
		{group.RefreshOptions{MaxHealthy: number(110)}, "needs --min-healthy"},
		{group.RefreshOptions{MinHealthy: number(50), MaxHealthy: number(99)}, "want 100 to 200"},
		{group.RefreshOptions{MinHealthy: number(50), MaxHealthy: number(201)}, "want 100 to 200"},
		{group.RefreshOptions{MinHealthy: number(99), MaxHealthy: number(200)}, "more than 100 apart"},
		{group.RefreshOptions{AutoRollback: true}, "needs --template"},
		{group.RefreshOptions{AutoRollback: true, Template: &latest}, "numbered version"},
		{group.RefreshOptions{SkipMatching: true}, "does not see the channel"},
		{group.RefreshOptions{SkipMatching: true, Template: &latest}, "numbered version"},
		{group.RefreshOptions{Alarms: strings.Split("abcdefghijk", "")}, "at most 10"},
		{group.RefreshOptions{Alarms: []string{"a", "a"}}, "each once"},
		{group.RefreshOptions{Alarms: []string{""}}, "names of alarms"},
		{group.RefreshOptions{Alarms: []string{"a\nb"}}, "names of alarms"},
		{group.RefreshOptions{Alarms: []string{strings.Repeat("a", 256)}}, "names of alarms"},
	} {
		err := refresh.Check(test.o)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.o, err, test.want)
		}
	}
}

// refused asserts that the error says that, and what to do.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err == nil {
		return
	}
	e, ok := errors.AsType[*refresh.RefusedError](err)
	if !ok || want == "" || !strings.Contains(e.Error(), want) || e.Advice() == "" {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestFits(t *testing.T) {
	six, named := group.Template{ID: "lt-0a1b", Name: "web", Version: "6"}, group.Template{Name: "web", Version: "6"}
	suspended := func(processes ...group.Process) map[group.Process]string {
		all := map[group.Process]string{}
		for _, p := range processes {
			all[p] = "User suspended"
		}
		return all
	}
	for _, test := range []struct {
		o    group.RefreshOptions
		g    group.Group
		want string
	}{
		{group.RefreshOptions{}, group.Group{}, ""},
		{group.RefreshOptions{Template: &seven, AutoRollback: true, SkipMatching: true}, group.Group{Template: six}, ""},
		{group.RefreshOptions{Template: &seven}, group.Group{Template: latest}, ""},
		{group.RefreshOptions{Template: &seven, AutoRollback: true}, group.Group{}, ""}, // from a launch configuration: AWS knows
		{group.RefreshOptions{}, group.Group{Suspended: suspended(group.AZRebalance, group.ReplaceUnhealthy)}, ""},
		{group.RefreshOptions{}, group.Group{Name: "web", Suspended: suspended(group.InstanceRefresh)}, "InstanceRefresh is suspended in group web"},
		{group.RefreshOptions{}, group.Group{Suspended: suspended(group.Launch, group.Terminate)}, "Launch, Terminate are suspended"},
		{group.RefreshOptions{}, group.Group{Mixed: true}, ""},
		{group.RefreshOptions{Template: &seven}, group.Group{Mixed: true}, "mixed instances policy"},
		{group.RefreshOptions{Template: &seven, AutoRollback: true}, group.Group{Template: latest}, "a numbered version only"},
		{group.RefreshOptions{Template: &six, SkipMatching: true}, group.Group{Template: six}, "would replace nothing"},
		{group.RefreshOptions{Template: &named, SkipMatching: true}, group.Group{Template: six}, "would replace nothing"},
		{group.RefreshOptions{Template: &six}, group.Group{Template: six}, ""},
	} {
		refused(t, refresh.Fits(test.o, test.g), test.want)
	}
}

func TestMayRollBack(t *testing.T) {
	six := group.Group{Name: "web", Template: group.Template{ID: "lt-0a1b", Version: "6"}}
	for _, status := range []string{"Pending", "InProgress", "Baking"} {
		refused(t, refresh.MayRollBack(group.Refresh{Status: status, Desired: &seven}, six), "")
	}
	for _, status := range []string{"Cancelling", "RollbackInProgress", "Successful", "Failed", "Cancelled", "RollbackSuccessful", "New"} {
		refused(t, refresh.MayRollBack(group.Refresh{Status: status, Desired: &seven}, six), "is "+status+": it cannot be rolled back")
	}
	refused(t, refresh.MayRollBack(group.Refresh{Status: "Baking"}, six), "started without --template")
	refused(t, refresh.MayRollBack(group.Refresh{Status: "Baking", Desired: &latest}, six), "from 6 to $Latest")
	refused(t, refresh.MayRollBack(group.Refresh{Status: "Baking", Desired: &seven}, group.Group{Template: latest}), "from $Latest to 7")
	six.Suspended = map[group.Process]string{group.Terminate: ""}
	refused(t, refresh.MayRollBack(group.Refresh{Status: "Baking", Desired: &seven}, six), "Terminate is suspended")
}

func TestEnds(t *testing.T) {
	for status, want := range map[string]string{"Failed": "describe-scaling-activities --auto-scaling-group-name web", "RollbackFailed": "describe-scaling-activities", "Cancelled": "--skip-matching", "RollbackSuccessful": "follow their channel"} {
		e := &refresh.EndedError{Group: "web", Refresh: group.Refresh{Status: status, Reason: "why", RollbackReason: ""}}
		if e.Error() != "the instance refresh of web has ended as "+status+": why" || !strings.Contains(e.Advice(), want) {
			t.Errorf("%v: %s", e, e.Advice())
		}
	}
}
