package group_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/group"
)

func TestRefresh(t *testing.T) {
	server, client := world(t, autoscaling.Group{
		Name: "web", Desired: 1, LaunchTemplate: autoscaling.LaunchTemplate{ID: "lt-1", Name: "web"},
		Versions: map[string]autoscaling.LaunchOptions{"1": {}, "2": {PendingFor: time.Hour}},
	})
	g, err := client.Describe(t.Context(), "web")
	check(t, err)
	equal(t, g.Template, group.Template{ID: "lt-1", Name: "web", Version: "$Default"})
	all, err := client.Refreshes(t.Context(), "web")
	check(t, err)
	equal(t, len(all), 0)
	is := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	is(client.CancelRefresh(t.Context(), "web"), group.ErrNoRefresh)
	is(client.RollbackRefresh(t.Context(), "web"), group.ErrNoRefresh)
	is(second(client.StartRefresh(t.Context(), "web", group.RefreshOptions{AutoRollback: true})), group.ErrRefused)
	is(second(client.StartRefresh(t.Context(), "api", group.RefreshOptions{})), group.ErrNoGroup)
	is(second(client.Refreshes(t.Context(), "api")), group.ErrNoGroup)

	number, warmup := func(n int) *int { return &n }, 5*time.Second
	id, err := client.StartRefresh(t.Context(), "web", group.RefreshOptions{
		Template: &group.Template{Name: "web", Version: "2"}, Checkpoints: []int{50, 100}, CheckpointDelay: time.Minute, MinHealthy: number(0), MaxHealthy: number(100),
		Bake: time.Hour, Warmup: &warmup, Alarms: []string{"web 5xx", "a&b=c"}, SkipMatching: true,
	})
	check(t, err)
	is(second(client.StartRefresh(t.Context(), "web", group.RefreshOptions{})), group.ErrRefreshing)
	shown, err := client.Refreshes(t.Context(), "web", id)
	check(t, err)
	if len(shown) != 1 || !shown[0].Active() || time.Until(shown[0].Started) < 59*time.Minute {
		t.Fatalf("%+v", shown)
	}
	want := group.Refresh{
		ID: id, Status: "InProgress", Reason: shown[0].Reason, Started: shown[0].Started, ToUpdate: 1, Checkpoints: []int{50, 100}, CheckpointDelay: time.Minute,
		Bake: time.Hour, Alarms: []string{"web 5xx", "a&b=c"}, Desired: &group.Template{Name: "web", Version: "2"},
	}
	if !reflect.DeepEqual(shown[0], want) {
		t.Errorf("got  %+v\nwant %+v", shown[0], want)
	}
	sent := server.Model().Refreshes("web")[0].Preferences
	equal(t, []any{sent.MinHealthy, sent.MaxHealthy, sent.Warmup, sent.SkipMatching, sent.AutoRollback}, []any{0, 100, warmup, true, false})
	is(client.RollbackRefresh(t.Context(), "web"), group.ErrRefused) // the group launches from $Default
	check(t, client.CancelRefresh(t.Context(), "web"))
	shown, err = client.Refreshes(t.Context(), "web")
	check(t, err)
	equal(t, []any{shown[0].Status, shown[0].Active()}, []any{"Cancelling", true})
	equal(t, second(client.Refreshes(t.Context(), "web", "00000000-0000-4000-a000-000000000099")), nil)

	server.Faults().Add(faults.Fault{Service: "autoscaling", Status: 403, Code: "AccessDenied"})
	is(client.CancelRefresh(t.Context(), "web"), group.ErrDenied)
	server.Faults().Clear()
	server.Faults().Add(faults.Fault{Service: "autoscaling", Status: 503})
	is(client.CancelRefresh(t.Context(), "web"), group.ErrUnavailable)
}

func TestRefreshStatements(t *testing.T) {
	s := group.RefreshStatements("aws", []string{"a*b"})
	equal(t, s[0].Resource, []string{"arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/a${*}b"})
	equal(t, s[0].Action, []string{"autoscaling:StartInstanceRefresh", "autoscaling:CancelInstanceRefresh", "autoscaling:RollbackInstanceRefresh"})
	equal(t, s[1].Resource, []string{"*"})
}
