package config_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/config"
)

func TestDrainDefaults(t *testing.T) {
	c, err := parse(t, minimal+`
[drain.flush.logs]
kind = "rsyslog"
stats = "/run/rsyslog/stats"
[drain.flush.cw]
kind = "cloudwatch-agent"
files = ["/var/log/web/*.log"]
`)
	if err != nil {
		t.Fatal(err)
	}
	d := c.Drain
	if time.Duration(d.Deadline) != 10*time.Minute || len(d.TargetGroups) != 0 || d.Deregister != config.DeregisterSpot ||
		d.Spot != config.DrainOn || d.Rebalance != config.DrainIgnore || time.Duration(d.OnShutdown) != time.Minute {
		t.Errorf("defaults %+v", d)
	}
	if f := d.Flush["logs"]; f.State != "/var/spool/rsyslog" || f.Longest() != 2*time.Minute || f.URL != "" {
		t.Errorf("rsyslog %+v", f)
	}
	if f := d.Flush["cw"]; f.State != "/opt/aws/amazon-cloudwatch-agent/logs/state" {
		t.Errorf("CloudWatch agent %+v", f)
	}
}

// A drop-in that sets one key of a flush keeps its others, their lines included;
// one that names a new flush adds it.
func TestDropInChangesOneKeyOfAFlush(t *testing.T) {
	c, err := parse(t, minimal+`
[drain]
deregister = "never"
[drain.flush.logs]
kind = "rsyslog"
stats = "/run/rsyslog/stats"
files = ["/var/log/web/*.log"]
`, "[drain.flush.logs]\ntimeout = \"30s\"\n", "[drain.flush.rest]\nkind = \"wait\"\nfor = \"5s\"\n", "[drain]\nspot = \"ignore\"\n[drain.flush.logs]\nfiles = []\n")
	if err != nil {
		t.Fatal(err)
	}
	logs := c.Drain.Flush["logs"]
	if logs.Kind != config.Rsyslog || logs.Stats != "/run/rsyslog/stats" || logs.Longest() != 30*time.Second || len(logs.Files) != 0 {
		t.Errorf("merged %+v", logs)
	}
	if c.Drain.Flush["rest"].Longest() != 5*time.Second || c.Drain.Deregister != config.DeregisterNever || c.Drain.Spot != config.DrainIgnore {
		t.Errorf("merged %+v", c.Drain)
	}
	var got []string
	for _, s := range c.Settings() {
		if strings.HasPrefix(s.Key, "drain.flush.") {
			got = append(got, s.Key+" = "+s.Value+" # "+s.Origin.String())
		}
	}
	if want := []string{
		`drain.flush.logs.kind = "rsyslog" # koboshi.toml:13`,
		`drain.flush.logs.files = [] # koboshi.d/3.toml:4`,
		`drain.flush.logs.state = "/var/spool/rsyslog" # default`,
		`drain.flush.logs.stats = "/run/rsyslog/stats" # koboshi.toml:14`,
		`drain.flush.logs.timeout = "30s" # koboshi.d/1.toml:2`,
		`drain.flush.rest.kind = "wait" # koboshi.d/2.toml:2`,
		`drain.flush.rest.for = "5s" # koboshi.d/2.toml:3`,
	}; !slices.Equal(got, want) {
		t.Errorf("settings\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDrainErrors(t *testing.T) {
	const arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef"
	if _, err := parse(t, minimal+"[drain]\ntarget_groups = [\""+arn+"\", \""+strings.Replace(arn, "aws", "aws-cn", 1)+"\"]\n"); err != nil {
		t.Error(err)
	}
	flush := func(lines string) string { return minimal + "[drain.flush.a]\n" + lines } // line 9; the keys from 10 on
	for _, tt := range []struct {
		name, text string
		want, hint string
	}{
		{"unknown key", minimal + "[drain]\nderegistr = \"spot\"\n", `koboshi.toml:10: unknown key "drain.deregistr"`, `did you mean "drain.deregister"?`},
		{"no ARN", minimal + "[drain]\ntarget_groups = [\"web\"]\n", `koboshi.toml:10: drain.target_groups: "web", want the ARN of a target group`, ""},
		{"the ARN of a load balancer", minimal + "[drain]\ntarget_groups = [\"arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/0123456789abcdef\"]\n", `koboshi.toml:10: drain.target_groups: `, ""},
		{"deregister", minimal + "[drain]\nderegister = \"yes\"\n", `koboshi.toml:10: drain.deregister: "yes", want one of ["never" "spot" "always"]`, ""},
		{"spot", minimal + "[drain]\nspot = \"stop\"\n", `koboshi.toml:10: drain.spot: "stop"`, ""},
		{"rebalance", minimal + "[drain]\nrebalance = \"yes\"\n", `koboshi.toml:10: drain.rebalance: "yes"`, ""},
		{"a shutdown that is held up for long", minimal + "[drain]\non_shutdown = \"2m1s\"\n", `koboshi.toml:10: drain.on_shutdown: 2m1s, want at most 2m0s`, ""},
		{"a deadline that a hook may take", minimal + "[drain]\ndeadline = \"1m\"\n", `koboshi.toml:10: drain.deadline: 1m0s, want more than hooks.timeout and the longest flush = 1m0s`, ""},
		{"a deadline that a flush may take", minimal + "[drain]\ndeadline = \"3m\"\n[drain.flush.a]\nkind = \"wait\"\nfor = \"2m\"\n", `koboshi.toml:10: drain.deadline: 3m0s, want more than hooks.timeout and the longest flush = 3m0s`, ""},
		{"unknown key of a flush", flush("kind = \"wait\"\nfro = \"1s\"\n"), `koboshi.toml:11: unknown key "drain.flush.a.fro"`, `did you mean "drain.flush.a.for"?`},
		{"a key below a key", flush("kind = \"wait\"\nfor.x = \"1s\"\n"), `koboshi.toml:`, ""},
		{"a flush with no table", minimal + "[drain.flush]\nkind = \"wait\"\n", `koboshi.toml:10: drain.flush.kind`, ""},
		{"a bad name", minimal + "[drain.flush.A]\nkind = \"wait\"\nfor = \"1s\"\n", `koboshi.toml:9: drain.flush.A: `, ""},
		{"a name with a dot", minimal + "[drain.flush.\"a.b\"]\nkind = \"wait\"\nfor = \"1s\"\n", `koboshi.toml:`, ""},
		{"no kind", flush("for = \"1s\"\n"), `koboshi.toml:9: drain.flush.a.kind is missing`, "rsyslog"},
		{"unknown kind", flush("kind = \"rsyslogd\"\n"), `koboshi.toml:10: drain.flush.a.kind: "rsyslogd", want one of [`, `did you mean "rsyslog"?`},
		{"a kind like no other", flush("kind = \"splunk\"\n"), `koboshi.toml:10: drain.flush.a.kind: "splunk", want one of [`, ""},
		{"rsyslog without stats", flush("kind = \"rsyslog\"\n"), `koboshi.toml:10: drain.flush.a.stats is missing`, "koboshi help scale-in"},
		{"CloudWatch agent without files", flush("kind = \"cloudwatch-agent\"\nfiles = []\n"), `koboshi.toml:10: drain.flush.a.files is missing`, "koboshi help scale-in"},
		{"metrics of nothing", flush("kind = \"metrics\"\nurl = \"http://127.0.0.1/\"\n"), `koboshi.toml:10: drain.flush.a.zero is missing`, "equal"},
		{"no command", flush("kind = \"command\"\n"), `koboshi.toml:10: drain.flush.a.command is missing`, "koboshi help scale-in"},
		{"an empty command", flush("kind = \"command\"\ncommand = [\"\"]\n"), `koboshi.toml:11: drain.flush.a.command: "", want a program in PATH or an absolute path`, ""},
		{"a user that is an option", flush("kind = \"command\"\ncommand = [\"x\"]\nuser = \"-x\"\n"), `koboshi.toml:12: drain.flush.a.user: "-x"`, ""},
		{"no time to wait", flush("kind = \"wait\"\n"), `koboshi.toml:10: drain.flush.a.for is missing`, "koboshi help scale-in"},
		{"a key of another kind", flush("kind = \"wait\"\nfor = \"1s\"\nurl = \"http://127.0.0.1/\"\n"), `koboshi.toml:12: drain.flush.a.url: kind "wait" does not have it`, ""},
		{"a relative pattern", flush("kind = \"fluent-bit\"\nfiles = [\"log/*.log\"]\n"), `koboshi.toml:11: drain.flush.a.files: "log/*.log", want an absolute path or pattern`, ""},
		{"a broken pattern", flush("kind = \"fluent-bit\"\nfiles = [\"/log/[.log\"]\n"), `koboshi.toml:11: drain.flush.a.files: "/log/[.log"`, ""},
		{"a relative state", flush("kind = \"rsyslog\"\nstats = \"stats\"\n"), `koboshi.toml:11: drain.flush.a.stats: "stats", want an absolute, clean path`, ""},
		{"a url of files", flush("kind = \"fluent-bit\"\nurl = \"file:///x\"\n"), `koboshi.toml:11: drain.flush.a.url: want http://host:port/path`, ""},
		{"a url without a scheme", flush("kind = \"otel-collector\"\nurl = \"127.0.0.1:8888\"\n"), `koboshi.toml:11: drain.flush.a.url: want http://host:port/path`, ""},
		{"no time", flush("kind = \"fluent-bit\"\ntimeout = \"0s\"\n"), `koboshi.toml:11: drain.flush.a.timeout: want more than 0s`, ""},
		{"no time for two looks", flush("kind = \"fluent-bit\"\ntimeout = \"10s\"\n"), `koboshi.toml:11: drain.flush.a.timeout: 10s, want at least 20s`, ""},
		{"a pair of three", flush("kind = \"metrics\"\nurl = \"http://127.0.0.1/\"\nequal = [[\"a\", \"b\", \"c\"]]\n"), `koboshi.toml:`, ""},
		{"metrics that never stay", flush("kind = \"metrics\"\nurl = \"http://127.0.0.1/\"\nzero = [\"a\"]\nfor = \"1m\"\n"), `koboshi.toml:13: drain.flush.a.for: 1m0s, want`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.text)
			e, ok := errors.AsType[*config.Error](err)
			if !ok {
				t.Fatalf("error %v, want a *config.Error", err)
			}
			if !strings.HasPrefix(e.Error(), tt.want) || strings.Contains(e.Error(), "\n") {
				t.Errorf("error %q, want %q…", e, tt.want)
			}
			if tt.hint == "" != (e.Hint == "") || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("hint %q, want %q", e.Hint, tt.hint)
			}
		})
	}
}
