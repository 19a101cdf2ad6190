package group_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/codedeploy"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/group"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// world is a server whose clock is an hour fast, and a client of it.
func world(t *testing.T, g autoscaling.Group) (*awstest.Server, *group.Client) {
	t.Helper()
	server := awstest.New(t, awstest.WithClock(func() time.Time { return time.Now().Add(time.Hour) }))
	check(t, server.CreateGroup(g))
	return server, group.New(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL()), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

func TestDescribe(t *testing.T) {
	server, client := world(t, autoscaling.Group{Name: "web", Desired: 2, Max: 5, Replace: true, Pool: &autoscaling.Pool{Size: 1}})
	check(t, server.CreateGroup(autoscaling.Group{Name: "web-2", Desired: 1}))
	first := server.Instances()[0]
	check(t, server.Move(first.ID(), autoscaling.ToStandby))
	check(t, server.Model().Suspend("web", autoscaling.ReplaceUnhealthy))
	check(t, server.Model().SetHealth(server.Instances()[1].ID(), false))
	g, err := client.Describe(t.Context(), "web")
	check(t, err)
	if late := time.Until(g.At); late < 59*time.Minute || late > time.Hour+time.Second {
		t.Errorf("at %v, which is in %v", g.At, late)
	}
	equal(t, g, group.Group{
		Name: "web", Desired: 1, At: g.At, Pool: group.Pool{Size: 1},
		Instances: []group.Instance{{first.ID(), "Standby", true}, {server.Instances()[1].ID(), "InService", false}},
		Suspended: map[group.Process]string{group.ReplaceUnhealthy: server.Model().Suspended("web")[autoscaling.ReplaceUnhealthy]},
	})
	_, err = client.Describe(t.Context(), "api")
	equal(t, errors.Is(err, group.ErrNoGroup), true)
}

func TestWhatIsUnderWay(t *testing.T) {
	server, client := world(t, autoscaling.Group{Name: "web", Desired: 1, Hooks: []autoscaling.Hook{{Name: "up", Transition: autoscaling.OnLaunch}}})
	activities, err := client.Activities(t.Context(), "web")
	check(t, err)
	equal(t, len(activities), 1)
	equal(t, []string{activities[0].Status, activities[0].What}, []string{"MidLifecycleAction", "Launching a new EC2 instance: " + server.Instances()[0].ID()})
	equal(t, activities[0].Since.After(time.Now().Add(59*time.Minute)), true)
	check(t, server.SetDesired("web", 0))
	check(t, server.CreateGroup(autoscaling.Group{Name: "idle", Desired: 1}))
	activities, err = client.Activities(t.Context(), "idle")
	check(t, err)
	equal(t, len(activities), 0)

	for status, active := range map[string]bool{
		"Pending": true, "InProgress": true, "Baking": true, "Cancelling": true, "RollbackInProgress": true,
		"Successful": false, "Failed": false, "Cancelled": false, "RollbackFailed": false, "RollbackSuccessful": false,
	} {
		check(t, server.Model().SetRefreshes("web", autoscaling.Refresh{Status: status}))
		refreshes, err := client.Refreshes(t.Context(), "web")
		check(t, err)
		if len(refreshes) != 1 || refreshes[0].Status != status || refreshes[0].Active() != active {
			t.Errorf("%s: %+v", status, refreshes)
		}
	}

	var all []codedeploy.Deployment
	for _, status := range codedeploy.Statuses {
		all = append(all, codedeploy.Deployment{ID: "d-" + status, Status: status})
	}
	check(t, server.Deployments().Set("shop", "blue", all...))
	ids, err := client.Deployments(t.Context(), "shop", "blue")
	check(t, err)
	equal(t, ids, []string{"d-Created", "d-Queued", "d-InProgress", "d-Baking", "d-Ready"})
	for _, err := range []error{
		second(client.Deployments(t.Context(), "shop", "green")), second(client.Deployments(t.Context(), "api", "blue")),
		second(client.Activities(t.Context(), "api")), second(client.Refreshes(t.Context(), "api")),
	} {
		equal(t, errors.Is(err, group.ErrNoGroup), true)
	}
}

func second[T any](_ T, err error) error { return err }

func TestSuspendAndResume(t *testing.T) {
	server, client := world(t, autoscaling.Group{Name: "web"})
	suspended := func() (names []string) {
		for p := range server.Model().Suspended("web") {
			names = append(names, string(p))
		}
		slices.Sort(names)
		return names
	}
	check(t, client.Suspend(t.Context(), "web", group.AZRebalance, group.Launch))
	equal(t, suspended(), []string{"AZRebalance", "Launch"})
	check(t, client.Resume(t.Context(), "web", group.Launch))
	equal(t, suspended(), []string{"AZRebalance"})

	// An empty or unknown name is never sent: what AWS makes of it is not known.
	calls := len(server.Calls().All())
	for _, name := range []group.Process{"", "launch", "Lunch"} {
		for _, err := range []error{client.Suspend(t.Context(), "web", name), client.Resume(t.Context(), "web", group.Launch, name)} {
			if err == nil {
				t.Errorf("%q was sent", name)
			}
		}
	}
	equal(t, len(server.Calls().All()), calls)
	equal(t, errors.Is(client.Suspend(t.Context(), "api", group.Launch), group.ErrNoGroup), true)
	equal(t, errors.Is(client.Resume(t.Context(), "api", group.Launch), group.ErrNoGroup), true)
}

func TestFailures(t *testing.T) {
	server, client := world(t, autoscaling.Group{Name: "web"})
	for code, want := range map[string]error{"AccessDenied": group.ErrDenied, "Throttling": group.ErrUnavailable, "ValidationError": group.ErrUnavailable} {
		server.Faults().Clear()
		server.Faults().Add(faults.Fault{Service: "autoscaling", Status: 400, Code: code, Message: "no"})
		for name, err := range map[string]error{
			"Describe": second(client.Describe(t.Context(), "web")), "Activities": second(client.Activities(t.Context(), "web")),
			"Refreshes": second(client.Refreshes(t.Context(), "web")),
			"Suspend":   client.Suspend(t.Context(), "web", group.Launch), "Resume": client.Resume(t.Context(), "web", group.Launch),
		} {
			if !errors.Is(err, want) {
				t.Errorf("%s: %s: %v", code, name, err)
			}
		}
	}
	server.Close()
	_, err := client.Describe(t.Context(), "web")
	equal(t, errors.Is(err, group.ErrUnavailable), true)
}

func TestStatements(t *testing.T) {
	s := group.Statements("aws", []string{"web*"}, []string{"shop/blue"})
	equal(t, s[0].Resource, []string{"arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/web${*}"})
	equal(t, s[2].Resource, []string{"arn:aws:codedeploy:*:*:deploymentgroup:shop/blue"})
	every := group.Statements("aws-cn", nil, nil)
	equal(t, len(every), 2)
	equal(t, every[0].Resource, []string{"arn:aws-cn:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*"})
}
