//go:build e2e

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/faults"
	"koboshi/cmd/koboshi/help"
)

// runner is a machine of a CI system with a checkout: the AWS CLI is installed, and
// koboshi is not.
type runner struct {
	aws     *awstest.Server
	dir     string
	path    string // of programs
	env     []string
	signing string // the text of the key
}

// awsOfRunner is the AWS CLI. Debian's version does not know AWS_ENDPOINT_URL, and
// would ask the real STS.
const awsOfRunner = `#!/bin/sh
exec env -u AWS_WEB_IDENTITY_TOKEN_FILE AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b /usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"
`

func newRunner(t *testing.T) *runner {
	t.Helper()
	if _, err := os.Stat("/usr/bin/aws"); err != nil {
		t.Fatalf("the workflows call the real AWS CLI: apt-get install -y awscli (%v)", err)
	}
	bin := t.TempDir()
	must(t, os.WriteFile(filepath.Join(bin, "aws"), []byte(awsOfRunner), 0o755)) //nolint:gosec // a program
	r := &runner{aws: awstest.New(t), dir: t.TempDir(), path: bin + ":/usr/bin:/bin"}
	r.aws.S3().CreateBucket("acme-releases")
	must(t, writeKeys(r.dir))
	key, err := os.ReadFile(filepath.Join(r.dir, "release.key"))
	must(t, err)
	r.signing = string(key)
	must(t, os.WriteFile(filepath.Join(r.dir, "Makefile"), []byte("dist:\n\tmkdir -p dist && echo '#!/bin/sh' >dist/web && chmod 755 dist/web\n"), 0o644))
	// The SDK has an endpoint of its own for the STS that gives credentials.
	r.env = []string{"PATH=" + r.path, "HOME=" + t.TempDir(), "AWS_ENDPOINT_URL=" + r.aws.URL(), "AWS_ENDPOINT_URL_STS=" + r.aws.URL(), "AWS_PAGER=", "GORACE=atexit_sleep_ms=0"}
	return r
}

// tool stores koboshi where a workflow fetches it, and returns its hash.
func (r *runner) tool(t *testing.T, place string) string {
	t.Helper()
	built, err := exec.LookPath("koboshi")
	must(t, err)
	data, err := os.ReadFile(built)
	must(t, err)
	bucket, key, _ := strings.Cut(strings.TrimPrefix(place, "s3://"), "/")
	r.aws.S3().Put(bucket, key, data)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// run runs a script as the CI system does, and fails with what it printed.
func (r *runner) run(t *testing.T, script string, env []string, bash ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/bash", append(bash, "-c", script)...)
	cmd.Dir, cmd.Env = r.dir, slices.Concat(r.env, env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v: %s", script, err, out)
	}
	if strings.Contains(string(out), "PRIVATE KEY") {
		t.Errorf("the key is printed: %s", out)
	}
}

// released asserts that the version is published, and the channel points to it.
func (r *runner) released(t *testing.T, version string) {
	t.Helper()
	built, err := exec.LookPath("koboshi")
	must(t, err)
	r.run(t, built+` releases --source s3://acme-releases/apps --app web --trust release.pub >list; `+
		`grep -q "^channel stable *`+version+` " list && grep -q "^`+version+` *stable" list && ! grep -q 'not signed' list || { cat list; exit 1; }`,
		[]string{"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"}, "-e")
}

// workflow is the block of the topic that begins with a file's name.
func workflow(t *testing.T, name string, into any) {
	t.Helper()
	topic, _ := help.Find("release")
	text, found := between(topic.Text, "```yaml\n# "+name+"\n", "```\n")
	if !found {
		t.Fatalf("no %s in the topic", name)
	}
	must(t, yaml.Unmarshal([]byte(text), into))
}

func variables(sets ...map[string]string) (all []string) {
	for _, set := range sets {
		for name, value := range set {
			all = append(all, name+"="+value)
		}
	}
	return all
}

// TestE2EGitHub runs the steps of the GitHub workflow in order, each as its runner
// does: bash -e, the secrets filled in, $GITHUB_PATH read after each step. What its
// actions do is taken for done.
func TestE2EGitHub(t *testing.T) {
	var w struct {
		On          struct{ Push struct{ Tags []string } }
		Permissions map[string]string
		Env         map[string]string
		Jobs        map[string]struct {
			Steps []struct {
				Uses, Run string
				Env       map[string]string
			}
		}
	}
	workflow(t, ".github/workflows/release.yml", &w)
	r := newRunner(t)
	if w.Permissions["id-token"] != "write" || !slices.Equal(w.On.Push.Tags, []string{"v*"}) {
		t.Errorf("permissions %v, tags %v", w.Permissions, w.On.Push.Tags)
	}
	w.Env["KOBOSHI_SHA256"] = r.tool(t, w.Env["KOBOSHI"])
	paths := filepath.Join(r.dir, "path")
	r.env = append(r.env, "RUNNER_TEMP="+t.TempDir(), "GITHUB_PATH="+paths, "GITHUB_REF_NAME=v1.4.2")
	ran := 0
	for _, step := range w.Jobs["release"].Steps {
		if step.Uses != "" {
			if action, _, _ := strings.Cut(step.Uses, "@"); action == "aws-actions/configure-aws-credentials" {
				r.env = append(r.env, "AWS_ACCESS_KEY_ID=ASIAROLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_SESSION_TOKEN=token")
			}
			continue
		}
		for name, value := range step.Env {
			step.Env[name] = strings.ReplaceAll(value, "${{ secrets.RELEASE_KEY }}", r.signing)
		}
		r.run(t, step.Run, variables(w.Env, step.Env), "-e")
		ran++
		if more, err := os.ReadFile(paths); err == nil {
			r.env[0] = "PATH=" + strings.TrimSpace(string(more)) + ":" + r.path
		}
	}
	if ran != 4 {
		t.Errorf("%d steps, want 4", ran)
	}
	r.released(t, "1.4.2")
}

// TestE2EGitLab runs the jobs of the GitLab pipeline, which have credentials by web
// identity alone.
func TestE2EGitLab(t *testing.T) {
	type job struct {
		Variables    map[string]string
		Tokens       map[string]any `yaml:"id_tokens"`
		BeforeScript []string       `yaml:"before_script"`
		Script       []string
	}
	var w struct {
		Variables      map[string]string
		Build, Release job
	}
	workflow(t, ".gitlab-ci.yml", &w)
	r := newRunner(t)
	w.Variables["KOBOSHI_SHA256"] = r.tool(t, w.Variables["KOBOSHI"])
	given := map[string]string{"CI_COMMIT_TAG": "v1.4.2", "RELEASE_KEY": r.signing}
	for name := range w.Release.Tokens {
		given[name] = "header.payload.signature"
	}
	for _, j := range []job{w.Build, w.Release} {
		r.run(t, strings.Join(slices.Concat(j.BeforeScript, j.Script), "\n"), variables(w.Variables, j.Variables, given), "-eo", "pipefail")
	}
	if n := r.aws.Calls().Count("sts", "AssumeRoleWithWebIdentity"); n != 2 {
		t.Errorf("the role was assumed %d times, want by publish and by promote", n)
	}
	for _, c := range r.aws.Calls().Filter(func(c faults.Call) bool { return c.Status >= 400 && c.Status != 404 && c.Status != 412 }) {
		t.Errorf("%+v", c)
	}
	r.released(t, "1.4.2")
}

// A workflow whose binary is another one ends before it runs it.
func TestE2EWorkflowChecksTheTool(t *testing.T) {
	var w struct {
		Variables map[string]string
		Release   struct {
			BeforeScript []string `yaml:"before_script"`
		}
	}
	workflow(t, ".gitlab-ci.yml", &w)
	r := newRunner(t)
	r.tool(t, w.Variables["KOBOSHI"])
	cmd := exec.CommandContext(t.Context(), "/bin/bash", "-eo", "pipefail", "-c", strings.Join(append(w.Release.BeforeScript, "touch ran"), "\n"))
	cmd.Dir, cmd.Env = r.dir, slices.Concat(r.env, variables(w.Variables), []string{"AWS_ID_TOKEN=header.payload.signature", "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/web-release"})
	out, err := cmd.CombinedOutput()
	if _, ran := os.Stat(filepath.Join(r.dir, "ran")); err == nil || ran == nil || !strings.Contains(string(out), "did NOT match") {
		t.Errorf("%v: %s", err, out)
	}
}
