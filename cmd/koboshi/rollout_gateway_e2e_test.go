//go:build e2e

package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestE2ERolloutGateway rolls a release out, aborts that and goes back in a real S3
// server, and lists the members of a group as the AWS CLI describes it.
func TestE2ERolloutGateway(t *testing.T) {
	g := newGuarded(t)
	addr, _ := startGateway(t)
	describe := exec.CommandContext(t.Context(), needs(t, "/usr/bin/aws", "awscli"), "--region", "us-east-1", "--endpoint-url", g.aws.URL(), "autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", "web", "--output", "json")
	describe.Env = g.env
	var said strings.Builder
	describe.Stderr = &said
	group, err := describe.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	g.env = append(g.env, "AWS_ENDPOINT_URL_S3=http://"+addr)
	g.shop()
	promote := func(args ...string) string {
		return g.koboshi(0, append([]string{"promote", "--source", "s3://releases/apps", "--app", "web", "--channel", "stable", "--key", "k.key"}, args...)...)
	}
	members := exec.CommandContext(t.Context(), "koboshi", "promote", "--source", "s3://releases/apps", "--app", "web", "--channel", "stable", "--key", "k.key",
		"--version", "1.0", "--percent", "99", "--show-members", "-", "--dry-run")
	members.Dir, members.Env, members.Stdin = g.dir, g.env, strings.NewReader(string(group))
	out, err := members.CombinedOutput()
	if want := len(regexp.MustCompile(`"InstanceId"`).FindAll(group, -1)); err != nil || want == 0 || !strings.Contains(string(out), " of "+count(want, "instance", "instances")+" would get it") {
		t.Errorf("%v: %s\nof %d instances in\n%s", err, out, want, group)
	}
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"--version", "1.0", "--percent", "10"}, "rolls out 1.0 to 10 % (was 0 %), the others stay at 2.0"},
		{[]string{"--version", "1.0", "--percent", "50"}, "rolls out 1.0 to 50 % (was 1.0 to 10 %), the others stay at 2.0"},
		{[]string{"--abort"}, "points to 2.0 for all instances (the rollout of 1.0 to 50 % is aborted)"},
		{[]string{"--version", "1.0"}, "points to 1.0 (was 2.0)"},
		{[]string{"--previous"}, "points to 2.0 (was 1.0)"},
	} {
		if said := promote(step.args...); !strings.Contains(said, step.want) {
			t.Errorf("promote %v: %s, want %q", step.args, said, step.want)
		}
	}
	history := g.koboshi(0, "releases", "--source", "s3://releases/apps", "--app", "web", "--trust", "k.pub", "--history", "stable")
	if strings.Count(history, "\n") != 6 || strings.Contains(history, "not in effect") || strings.Contains(history, "not verified") {
		t.Errorf("the history is\n%s", history)
	}
}
