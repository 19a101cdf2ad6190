package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/codedeploy"
	"koboshi/cmd/koboshi/help"
)

// deployer is a machine that deploys to the group "web". Of the programs that a pipeline
// calls, koboshi is the real one; the others note how they were called, and whether the
// group was kept still meanwhile.
type deployer struct {
	*testing.T
	aws *awstest.Server
	dir string
	env []string
}

// noted is what a pipeline calls in place of aws, terraform and its own scripts.
const noted = `#!/bin/sh
echo "$(basename "$0") $* fence=${KOBOSHI_GUARD_FENCE:-none} suspended=$(koboshi guard status --source s3://acme-releases/apps --app web --group web --json | grep -c '"User suspended at ')" >>"$NOTES"
case "$*" in
*create-deployment*) echo d-8JHL2KQF1 ;;
esac
`

func newDeployer(t *testing.T) *deployer {
	t.Helper()
	built, err := exec.LookPath("koboshi")
	if err != nil {
		t.Fatal(err)
	}
	d := &deployer{T: t, aws: awstest.New(t), dir: t.TempDir()}
	d.aws.S3().CreateBucket("acme-releases")
	d.check(d.aws.CreateGroup(autoscaling.Group{Name: "web", Desired: 2}))
	d.check(d.aws.Deployments().Set("shop", "web-blue-green", codedeploy.Deployment{ID: "d-1", Status: "Succeeded"}))
	bin := t.TempDir()
	for _, path := range []string{filepath.Join(bin, "aws"), filepath.Join(bin, "terraform"), filepath.Join(d.dir, "rollout.sh")} {
		d.check(os.WriteFile(path, []byte(noted), 0o755)) //nolint:gosec // a program
	}
	d.env = []string{
		"PATH=" + bin + ":" + filepath.Dir(built) + ":/usr/bin:/bin", "HOME=" + t.TempDir(), "NOTES=" + filepath.Join(d.dir, "notes"), "GORACE=atexit_sleep_ms=0",
		"AWS_ENDPOINT_URL=" + d.aws.URL(), "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_EC2_METADATA_DISABLED=true",
	}
	return d
}

func (d *deployer) check(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// run runs a script as a pipeline does, and returns what it printed last.
func (d *deployer) run(script string, env ...string) string {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/bash", "-e", "-c", script)
	cmd.Dir, cmd.Env = d.dir, slices.Concat(d.env, env)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		d.Fatalf("%s\n%v: %s%s", script, err, out, said.String())
	}
	return strings.TrimSpace(string(out))
}

// notes are the calls since the last notes.
func (d *deployer) notes() (lines []string) {
	d.Helper()
	path := filepath.Join(d.dir, "notes")
	text, err := os.ReadFile(path)
	d.check(err)
	d.check(os.Remove(path))
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// free asserts that the group is as it was, and no one's.
func (d *deployer) free(after string) {
	d.Helper()
	if suspended := d.aws.Model().Suspended("web"); len(suspended) > 0 {
		d.Errorf("after %s: suspended %v", after, suspended)
	}
	if got := d.run("koboshi guard status --source s3://acme-releases/apps --app web --group web"); !strings.HasPrefix(got, "group web is free, ") {
		d.Errorf("after %s: %s", after, got)
	}
}

// block is the one of the topic that begins with a file's name.
func block(t *testing.T, language, name string) string {
	t.Helper()
	topic, _ := help.Find("deploys")
	text, found := between(topic.Text, "```"+language+"\n# "+name+"\n", "```\n")
	if !found {
		t.Fatalf("no %s in the topic", name)
	}
	return text
}

// The scripts of the topic are run as they are.
func TestDeployScripts(t *testing.T) {
	for name, want := range map[string][]string{
		"deploy.sh": {`rollout.sh 1.5.0 fence=1 suspended=5`},
		"codedeploy.sh": {
			`aws deploy create-deployment --application-name shop --deployment-group-name web-blue-green --s3-location bucket=acme-revisions,key=shop-1.5.0.tgz,bundleType=tgz .*fence=1 suspended=5`,
			`aws deploy wait deployment-successful --deployment-id d-8JHL2KQF1 fence=1 suspended=5`,
		},
		"terraform.sh": {`terraform plan -input=false -out=plan fence=none suspended=0`, `terraform apply -input=false plan fence=1 suspended=3`},
	} {
		d := newDeployer(t)
		d.run(block(t, "sh", name), "VERSION=1.5.0")
		got := d.notes()
		if len(got) != len(want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for n, pattern := range want {
			if !regexp.MustCompile("^" + pattern + "$").MatchString(got[n]) {
				t.Errorf("%s: %q, want %q", name, got[n], pattern)
			}
		}
		d.free(name)
	}
}

func TestDeployHeartbeat(t *testing.T) {
	d := newDeployer(t)
	fence := d.run("koboshi guard acquire --source s3://acme-releases/apps --app web --group web --lease 5m")
	d.run(block(t, "sh", "heartbeat.sh"), "FENCE="+fence, "TASK_TOKEN=t")
	if got := d.notes(); !strings.HasPrefix(got[0], "aws stepfunctions send-task-heartbeat --task-token t ") {
		t.Errorf("%q", got)
	}
	d.run("koboshi guard repair --force --source s3://acme-releases/apps --app web --group web")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/bash", "-c", block(t, "sh", "heartbeat.sh"))
	cmd.Dir, cmd.Env = d.dir, slices.Concat(d.env, []string{"FENCE=" + fence, "TASK_TOKEN=t"})
	if err := cmd.Run(); err == nil {
		t.Error("a worker that has lost its lock goes on")
	}
	d.free("the heartbeat")
}

// The steps of the GitHub workflow, in order, as its runner runs them.
func TestDeployFromGitHub(t *testing.T) {
	var w struct {
		Env  map[string]string
		Jobs map[string]struct {
			Steps []struct{ Uses, Run string }
		}
	}
	d := newDeployer(t)
	d.check(yaml.Unmarshal([]byte(block(t, "yaml", ".github/workflows/deploy.yml")), &w))
	var env []string
	for name, value := range w.Env {
		env = append(env, name+"="+value)
	}
	env = append(env, "GITHUB_RUN_ID=7", "GITHUB_REF_NAME=v1.5.0")
	ran := 0
	for _, step := range w.Jobs["deploy"].Steps {
		if step.Run != "" {
			d.run(step.Run, env...)
			ran++
		}
	}
	if got := d.notes(); ran != 2 || !slices.Equal(got, []string{"rollout.sh 1.5.0 fence=1 suspended=5"}) {
		t.Errorf("%d steps: %q", ran, got)
	}
	d.free("the workflow")
}

// buildspec runs the commands of a CodeBuild project, and returns the variable that it
// exports.
func (d *deployer) buildspec(name string, env ...string) (fence string) {
	d.Helper()
	var spec struct {
		Env struct {
			Variables map[string]string
			Exported  []string `yaml:"exported-variables"`
		}
		Phases map[string]struct{ Commands []string }
	}
	d.check(yaml.Unmarshal([]byte(block(d.T, "yaml", name)), &spec))
	for variable, value := range spec.Env.Variables {
		env = append(env, variable+"="+value)
	}
	commands := spec.Phases["build"].Commands
	if len(commands) == 0 {
		d.Fatalf("%s has no commands", name)
	}
	for _, variable := range spec.Env.Exported {
		commands = append(commands, `echo "exported $`+variable+`"`)
	}
	said := d.run(strings.Join(commands, "\n"), env...)
	_, fence, _ = strings.Cut(said, "exported ")
	return fence
}

// The CodeBuild projects around a CodeDeploy action, and what ends a pipeline that has
// failed.
func TestDeployFromCodePipeline(t *testing.T) {
	d := newDeployer(t)
	of := func(execution string) []string {
		return []string{"EXECUTION=" + execution, "CODEBUILD_RESOLVED_SOURCE_VERSION=abc"}
	}
	fence := d.buildspec("acquire.buildspec.yml", of("one")...)
	if fence != "1" || len(d.aws.Model().Suspended("web")) != 5 {
		t.Fatalf("fence %q, suspended %v", fence, d.aws.Model().Suspended("web"))
	}
	d.buildspec("release.buildspec.yml", append(of("one"), "FENCE="+fence)...)
	d.free("release")

	d.buildspec("acquire.buildspec.yml", of("two")...)
	d.buildspec("finally.buildspec.yml", of("three")...) // which has failed since two holds the group
	if got := len(d.aws.Model().Suspended("web")); got != 5 {
		t.Errorf("the end of another pipeline has resumed: %d are suspended", got)
	}
	d.buildspec("finally.buildspec.yml", of("two")...)
	d.free("finally")
	d.buildspec("finally.buildspec.yml", of("two")...) // twice
	if fence := d.buildspec("acquire.buildspec.yml", of("four")...); fence != fmt.Sprint(3) {
		t.Errorf("fence %q", fence)
	}
}
