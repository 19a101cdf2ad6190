package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/control"
	"koboshi/agent/awstest/faults"
)

// shell runs commands against one server.
type shell struct {
	t   *testing.T
	url string
}

// serve starts the serve command in-process and stops it at the test's end.
func serve(t *testing.T, args ...string) shell {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	stdout, w := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"serve"}, args...), func(string) string { return "" }, w, &stderr)
		_ = w.Close()
	}()
	t.Cleanup(func() {
		stop()
		if c := <-code; c != exitOK {
			t.Errorf("serve ended with %d: %s", c, stderr.String())
		}
	})
	env := bufio.NewScanner(stdout)
	for env.Scan() {
		if url, ok := strings.CutPrefix(env.Text(), "export KOBOSHI_MOCK_URL='"); ok {
			return shell{t, strings.TrimSuffix(url, "'")}
		}
	}
	t.Fatalf("serve printed no URL: %s", stderr.String())
	return shell{}
}

func (s shell) run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(s.t.Context(), args, func(string) string { return s.url }, &out, &errs)
	return code, out.String(), errs.String()
}

// ok runs a command that must succeed, and returns what it printed.
func (s shell) ok(args ...string) string {
	s.t.Helper()
	code, stdout, stderr := s.run(args...)
	if code != exitOK {
		s.t.Fatalf("%q: exit %d: %s", args, code, stderr)
	}
	return stdout
}

// instance launches one and returns its id.
func (s shell) instance(args ...string) string {
	s.t.Helper()
	return value(s.t, s.ok(append([]string{"launch"}, args...)...), "INSTANCE_ID")
}

// value is what eval of the exports would set a variable to.
func value(t *testing.T, exports, name string) string {
	t.Helper()
	for line := range strings.Lines(exports) {
		if v, ok := strings.CutPrefix(line, "export "+name+"='"); ok {
			return strings.TrimSuffix(v, "'\n")
		}
	}
	t.Fatalf("no %s in\n%s", name, exports)
	return ""
}

func (s shell) status(id string) (i control.Status) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.ok("state", "--json", id)), &i); err != nil {
		s.t.Fatal(err)
	}
	return i
}

func TestLifeOfAnInstance(t *testing.T) {
	s := serve(t, "--group", "web", "--launch-hook", "up", "--terminate-hook", "down", "--hook-timeout", "50ms", "--hook-default", "CONTINUE")
	id := s.instance("--group", "web", "--tag", "a=b=c", "--az", "eu-west-1a")
	s.ok("wait", id, "InService")
	if got := s.ok("state", id); got != "InService\n" {
		t.Errorf("state: %q", got)
	}
	s.ok("tag", id, "koboshi:channel=canary", "x=")
	s.ok("untag", id, "x")
	i := s.status(id)
	if i.Tags["a"] != "b=c" || i.Tags["koboshi:channel"] != "canary" || len(i.Tags) != 3 {
		t.Errorf("tags: %v", i.Tags)
	}
	if i.Actions[0].Ending != autoscaling.ByTimeout || i.Actions[0].Result != autoscaling.Continue {
		t.Errorf("actions: %+v", i.Actions)
	}
	s.ok("terminate", id)
	s.ok("wait", id, "Terminated")
	if code, _, stderr := s.run("wait", id, "InService"); code != exitFailed || !strings.Contains(stderr, "it is Terminated") {
		t.Errorf("wait for what cannot be: %d %s", code, stderr)
	}
}

func TestSeveralHooks(t *testing.T) {
	s := serve(t, "--group", "web", "--launch-hook", "blue", "--launch-hook", "green", "--hook-timeout", "1h")
	var waits []string
	for _, a := range s.status(s.instance("--group", "web")).Actions {
		waits = append(waits, a.Hook)
	}
	if want := []string{"blue", "green"}; !slices.Equal(waits, want) {
		t.Errorf("it waits for %v, want %v", waits, want)
	}
}

// TestScaleIn is the way of an instance out of the group, as its metadata and the
// load balancer show it.
func TestScaleIn(t *testing.T) {
	s := serve(t, "--group", "web", "--terminate-hook", "down", "--target-group", "blue", "--deregistration-delay", "0s", "--retain")
	id := s.instance("--group", "web", "--spot")
	health := func(want string) {
		t.Helper()
		if got := s.ok("targets", "blue"); !strings.Contains(got, want) {
			t.Errorf("targets: %s, want %s", got, want)
		}
	}
	state := func(want string) {
		t.Helper()
		if got := s.ok("state", id); got != want+"\n" {
			t.Errorf("state %q, want %s", got, want)
		}
	}
	health(`"target":"` + id + `","state":"healthy"`)
	s.ok("move", id, "standby")
	health("[]")
	state("Standby")
	s.ok("move", id, "service")
	health("healthy")
	s.ok("spot", id, "--action", "stop", "--after", "1h")
	s.ok("spot", id, "--withdraw")
	s.ok("rebalance", id)
	s.ok("rebalance", id, "--withdraw")
	s.ok("terminate", id)
	state("Terminating:Wait")
	if i := s.status(id); i.Off {
		t.Error("its machine is off")
	}
	other := s.instance("--group", "web")
	s.ok("terminate", "--api", other)
	if i := s.status(other); !i.Off || i.State != autoscaling.TerminatingWait {
		t.Errorf("%+v", i)
	}
	s.ok("spot", other, "--after", "1ns")
	if got := s.ok("target-group", "green", "--delay", "10s"); !strings.Contains(got, ":targetgroup/green/") {
		t.Errorf("target group: %s", got)
	}
}

func TestWarmPool(t *testing.T) {
	s := serve(t, "--group", "web", "--launch-hook", "up", "--hook-timeout", "30ms", "--hook-default", "CONTINUE")
	s.ok("pool", "web", "--state", "Running", "--reuse", "--back", "Warmed:Pending:Wait")
	id := s.instance("--group", "web", "--warm")
	s.ok("wait", id, "Warmed:Running")
	s.ok("scale", "web", "1")
	s.ok("wait", id, "InService")
	s.ok("move", id, "pool")
	s.ok("wait", id, "Warmed:Running")
	s.ok("pool", "web", "--state", "Stopped", "--size", "1")
	s.ok("pool", "web", "--delete")
	s.ok("wait", id, "Warmed:Terminated")
}

func TestProcesses(t *testing.T) {
	s := serve(t, "--group", "web")
	s.ok("scale", "web", "2")
	s.ok("suspend", "web", "AZRebalance", "AlarmNotification")
	if got := s.ok("suspended", "web"); !strings.Contains(got, `"AZRebalance"`) || !strings.Contains(got, `"User suspended at `) {
		t.Errorf("suspended: %s", got)
	}
	for _, process := range []string{"AZRebalance", "AlarmNotification"} {
		if got := s.ok("trigger", "web", process, "3"); got != "suspended\n" {
			t.Errorf("%s: %q", process, got)
		}
	}
	s.ok("resume", "web", "AlarmNotification")
	if got := s.ok("trigger", "web", "AlarmNotification", "3"); got != "acted\n" {
		t.Errorf("resumed: %q", got)
	}
	s.ok("suspend", "web")
	if got := s.ok("suspended", "web"); strings.Count(got, "User suspended at ") != len(autoscaling.Processes) {
		t.Errorf("all: %s", got)
	}
	s.ok("refresh", "web", "InProgress", "Successful")
	s.ok("alarm", "web 5xx", "on")
	s.ok("alarm", "web 5xx", "off")
	s.ok("lag", "30s")
	s.ok("lag", "0s")
	s.ok("deployment", "shop", "blue-green", "d-8JHL2KQF1=Ready")
	for _, args := range [][]string{{"refresh", "web", "Cooking"}, {"suspend", "api"}, {"trigger", "web", "HealthCheck"}} {
		if args[0] == "trigger" {
			s.ok("resume", "web")
		}
		if code, _, stderr := s.run(args...); code != exitFailed || stderr == "" {
			t.Errorf("%q: exit %d: %s", args, code, stderr)
		}
	}
	for _, args := range [][]string{{"alarm", "web 5xx", "red"}, {"lag", "soon"}, {"lag", "-1s"}, {"deployment", "shop", "blue-green", "d-1=Done"}, {"trigger", "web", "AlarmNotification", "many"}} {
		if code, _, stderr := s.run(args...); code != exitUsage || stderr == "" {
			t.Errorf("%q: exit %d: %s", args, code, stderr)
		}
	}
}

func TestFaultsAndCalls(t *testing.T) {
	s := serve(t, "--bucket", "releases")
	if got := s.ok("fault", "--service", "s3", "--status", "503", "--times", "1", "--delay", "1ms"); got != "1\n" {
		t.Errorf("id of the first fault: %q", got)
	}
	s.ok("fault", `{"service":"s3","status":418,"times":1}`)
	s.ok("bucket", "more")
	for _, want := range []int{503, 418, 403} {
		answer, err := http.Get(s.url + "/releases/k")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("got %d, want %d", answer.StatusCode, want)
		}
	}
	if got := s.ok("calls", "--service", "s3", "--operation", "GetObject", "--count"); got != "3\n" {
		t.Errorf("calls: %q", got)
	}
	if got := s.ok("calls", "--service", "sts"); got != "[]\n" {
		t.Errorf("calls of sts: %q", got)
	}
	s.ok("faults", "--remove", "1")
	var left []faults.State
	if err := json.Unmarshal([]byte(s.ok("faults")), &left); err != nil || len(left) != 1 || left[0].ID != 2 {
		t.Errorf("faults left: %v %+v", err, left)
	}
	s.ok("faults", "--clear")
	if got := s.ok("faults"); got != "[]\n" {
		t.Errorf("faults after clear: %q", got)
	}
	s.ok("fault", "--service", "s3", "--held", "--repeated", "--late", "1m", "--date-skew=-1h")
	if err := json.Unmarshal([]byte(s.ok("faults")), &left); err != nil || len(left) != 1 {
		t.Fatalf("faults left: %v %+v", err, left)
	}
	if f := left[0].Fault; !f.Held || !f.Repeated || f.Late != faults.Duration(time.Minute) || f.DateSkew != faults.Offset(-time.Hour) {
		t.Errorf("got %+v", f)
	}
	s.ok("faults", "--clear")
	s.ok("calls", "--reset")
	if got := s.ok("calls", "--count"); got != "0\n" {
		t.Errorf("calls after reset: %q", got)
	}
}

func TestGroupAndIMDS(t *testing.T) {
	s := serve(t)
	s.ok("group", "web", "--launch-hook", "up")
	id := s.instance("--group", "web")
	if got := s.ok("state", id); got != "Pending:Wait\n" {
		t.Errorf("state: %q", got)
	}
	s.ok("imds", id, `{"disabled":true}`)
	answer, err := http.Get(s.status(id).IMDS + "/latest/")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("disabled IMDS answers %d", answer.StatusCode)
	}
}

// TestEval lets a shell do what scripts do with the output.
func TestEval(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "it's ready")
	s := serve(t, "--ready-file", ready)
	exports := s.ok("launch", "--tags-off")
	script := exports + `printf %s "$INSTANCE_ID|$AWS_ENDPOINT_URL|${AWS_ACCESS_KEY_ID-none}|${AWS_REGION-none}|$AWS_EC2_METADATA_SERVICE_ENDPOINT"`
	sh := exec.CommandContext(t.Context(), "/bin/sh", "-eu", "-c", script)
	sh.Env = []string{"AWS_ACCESS_KEY_ID=operator", "AWS_REGION=mars-1"}
	out, err := sh.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := strings.Join([]string{value(t, exports, "INSTANCE_ID"), s.url, "none", "none", value(t, exports, "AWS_EC2_METADATA_SERVICE_ENDPOINT")}, "|")
	if string(out) != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
	content, err := os.ReadFile(ready)
	if err != nil {
		t.Fatal(err)
	}
	if got := value(t, string(content), "AWS_ENDPOINT_URL"); got != s.url {
		t.Errorf("ready file has %s, want %s", got, s.url)
	}
}

func TestTables(t *testing.T) {
	s := serve(t)
	s.ok("table", "leases")
	if code, _, stderr := s.run("table", "leases"); code != exitFailed || !strings.Contains(stderr, "Table already exists") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	s.ok("table", "leases", "--region", "eu-west-1", "--partition", "k:B", "--sort", "")
}

func TestQuoting(t *testing.T) {
	if got, want := exports([]string{"A=it's $HOME"}), `export A='it'\''s $HOME'`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestErrors(t *testing.T) {
	s := serve(t)
	tests := []struct {
		args []string
		code int
		text string
	}{
		{nil, exitUsage, "no command given"},
		{[]string{"nope"}, exitUsage, `unknown command "nope"`},
		{[]string{"state"}, exitUsage, "accepts 1 arg"},
		{[]string{"launch", "--bogus"}, exitUsage, "unknown flag: --bogus"},
		{[]string{"launch", "--tag", "novalue"}, exitUsage, `tag "novalue" is not KEY=VALUE`},
		{[]string{"launch", "--pending-for", "soon"}, exitUsage, "soon"},
		{[]string{"serve", "--launch-hook", "up"}, exitUsage, "a hook needs --group"},
		{[]string{"fault"}, exitUsage, "either JSON or flags"},
		{[]string{"fault", "{}", "--status", "500"}, exitUsage, "either JSON or flags"},
		{[]string{"faults", "--clear", "--remove", "1"}, exitUsage, "--clear and --remove cannot be combined"},
		{[]string{"fault", `{"statuz":1}`}, exitUsage, "statuz"},
		{[]string{"fault", `{`}, exitUsage, "reading JSON"},
		{[]string{"fault", `{"service":"s4"}`}, exitUsage, `service "s4", want one of s3, `},
		{[]string{"fault", "--service", "ec2"}, exitUsage, `service "ec2"`},
		{[]string{"fault", "--percent", "101"}, exitUsage, "percent 101"},
		{[]string{"fault", "--status", "7"}, exitUsage, "status 7"},
		{[]string{"fault", "--repeated"}, exitUsage, "repeated needs held or late"},
		{[]string{"fault", "--held", "--reset"}, exitUsage, "need applied"},
		{[]string{"fault", "--late", "-1s"}, exitUsage, "not below 0"},
		{[]string{"table", "leases", "--partition", "shard"}, exitUsage, `"shard" is no NAME:TYPE`},
		{[]string{"table", "leases", "--sort", "id:X"}, exitFailed, `the sort key "id" of type "X"`},
		{[]string{"table", "a"}, exitFailed, "between 3 and 255 characters"},
		{[]string{"calls", "--service", "s4"}, exitUsage, `service "s4"`},
		{[]string{"serve", "--target-group", "blue"}, exitUsage, "a target group needs --group"},
		{[]string{"target-group", "a b"}, exitFailed, "Target group name 'a b'"},
		{[]string{"target-group", "blue", "--delay", "-1s"}, exitUsage, "not below 0"},
		{[]string{"targets", "nope"}, exitFailed, "target groups not found"},
		{[]string{"scale", "web", "-1"}, exitUsage, ""},
		{[]string{"scale", "web", "many"}, exitUsage, `"many" is no number`},
		{[]string{"scale", "nope", "1"}, exitFailed, "name not found"},
		{[]string{"pool", "nope"}, exitFailed, "name not found"},
		{[]string{"launch", "--warm", "--group", "nope"}, exitFailed, "name not found"},
		{[]string{"move", "i-none", "mars"}, exitUsage, `"mars", want one of standby, `},
		{[]string{"move", "i-none", "standby"}, exitFailed, "i-none"},
		{[]string{"spot", "i-none"}, exitFailed, "i-none"},
		{[]string{"rebalance", "i-none"}, exitFailed, "i-none"},
		{[]string{"bucket", "Not_A_Bucket"}, exitUsage, `"Not_A_Bucket" is no name of a bucket`},
		{[]string{"serve", "--bucket", "10.0.0.1"}, exitUsage, `"10.0.0.1" is no name of a bucket`},
		{[]string{"launch", "--group", "nope"}, exitFailed, "name not found"},
		{[]string{"launch", "--user-data", "/nonexistent"}, exitFailed, "/nonexistent"},
		{[]string{"state", "i-none"}, exitFailed, "i-none"},
		{[]string{"terminate", "../groups"}, exitFailed, "../groups"},
		{[]string{"serve", "--addr", strings.TrimPrefix(s.url, "http://")}, exitFailed, "address already in use"},
		{[]string{"serve", "--group", "w", "--launch-hook", "up", "--hook-default", "MAYBE"}, exitFailed, "MAYBE"},
		{[]string{"state", "i-1", "--mock", ""}, exitUsage, "KOBOSHI_MOCK_URL"},
		{[]string{"state", "i-1", "--mock", "http://127.0.0.1:1"}, exitFailed, "refused"},
	}
	for _, test := range tests {
		code, _, stderr := s.run(test.args...)
		if code != test.code || !strings.Contains(stderr, test.text) || !strings.HasPrefix(stderr, "koboshi-mock: error: ") {
			t.Errorf("%q: exit %d, %s; want %d, %q", test.args, code, stderr, test.code, test.text)
		}
	}
}
