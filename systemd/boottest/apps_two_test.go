//go:build boottest

package boottest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/report"
)

const greenConfig = "/etc/koboshi/green.toml"

// greenApp is a second app next to the first one, on a port of its own.
var greenApp = files{
	bootUnit: "", wants + "koboshi-boot.service": "", // koboshi install brings them
	"/etc/systemd/system/api.service": strings.NewReplacer("koboshi/web/", "koboshi/api/", "[Install]\n", "Environment=ADDRESS=127.0.0.1:8081\n[Install]\n").Replace(webService),
	greenConfig: strings.NewReplacer(`"web"`, `"api"`, "web.service", "api.service", ":8080", ":8081", "[lifecycle]\n", "[lifecycle]\nlaunch_hook = \"api-launching\"\nterminate_hook = \"api-terminating\"\n").
		Replace(koboshiToml),
	"/etc/koboshi/green.d/quick.toml": "[health]\ntimeout = \"3s\"\n",
}

// twoApps launches an instance with both apps; the green one's channel points to a
// version.
func twoApps(t *testing.T, version string, more ...files) *container {
	t.Helper()
	image := standard().with(notObserved).with(greenApp)
	for _, f := range more {
		image.with(f)
	}
	l := newLab(t, image)
	must(t, l.aws.PutHook("web", autoscaling.Hook{Name: "api-launching", Transition: autoscaling.OnLaunch}))
	must(t, built.koboshi(nil, "install", "--root", l.root))
	must(t, built.koboshi(nil, "install", "--root", l.root, "--config", greenConfig))
	l.promote("1.0.0")
	common := []string{"--source", "s3://releases/apps", "--app", "api", "--version", version, "--key", built.path("release.key")}
	must(t, built.koboshi(builder(), append([]string{"publish", built.path("tree-" + version)}, common...)...))
	must(t, built.koboshi(builder(), append([]string{"promote", "--channel", "stable"}, common...)...))
	l.aws.Calls().Reset()
	l.launch("")
	c := l.start("exit")
	c.up()
	return c
}

// completed is what each lifecycle hook was completed with.
func (l *lab) completed() map[string]autoscaling.Result {
	results := map[string]autoscaling.Result{}
	for _, a := range l.instance.Actions() {
		results[a.Hook] = a.Result
	}
	return results
}

// Two apps boot at once, each with a unit, a lifecycle hook, a report and a share of
// the calls; they come up again after a reboot, and one goes without the other.
func TestTwoApps(t *testing.T) {
	t.Parallel()
	c := twoApps(t, "1.0.0")
	same(t, "state", c.instance.State(), autoscaling.InService)
	for hook, result := range c.completed() {
		same(t, "result of "+hook, result, autoscaling.Continue)
	}
	for path, want := range map[string]int{"/latest/dynamic/instance-identity/document": 4, "/latest/meta-data/iam/security-credentials/koboshi-instance": 2, "/channels/stable.json": 4, "/manifest.json": 2} {
		c.wantCalls(want, "", path) // as many as two machines make; each watch asks once who it is
	}
	c.wantCalls(2, "autoscaling", "") // the completions
	c.wantVerdicts(report.Fresh, report.Fresh)
	for _, unit := range []string{"koboshi-boot.service", "koboshi-boot@green.service"} {
		c.says("ActiveState=active\nSubState=exited\n", "systemctl", "show", "--property=ActiveState,SubState", unit)
		c.says("is running (fresh", "journalctl", "--boot", "--unit", unit)
	}
	if said := c.said(); !strings.Contains(said, "koboshi: web 1.0.0 is running") || !strings.Contains(said, "koboshi: api 1.0.0 is running") {
		t.Errorf("the console does not name both apps:\n%s", said)
	}
	if !strings.Contains(c.console(), "koboshi@green[") {
		t.Errorf("the console does not say which lines are the green app's:\n%s", c.console())
	}
	findings := c.do("koboshi", "doctor")
	for _, want := range []string{"for itself, next to green.toml", "for itself, next to koboshi.toml", "koboshi-boot@green.service is enabled"} {
		if !strings.Contains(findings.out, want) {
			t.Errorf("doctor does not say %q:\n%s%s", want, findings.out, findings.err)
		}
	}

	c.end("reboot")
	c = c.start("exit")
	c.up()
	c.wantVerdicts(report.Current, report.Current)
	c.must("koboshi", "uninstall", "--config", greenConfig)
	c.end("reboot")
	c = c.start("exit")
	c.up()
	same(t, "the app's version", c.version(), "1.0.0")
	same(t, "the other app's unit", strings.TrimSpace(c.do("systemctl", "is-active", "api.service").out), "inactive")
	same(t, "the other boot unit", strings.TrimSpace(c.do("systemctl", "is-active", "koboshi-boot@green.service").out), "inactive")
	c.end("exit")
}

// One of two apps fails: its lifecycle hook is completed with ABANDON, and that ends
// the instance, whatever the other app has said.
func TestTwoAppsOneFails(t *testing.T) {
	t.Parallel()
	const never = "[Unit]\nConditionPathExists=/nowhere\n" // a watch would drain the other app at some moment
	c := twoApps(t, "2.0.0-ill", files{watchUnit + ".d/never.conf": never, "/etc/systemd/system/koboshi-watch@.service.d/never.conf": never})
	same(t, "state", c.instance.State(), autoscaling.Terminated)
	results := c.completed()
	same(t, "result of web", results["koboshi-launching"], autoscaling.Continue)
	same(t, "result of api", results["api-launching"], autoscaling.Abandon)
	c.wantVerdicts(report.Fresh, report.Failed)
	c.says("ExecMainStatus=20", "systemctl", "show", "--property=ExecMainStatus", "koboshi-boot@green.service")
	c.says("NRestarts=0", "systemctl", "show", "--property=NRestarts", "koboshi-boot@green.service")
	c.end("exit")
}

// wantVerdicts reads both apps' last runs as a machine does.
func (c *container) wantVerdicts(web, api report.Verdict) {
	c.Helper()
	var apps []report.Report
	e := c.must("koboshi", "status", "--json")
	if err := json.Unmarshal([]byte(e.out), &apps); err != nil || len(apps) != 2 {
		c.Fatalf("status prints %s (%v), want two apps", e.out, err)
	}
	for i, want := range []report.Report{{App: "web", Verdict: web}, {App: "api", Verdict: api}} {
		same(c.T, "app", apps[i].App, want.App)
		same(c.T, "verdict of "+want.App, apps[i].Verdict, want.Verdict)
	}
}

// wantCalls counts the calls of a service ("" = any) whose path ends so.
func (l *lab) wantCalls(want int, service, path string) {
	l.Helper()
	got := len(l.aws.Calls().Filter(func(c faults.Call) bool {
		return (service == "" || c.Service == service) && strings.HasSuffix(c.Path, path)
	}))
	same(l.T, "calls of "+service+path, got, want)
}

// The package for Debian brings the templates, and removing it removes the links of
// every app.
func TestTwoAppsPackaged(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard().with(greenApp))
	must(t, os.Remove(filepath.Join(l.root, "usr/local/bin/koboshi")))
	l.installPackage()
	l.chroot("koboshi", "install")
	l.chroot("koboshi", "install", "--config", greenConfig)
	link := filepath.Join(l.root, wants, "koboshi-boot@green.service")
	target, err := os.Readlink(link)
	must(t, err)
	same(t, "the link", target, "/usr/lib/systemd/system/koboshi-boot@.service")
	l.chroot("dpkg", "--remove", "koboshi")
	if left, _ := filepath.Glob(filepath.Join(l.root, wants, "koboshi-*")); len(left) != 0 {
		t.Errorf("links are left: %q", left)
	}
}

// Both apps look for room at the same time, and there is room for one: that one
// comes up, and the other ends with 18 before it has written anything.
func TestTwoAppsOneDisk(t *testing.T) {
	t.Parallel()
	app, err := os.Stat(built.path("web"))
	must(t, err)
	const spare = 32 << 20 // that an install leaves free
	c := twoApps(t, "1.0.0", files{"/etc/systemd/system/opt-koboshi.mount": fmt.Sprintf(
		"[Mount]\nWhat=tmpfs\nWhere=/opt/koboshi\nType=tmpfs\nOptions=mode=755,size=%d\n", spare+app.Size()*3/2)})
	same(t, "state", c.instance.State(), autoscaling.Terminated)
	full := map[bool]int{}
	for _, unit := range []string{"koboshi-boot.service", "koboshi-boot@green.service"} {
		code := strings.TrimSpace(c.must("systemctl", "show", "--value", "--property=ExecMainStatus", unit).out)
		full[code == "18"]++ // the other one ends with 0, or with 21 once the instance is being terminated
	}
	same(t, "boots without space", full[true], 1)
	if trees := strings.Fields(c.must("sh", "-c", "ls -d /opt/koboshi/*/releases/* /opt/koboshi/*/.staging/* 2>/dev/null || true").out); len(trees) != 1 {
		t.Errorf("on the disk: %q, want one release", trees)
	}
	c.end("exit")
}
