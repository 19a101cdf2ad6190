package main

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/codedeploy"
)

// scaling suspend|resume PROCESS… changes the group "web"; scaling suspended [PROCESS…]
// asserts what is suspended there; scaling desired N, scaling refresh [STATUS],
// scaling deployment [STATUS] and scaling group NAME make what a check may find; scaling
// fleet NAME [VERSION] makes a group with instances, scaling alarm NAME on|off an alarm.
func scaling(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	if neg || len(args) == 0 {
		ts.Fatalf("usage: scaling suspend|resume|suspended|desired|refresh|deployment|group …")
	}
	var processes []autoscaling.Process
	for _, name := range args[1:] {
		processes = append(processes, autoscaling.Process(name))
	}
	switch args[0] {
	case "suspend":
		ts.Check(w.aws.Model().Suspend("web", processes...))
	case "resume":
		ts.Check(w.aws.Model().Resume("web", processes...))
	case "suspended":
		if got := slices.Sorted(maps.Keys(w.aws.Model().Suspended("web"))); !slices.Equal(got, processes) {
			ts.Fatalf("suspended are %q, want %q", got, processes)
		}
	case "desired":
		var n int
		ts.Check(json.Unmarshal([]byte(args[1]), &n))
		ts.Check(w.aws.SetDesired("web", n))
	case "refresh":
		var all []autoscaling.Refresh
		for _, status := range args[1:] {
			all = append(all, autoscaling.Refresh{ID: "r-1", Status: status})
		}
		ts.Check(w.aws.Model().SetRefreshes("web", all...))
	case "deployment":
		var all []codedeploy.Deployment
		for _, status := range args[1:] {
			all = append(all, codedeploy.Deployment{ID: "d-1", Status: status})
		}
		ts.Check(w.aws.Deployments().Set("shop", "blue-green", all...))
	case "group":
		ts.Check(w.aws.CreateGroup(autoscaling.Group{Name: args[1]}))
	case "fleet": // of two, from version 1 or the one given of a launch template with two that differ, and one with an SSM parameter
		version := "1"
		if len(args) > 2 {
			version = args[2]
		}
		ts.Check(w.aws.CreateGroup(autoscaling.Group{
			Name: args[1], Desired: 2, LaunchTemplate: autoscaling.LaunchTemplate{ID: "lt-0a1b2c3d", Name: "web", Version: version},
			Versions: map[string]autoscaling.LaunchOptions{"1": {AMI: "ami-0aa"}, "2": {AMI: "ami-0bb"}, "3": {AMI: "resolve:ssm:/web"}},
		}))
	case "alarm":
		w.aws.Model().SetAlarm(args[1], args[2] == "on")
	default:
		ts.Fatalf("scaling %s is unknown", args[0])
	}
}
