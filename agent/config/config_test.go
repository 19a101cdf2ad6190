package config_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/config"
)

const minimal = `app = "web"
source = "s3://acme-releases/apps"
[trust]
keys = ["/etc/koboshi/keys/release.pub"]
[service]
unit = "web.service"
[health]
url = "http://127.0.0.1:8080/healthz"
`

func parse(t *testing.T, texts ...string) (*config.Config, error) {
	t.Helper()
	var files []config.File
	for i, text := range texts {
		name := "koboshi.toml"
		if i > 0 {
			name = fmt.Sprintf("koboshi.d/%d.toml", i)
		}
		files = append(files, config.File{Name: name, Data: []byte(text)})
	}
	return config.Parse(files...)
}

func TestDefaults(t *testing.T) {
	c, err := parse(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	if c.Channel != "stable" || !slices.Equal(c.Channels, []string{"stable"}) || c.Install.Root != "/opt/koboshi/web" ||
		c.State.Dir != "/var/lib/koboshi/web" || c.State.Run != "/run/koboshi/web" || c.Install.Keep != 3 || c.Install.Delta != config.DeltaSync || c.Install.Verify != config.VerifyLaunch || c.Trust.Threshold != 1 ||
		time.Duration(c.Health.Timeout) != 2*time.Minute || time.Duration(c.Health.Bake) != 10*time.Second ||
		time.Duration(c.Hooks.Timeout) != time.Minute || c.Hooks.User != "" ||
		time.Duration(c.Lifecycle.Deadline) != 15*time.Minute || c.Lifecycle.OnFailure != config.Abandon ||
		c.Lifecycle.ContinueJitter != 0 || time.Duration(c.Lifecycle.HeartbeatAfter) != 12*time.Second || time.Duration(c.Lifecycle.AbandonDelay) != 30*time.Second ||
		c.Lifecycle.LaunchHook != "koboshi-launching" || c.Lifecycle.TerminateHook != "koboshi-terminating" ||
		!slices.Equal(c.Fallback.When, []string{config.Unavailable}) || time.Duration(c.Fallback.MaxAge) != 24*time.Hour {
		t.Errorf("defaults %+v", c)
	}
}

// TestExample reads a file with every key set to something else than its
// default.
func TestExample(t *testing.T) {
	data, err := os.ReadFile("testdata/whole.toml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(t, string(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Settings() {
		if s.Origin.File == "" {
			t.Errorf("%s = %s is the default: the file does not set every key", s.Key, s.Value)
		}
	}
	if !slices.Equal(c.Source, config.Sources{"s3://acme-releases/apps", "file:///srv/releases"}) || c.Trust.Floor["stable"] != 17 {
		t.Errorf("source %q, floor %v", c.Source, c.Trust.Floor)
	}
}

func TestErrors(t *testing.T) {
	add := func(lines string) string { return minimal + lines }
	without := func(line string) string { return strings.Replace(minimal, line, "", 1) }
	units := func(lines ...string) string {
		return strings.Replace(minimal, `unit = "web.service"`, strings.Join(lines, "\n"), 1)
	}
	for _, tt := range []struct {
		name, text string
		want, hint string
	}{
		{"unknown key", add("timeuot = \"1m\"\n"), `koboshi.toml:9: unknown key "health.timeuot"`, `did you mean "health.timeout"?`},
		{"key in the wrong table", add("[install]\nunit = \"x.service\"\n"), `koboshi.toml:10: unknown key "install.unit"`, `did you mean "node_id.unit" or "service.unit"?`},
		{"key of a table at the top", "abandon_delay = \"1m\"\n" + minimal, `koboshi.toml:1: unknown key "abandon_delay"`, `did you mean "lifecycle.abandon_delay"?`},
		{"other case", strings.Replace(minimal, "app =", "App =", 1), `koboshi.toml:1: unknown key "App"`, `did you mean "app"?`},
		{"unknown table", add("[cauldron]\nx = 1\n"), `koboshi.toml:9: unknown key "cauldron"`, ""},
		{"wrong type", add("bake = 10\n"), `koboshi.toml:9: health.bake`, ""},
		{"number as text", add("[install]\nkeep = \"3\"\n"), `koboshi.toml:10: install.keep`, ""},
		{"no time span", add("bake = \"10 seconds\"\n"), `koboshi.toml:9: health.bake`, ""},
		{"negative time span", add("bake = \"-1s\"\n"), `koboshi.toml:9: health.bake`, ""},
		{"syntax", add("bake = \n"), `koboshi.toml:9: `, ""},
		{"key twice", add("url = \"http://x/\"\n"), `koboshi.toml:9: `, ""},
		{"no app", without("app = \"web\"\n"), `app is missing`, `name the app`},
		{"bad app", strings.Replace(minimal, `"web"`, `"Web App"`, 1), `koboshi.toml:1: app: `, ""},
		{"no source", without("source = \"s3://acme-releases/apps\"\n"), `source is missing`, "s3://"},
		{"source of a number", strings.Replace(minimal, `"s3://acme-releases/apps"`, `7`, 1), `koboshi.toml:2: source: want a string or a list of strings`, ""},
		{"plain http", strings.Replace(minimal, `s3://acme-releases/apps`, `http://example.com/x`, 1), `koboshi.toml:2: source: http://example.com/x: want https://`, ""},
		{"password in the source", strings.Replace(minimal, `s3://acme-releases/apps`, `https://u:secret@example.com/`, 1), `koboshi.toml:2: source: https://u:xxxxx@example.com/: want no user`, ""},
		{"another query of a bucket", strings.Replace(minimal, `acme-releases/apps`, `acme-releases/apps?endpoint=http://evil`, 1), `koboshi.toml:2: source: s3://acme-releases/apps?endpoint=http://evil: want no query but a region`, ""},
		{"two queries of a bucket", strings.Replace(minimal, `acme-releases/apps`, `acme-releases/apps?region=eu-west-1&region=x`, 1), `koboshi.toml:2: source: s3://acme-releases/apps?region=eu-west-1&region=x: want no query but a region`, ""},
		{"no region behind the mark", strings.Replace(minimal, `acme-releases/apps`, `acme-releases/apps?`, 1), `koboshi.toml:2: source: s3://acme-releases/apps?: want no query but a region`, ""},
		{"a region that leads elsewhere", strings.Replace(minimal, `acme-releases/apps`, `acme-releases/apps?region=evil.example/`, 1), `koboshi.toml:2: source: s3://acme-releases/apps?region=evil.example/: want no query but a region`, ""},
		{"a region of a web server", strings.Replace(minimal, `s3://acme-releases/apps`, `https://example.com/x?region=eu-west-1`, 1), `koboshi.toml:2: source: https://example.com/x?region=eu-west-1: want no user, query or fragment`, ""},
		{"a rate in megabits", minimal + "[install]\nmax_rate = \"50Mbit\"\n", `koboshi.toml:10: install.max_rate: "50Mbit" is not a rate such as 50MiB`, ""},
		{"a rate that is a fraction", minimal + "[install]\nmax_rate = 100000.5\n", `koboshi.toml:10: install.max_rate: `, ""},
		{"ftp", strings.Replace(minimal, `s3://`, `ftp://`, 1), `koboshi.toml:2: source: `, ""},
		{"no keys", without("keys = [\"/etc/koboshi/keys/release.pub\"]\n"), `trust.keys is missing`, "bake one in"},
		{"threshold 0", strings.Replace(minimal, "[service]", "threshold = 0\n[service]", 1), `koboshi.toml:5: trust.threshold: 0, want 1 to 1`, ""},
		{"threshold 2 of 1", strings.Replace(minimal, "[service]", "threshold = 2\n[service]", 1), `koboshi.toml:5: trust.threshold: 2, want 1 to 1`, ""},
		{"promoters' threshold alone", strings.Replace(minimal, "[service]", "promote_threshold = 1\n[service]", 1), `koboshi.toml:5: trust.promote_threshold: goes with trust.promote_keys only`, ""},
		{"promoters' threshold 2 of 1", strings.Replace(minimal, "[service]", "promote_keys = [\"/p\"]\npromote_threshold = 2\n[service]", 1), `koboshi.toml:6: trust.promote_threshold: 2, want 1 to 1, the number of promote_keys`, ""},
		{"promoters' threshold -1", strings.Replace(minimal, "[service]", "promote_keys = [\"/p\"]\npromote_threshold = -1\n[service]", 1), `koboshi.toml:6: trust.promote_threshold: -1, want 1 to 1`, ""},
		{"fewer promoters than the threshold", strings.Replace(minimal, `release.pub"]`, `release.pub", "/b"]`+"\nthreshold = 2\npromote_keys = [\"/p\"]", 1), `koboshi.toml:6: trust.promote_keys: there are fewer than trust.threshold = 2`, ""},
		{"relative promoter", strings.Replace(minimal, "[service]", "promote_keys = [\"p\"]\n[service]", 1), `koboshi.toml:5: trust.promote_keys: "p", want an absolute path`, ""},
		{"relative key", strings.Replace(minimal, `"/etc`, `"etc`, 1), `koboshi.toml:4: trust.keys: `, ""},
		{"no service", without("unit = \"web.service\"\n"), `service.unit is missing`, "restart"},
		{"both services", strings.Replace(minimal, "[health]", "restart = [\"x\"]\n[health]", 1), `koboshi.toml:7: service.restart: service.unit is set too`, ""},
		{"a command that stops a unit", strings.Replace(minimal, "[health]", "stop = [\"x\"]\n[health]", 1), `koboshi.toml:7: service.stop: service.unit is set`, ""},
		{"an empty restart command", strings.Replace(minimal, "unit = \"web.service\"", "restart = [\"\"]", 1), `koboshi.toml:6: service.restart: the command is empty`, ""},
		{"an empty stop command", strings.Replace(minimal, "unit = \"web.service\"", "restart = [\"x\"]\nstop = [\"\", \"y\"]", 1), `koboshi.toml:7: service.stop: the command is empty`, ""},
		{"a stop command by itself", strings.Replace(minimal, "unit = \"web.service\"", "stop = [\"x\"]", 1), `service.unit is missing`, "restart"},
		{"not a service unit", strings.Replace(minimal, "web.service", "web.socket", 1), `koboshi.toml:6: service.unit: `, ""},
		{"a unit file outside", strings.Replace(minimal, "[health]", "unit_file = \"../web.service\"\n[health]", 1), `koboshi.toml:7: service.unit_file: `, ""},
		{"a unit file of another name", strings.Replace(minimal, "[health]", "unit_file = \"x/app.service\"\n[health]", 1), `koboshi.toml:7: service.unit_file: `, ""},
		{"a unit file without a unit", strings.Replace(minimal, "unit = \"web.service\"", "restart = [\"x\"]\nunit_file = \"x.service\"", 1), `koboshi.toml:7: service.unit_file: `, ""},
		{"both kinds of units", units(`unit = "web.service"`, `units = ["web.service"]`), `koboshi.toml:7: service.units: service.unit is set too: want one of them`, ""},
		{"units and a command", units(`units = ["web.service"]`, `restart = ["x"]`), `koboshi.toml:7: service.restart: service.units is set too`, ""},
		{"a command that stops units", units(`units = ["web.service"]`, `stop = ["x"]`), `koboshi.toml:7: service.stop: service.units is set`, ""},
		{"no unit in the list", units(`units = []`), `service.unit is missing`, "service.units"},
		{"a unit twice", units(`units = ["web.service", "a.service", "web.service"]`), `koboshi.toml:6: service.units: "web.service" is named twice`, ""},
		{"a timer that is probed", units(`units = ["clean.timer", "web.service"]`), `koboshi.toml:6: service.units: "clean.timer" cannot be the first: that one is probed, so it has to be a service`, ""},
		{"a timer by itself", units(`unit = "clean.timer"`), `koboshi.toml:6: service.unit: "clean.timer" cannot be the first`, ""},
		{"a socket that is probed", units(`units = ["web.socket", "web.service"]`), `koboshi.toml:6: service.units: "web.socket", want a name such as web.service`, ""},
		{"koboshi's own unit", units(`unit = "koboshi-boot.service"`), `koboshi.toml:6: service.unit: "koboshi-boot.service" is koboshi's own: want the app's`, ""},
		{"another app's own timer", units(`units = ["web.service", "koboshi-sync@green.timer"]`), `koboshi.toml:6: service.units: "koboshi-sync@green.timer" is koboshi's own`, ""},
		{"a unit that is called alike", units(`unit = "koboshi-bootstrap.socket"`), `koboshi.toml:6: service.unit: "koboshi-bootstrap.socket", want a name`, ""},
		{"a text for a list", units(`restart = "x"`), `koboshi.toml:6: service.restart: want a list, such as ["…"], not a text`, ""},
		{"a text for a switch", units(`unit = "web.service"`, `reload = "yes"`), `koboshi.toml:7: service.reload: want true or false, not a text`, ""},
		{"a number in a list", units(`units = ["web.service", 3]`), `koboshi.toml:6: service.units: want a text, not a number`, ""},
		{"a list for a text", units(`unit = ["web.service"]`), `koboshi.toml:6: service.unit: want a text, not a list`, ""},
		{"a mount", units(`units = ["web.service", "srv.mount"]`), `koboshi.toml:6: service.units: "srv.mount", want services, timers and paths`, ""},
		{"a name without a kind", units(`units = ["web.service", "worker"]`), `koboshi.toml:6: service.units: "worker", want a name such as web.service`, ""},
		{"a path as a name", units(`units = ["web.service", "/etc/worker.service"]`), `koboshi.toml:6: service.units: "/etc/worker.service", want a name`, ""},
		{"both kinds of unit files", units(`unit = "web.service"`, `unit_file = "web.service"`, `unit_files = ["web.service"]`), `koboshi.toml:8: service.unit_files: service.unit_file is set too`, ""},
		{"a unit file twice", units(`unit = "web.service"`, `unit_files = ["a/web.service", "b/web.service"]`), `koboshi.toml:7: service.unit_files: web.service is named twice`, ""},
		{"unit files outside", units(`unit = "web.service"`, `unit_files = ["../web.service"]`), `koboshi.toml:7: service.unit_files: "../web.service"`, ""},
		{"unit files of a command", units(`restart = ["x"]`, `unit_files = ["x.service"]`), `koboshi.toml:7: service.unit_files: there is no service.unit or service.units`, ""},
		{"a command that is reloaded", units(`restart = ["x"]`, `reload = true`), `koboshi.toml:7: service.reload: there is no unit to reload`, ""},
		{"no probe of a command", strings.Replace(units(`restart = ["x"]`), "url = \"http://127.0.0.1:8080/healthz\"\n", "", 1), `health.url is missing`, "healthz"},
		{"no probe and no time", strings.Replace(minimal, `url = "http://127.0.0.1:8080/healthz"`, `bake = "0s"`, 1), `koboshi.toml:8: health.bake: want more than 0s`, ""},
		{"two probes", add("tcp = \"127.0.0.1:1\"\n"), `koboshi.toml:7: health: want one of`, ""},
		{"tcp without port", strings.Replace(minimal, `url = "http://127.0.0.1:8080/healthz"`, `tcp = "127.0.0.1"`, 1), `koboshi.toml:8: health.tcp: `, ""},
		{"a user with a colon", add("[hooks]\nuser = \"web:web\"\n"), `koboshi.toml:10: hooks.user: "web:web"`, ""},
		{"a user that is an option", add("[hooks]\nuser = \"-u\"\n"), `koboshi.toml:10: hooks.user: "-u"`, ""},
		{"no time for hooks", add("[hooks]\ntimeout = \"0s\"\n"), `koboshi.toml:10: hooks.timeout: want more than 0s`, ""},
		{"deadline too short", add("[lifecycle]\ndeadline = \"1m\"\n"), `koboshi.toml:10: lifecycle.deadline: 1m0s, want more than health.timeout + health.bake + lifecycle.continue_jitter = 2m10s`, ""},
		{"deadline too short for the continue jitter", add("[lifecycle]\ncontinue_jitter = \"13m\"\n"), `lifecycle.deadline: 15m0s, want more than health.timeout + health.bake + lifecycle.continue_jitter = 15m10s`, ""},
		{"on_failure", add("[lifecycle]\non_failure = \"retry\"\n"), `koboshi.toml:10: lifecycle.on_failure: "retry", want "abandon" or "wait"`, ""},
		{"a hook of CodeDeploy", add("[lifecycle]\nlaunch_hook = \"CodeDeploy-managed-x\"\n"), `koboshi.toml:10: lifecycle.launch_hook: `, ""},
		{"a notify command in the tree", add("[notify]\ncommand = [\"bin/x\"]\n"), `koboshi.toml:10: notify.command: "bin/x", want a program in PATH or an absolute path`, ""},
		{"an empty notify command", add("[notify]\ncommand = [\"\"]\n"), `koboshi.toml:10: notify.command: ""`, ""},
		{"a notify command that is a text", add("[notify]\ncommand = \"x\"\n"), `koboshi.toml:10: notify.command: `, ""},
		{"a notify command without a user", strings.Replace(minimal, "[health]", "unit_file = \"web.service\"\n[notify]\ncommand = [\"x\"]\n[health]", 1), `koboshi.toml:9: notify.command: hooks.user is not set`, ""},
		{"no time to notify", add("[notify]\ntimeout = \"0s\"\n"), `koboshi.toml:10: notify.timeout: 0s, want more than 0s and at most 2m0s`, ""},
		{"too much time to notify", add("[notify]\ntimeout = \"3m\"\n"), `koboshi.toml:10: notify.timeout: 3m0s`, ""},
		{"one hook for both transitions", add("[lifecycle]\nlaunch_hook = \"x\"\nterminate_hook = \"x\"\n"), `koboshi.toml:11: lifecycle.terminate_hook: "x" is lifecycle.launch_hook too`, ""},
		{"a stack without a resource", add("[signal]\nstack = \"web\"\n"), `koboshi.toml:10: signal.stack: signal.resource is missing: want both, or none`, ""},
		{"a resource without a stack", add("[signal]\nresource = \"Group\"\n"), `koboshi.toml:10: signal.resource: signal.stack is missing: want both, or none`, ""},
		{"no name of a stack", add("[signal]\nstack = \"web_1\"\nresource = \"Group\"\n"), `koboshi.toml:10: signal.stack: "web_1", want the name or the id of a stack`, ""},
		{"no logical id", add("[signal]\nstack = \"web\"\nresource = \"web-group\"\n"), `koboshi.toml:11: signal.resource: "web-group", want a logical id`, ""},
		{"fallback.when", add("[fallback]\nwhen = [\"always\"]\n"), `koboshi.toml:10: fallback.when: "always"`, ""},
		{"relative root", add("[install]\nroot = \"opt\"\n"), `koboshi.toml:10: install.root: "opt"`, ""},
		{"unclean root", add("[install]\nroot = \"/opt/../etc\"\n"), `koboshi.toml:10: install.root: `, ""},
		{"one directory twice", add("[state]\ndir = \"/x\"\nrun = \"/x\"\n"), `koboshi.toml:11: state.run: "/x" is state.dir too`, ""},
		{"keep 0", add("[install]\nkeep = 0\n"), `koboshi.toml:10: install.keep: 0`, ""},
		{"trees verified at some time", add("[install]\nverify = \"boot\"\n"), `koboshi.toml:10: install.verify: "boot", want "install", "launch" or "start"`, ""},
		{"images at some time", add("[install]\nimages = \"always\"\n"), `koboshi.toml:10: install.images: "always", want "auto" or "never"`, ""},
		{"a url without a port", strings.Replace(minimal, "127.0.0.1:8080", "127.0.0.1:", 1), `koboshi.toml:8: health.url: port ""`, ""},
		{"a port that no machine has", strings.Replace(minimal, "127.0.0.1:8080", "127.0.0.1:80800", 1), `koboshi.toml:8: health.url: port "80800", want 1 to 65535`, ""},
		{"a host for a connection", strings.Replace(add("host = \"web\"\n"), `url = "http://127.0.0.1:8080/healthz"`, `tcp = "127.0.0.1:1"`, 1), `koboshi.toml:9: health.host: goes with health.url only`, ""},
		{"statuses of a command", strings.Replace(add("status = \"204\"\n"), `url = "http://127.0.0.1:8080/healthz"`, `command = ["x"]`, 1), `koboshi.toml:9: health.status: goes with health.url only`, ""},
		{"a host with a path", add("host = \"web/x\"\n"), `koboshi.toml:9: health.host: "web/x", want a name`, ""},
		{"a host with a space", add("host = \"we b\"\n"), `koboshi.toml:9: health.host: `, ""},
		{"a host with a user", add("host = \"a@b\"\n"), `koboshi.toml:9: health.host: `, ""},
		{"a host with a header", add("host = \"a\\r\\nX: b\"\n"), `koboshi.toml:9: health.host: `, ""},
		{"a host with a wrong port", add("host = \"web:http\"\n"), `koboshi.toml:9: health.host: `, ""},
		{"no statuses", add("status = \"2xx\"\n"), `koboshi.toml:9: health.status: "2xx", want statuses from 200 to 599`, ""},
		{"certificates without TLS", add("ca = \"/ca.pem\"\n"), `koboshi.toml:9: health.ca: health.url has no certificate`, ""},
		{"nothing to verify", add("insecure = true\n"), `koboshi.toml:9: health.insecure: health.url has no certificate`, ""},
		{"verified and not", strings.Replace(add("ca = \"/ca.pem\"\ninsecure = true\n"), "http:", "https:", 1), `koboshi.toml:10: health.insecure: health.ca is set too`, ""},
		{"relative certificates", strings.Replace(add("ca = \"ca.pem\"\n"), "http:", "HTTPS:", 1), `koboshi.toml:9: health.ca: "ca.pem", want an absolute path`, ""},
		{"any listener but the app", add("listener = \"none\"\n"), `koboshi.toml:9: health.listener: "none", want "app" or "any"`, ""},
		{"delta update at some time", add("[install]\ndelta = \"boot\"\n"), `koboshi.toml:10: install.delta: "boot", want "sync", "always" or "never"`, ""},
		{"channel outside", "channel = \"beta\"\nchannels = [\"stable\"]\n" + minimal, `koboshi.toml:1: channel: "beta" is not among channels`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.text)
			e, ok := errors.AsType[*config.Error](err)
			if !ok {
				t.Fatalf("error %v, want a *config.Error", err)
			}
			if !strings.HasPrefix(e.Error(), tt.want) {
				t.Errorf("error %q, want %q…", e, tt.want)
			}
			if tt.hint == "" != (e.Hint == "") || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("hint %q, want %q", e.Hint, tt.hint)
			}
			if strings.Contains(e.Error(), "secret") || strings.Contains(e.Error(), "\n") {
				t.Errorf("error %q", e)
			}
		})
	}
}

// One unit is the short form of a list of one, and so is one unit file.
func TestUnits(t *testing.T) {
	for _, tt := range []struct {
		lines        string
		first        string
		units, files []string
		brings       string
	}{
		{`unit = "web.service"`, "web.service", []string{"web.service"}, nil, ""},
		{`units = ["web.service", "worker@1.service", "clean.timer", "new.path"]`, "web.service", []string{"web.service", "worker@1.service", "clean.timer", "new.path"}, nil, ""},
		{"unit = \"web.service\"\nunit_file = \"etc/web.service\"", "web.service", []string{"web.service"}, []string{"etc/web.service"}, "web.service"},
		{"units = [\"web.service\", \"worker@1.service\"]\nunit_files = [\"worker@.service\", \"clean.service\"]", "web.service",
			[]string{"web.service", "worker@1.service"}, []string{"worker@.service", "clean.service"}, "worker@1.service"},
		{`restart = ["x"]`, "", nil, nil, ""},
	} {
		c, err := parse(t, strings.Replace(minimal, `unit = "web.service"`, tt.lines, 1))
		if err != nil {
			t.Errorf("%s: %v", tt.lines, err)
			continue
		}
		s := c.Service
		if s.FirstUnit() != tt.first || !slices.Equal(s.AllUnits(), tt.units) || !slices.Equal(s.AllUnitFiles(), tt.files) {
			t.Errorf("%s: first %q of %q, files %q", tt.lines, s.FirstUnit(), s.AllUnits(), s.AllUnitFiles())
		}
		for _, unit := range tt.units {
			if s.Brings(unit) != (unit == tt.brings) {
				t.Errorf("%s: it brings %s: %v", tt.lines, unit, s.Brings(unit))
			}
		}
	}
}

// An app without a port has nothing to be asked: its units are watched.
func TestNoProbe(t *testing.T) {
	if _, err := parse(t, strings.Replace(minimal, `url = "http://127.0.0.1:8080/healthz"`, "", 1)); err != nil {
		t.Error(err)
	}
}

func TestDropIns(t *testing.T) {
	c, err := parse(t, minimal+"[lifecycle]\nlaunch_hook = \"a\"\nterminate_hook = \"b\"\n", "[lifecycle]\nlaunch_hook = \"c\"\n[trust]\nfloor = { stable = 3 }\n",
		"[trust]\nfloor = { canary = 4 }\nkeys = [\"/a\", \"/b\"]\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.Lifecycle.LaunchHook != "c" || c.Lifecycle.TerminateHook != "b" || !slices.Equal(c.Trust.Keys, []string{"/a", "/b"}) {
		t.Errorf("merged %+v", c)
	}
	if c.Trust.Floor["stable"] != 3 || c.Trust.Floor["canary"] != 4 {
		t.Errorf("floor %v: a drop-in has lifted that of a channel it does not name", c.Trust.Floor)
	}
	origins := map[string]string{}
	for _, s := range c.Settings() {
		origins[s.Key] = s.Origin.String()
	}
	for key, want := range map[string]string{
		"app": "koboshi.toml:1", "lifecycle.launch_hook": "koboshi.d/1.toml:2", "lifecycle.terminate_hook": "koboshi.toml:11", "install.keep": "default",
	} {
		if origins[key] != want {
			t.Errorf("%s comes from %q, want %q", key, origins[key], want)
		}
	}
	if _, err := parse(t, minimal, "[health]\nurl = 7\n"); err == nil || !strings.HasPrefix(err.Error(), "koboshi.d/1.toml:2: ") {
		t.Errorf("an error in a drop-in reads %v", err)
	}
}

func TestTags(t *testing.T) {
	files, err := parse(t, "channels = [\"stable\", \"canary\"]\n"+minimal)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		tags    map[string]string
		channel string
		group   string
		hold    string
		warned  bool
	}{
		{nil, "stable", "", "", false},
		{map[string]string{config.TagChannel: "canary", config.TagGroup: "web", config.TagHold: "why"}, "canary", "web", "why", false},
		{map[string]string{config.TagChannel: "beta"}, "stable", "", "", true},
		{map[string]string{config.TagChannel: ""}, "stable", "", "", true},
		{map[string]string{config.TagChannel: "../canary"}, "stable", "", "", true},
		{map[string]string{config.TagHold: strings.Repeat("x", 500)}, "stable", "", strings.Repeat("x", 120), false},
	} {
		c, warnings := files.WithTags(tt.tags)
		if c.Channel != tt.channel || c.Lifecycle.Group != tt.group || c.HoldTag != tt.hold || (len(warnings) > 0) != tt.warned {
			t.Errorf("%v: channel %q, group %q, hold %q, warnings %q", tt.tags, c.Channel, c.Lifecycle.Group, c.HoldTag, warnings)
		}
	}
	if files.Channel != "stable" || files.HoldTag != "" {
		t.Error("the files' own configuration was changed")
	}
}

func TestGroupOfTheFileBeatsTheTag(t *testing.T) {
	files, err := parse(t, minimal+"[lifecycle]\ngroup = \"mine\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := files.WithTags(map[string]string{config.TagGroup: "other"}); c.Lifecycle.Group != "mine" {
		t.Errorf("group %q", c.Lifecycle.Group)
	}
}

// TestSettingsReadBack spells the effective configuration and reads it again.
func TestSettingsReadBack(t *testing.T) {
	data, err := os.ReadFile("testdata/whole.toml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(t, string(data))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range c.Settings() {
		fmt.Fprintf(&b, "%s = %s\n", s.Key, s.Value)
	}
	again, err := parse(t, b.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, &b)
	}
	if got, want := fmt.Sprint(values(again)), fmt.Sprint(values(c)); got != want {
		t.Errorf("read back\n%s\nwant\n%s", got, want)
	}
}

func values(c *config.Config) []string {
	var out []string
	for _, s := range c.Settings() {
		out = append(out, s.Key+"="+s.Value)
	}
	return out
}

func FuzzParse(f *testing.F) {
	f.Add(minimal)
	f.Add("[a.b]\nc = [1, {d = 2}]\n")
	f.Add("app = \"\"\"\nx\"\"\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := config.Parse(config.File{Name: "f", Data: []byte(text)})
		if err == nil {
			return
		}
		if _, ok := errors.AsType[*config.Error](err); !ok {
			t.Errorf("%q: error %v is no *config.Error", text, err)
		}
	})
}
