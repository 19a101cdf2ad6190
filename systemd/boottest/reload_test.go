//go:build boottest

package boottest

import (
	"strings"
	"testing"

	"koboshi/agent/report"
)

// served is an app that is a configuration of Debian's nginx.
var served = files{
	webUnit:                            "",
	"/etc/nginx/sites-enabled/default": "",
	"/etc/nginx/conf.d/site.conf":      "include /opt/koboshi/web/current/etc/site.conf;\n",
	config:                             strings.Replace(koboshiToml, `unit     = "web.service"`, "unit     = \"nginx.service\"\nreload   = true", 1),
}

// site is a release for it.
func site(version, health string) files {
	return files{"etc/site.conf": "server {\n\tlisten 127.0.0.1:8080;\n\tlocation = /healthz { " + health + " }\n\tlocation / { return 200 \"" + version + "\"; }\n}\n"}
}

func (c *container) nginx() string {
	c.Helper()
	return c.must("systemctl", "show", "--property=ActiveState,InvocationID,MainPID", "nginx.service").out
}

// reloaded launches a machine with nginx.
func reloaded(t *testing.T, image files) *container {
	t.Helper()
	l := newLab(t, standard().with(notObserved).with(served).with(image))
	l.publishWith("site-1", site("site-1", "return 200;"))
	l.publishWith("site-2", site("site-2", "return 200;"))
	l.publishWith("site-ill", site("site-ill", "return 503;"))
	l.publishWith("site-wrong", site("site-wrong", "retrun 200;"))
	l.promote("site-1")
	l.launch("")
	c := l.start("exit")
	c.up()
	return c
}

// nginx goes on while releases come and go, and no request fails.
func TestReload(t *testing.T) {
	t.Parallel()
	c := reloaded(t, nil)
	l := c.load()
	l.awaitAnswer("site-1")
	before := c.nginx()
	for _, step := range []struct {
		version, runs string
		code          int
		says          string
	}{
		{"site-2", "site-2", 0, ""},
		{"site-ill", "site-2", 20, "503"},
		{"site-wrong", "site-2", 19, "reload of nginx.service: failed (exit-code)"},
		{"site-1", "site-1", 0, ""},
	} {
		c.promote(step.version)
		r := c.reports(step.code, "sync")
		same(t, "after "+step.version, r.Release.Version, step.runs)
		if r.Error != nil && !strings.Contains(r.Error.Message, step.says) || step.says != "" && r.Error == nil {
			t.Errorf("%s: error %+v", step.version, r.Error)
		}
		if step.version == "site-wrong" && !strings.Contains(r.Error.Message, `unknown directive "retrun"`) {
			t.Errorf("the error does not say why: %s", r.Error.Message)
		}
		l.awaitAnswer(step.runs)
	}
	same(t, "nginx", c.nginx(), before)
	c.must("koboshi", "rollback", "--reason", "a test")
	l.awaitAnswer("site-2")
	same(t, "nginx", c.nginx(), before)
	got := l.now()
	t.Logf("%d requests, %v, the slowest took %s", got.Asked, got.Answers, got.Slowest)
	if len(got.Failed) > 0 {
		t.Errorf("%d requests failed: %q", len(got.Failed), got.Failed[:min(len(got.Failed), 10)])
	}
	c.must("koboshi", "unhold")

	// One that does not run is started, also after a reboot.
	c.must("systemctl", "stop", "nginx.service")
	same(t, "sync", c.reports(0, "sync").Verdict, report.Current)
	same(t, "the running version", c.version(), "site-1")
	c.end("reboot")
	c = c.start("exit")
	c.up()
	same(t, "the running version", c.version(), "site-1")
	c.end("exit")
}

// A unit that cannot be reloaded is not touched.
func TestReloadOfWhatCannot(t *testing.T) {
	t.Parallel()
	c := live(t, nil)
	c.must("sh", "-c", `mkdir -p /etc/koboshi/koboshi.d; printf '[service]\nreload = true\n' >/etc/koboshi/koboshi.d/reload.toml`)
	c.promote("2.0.0")
	c.keeps("1.0.0", func() {
		r := c.reports(19, "sync")
		if !strings.Contains(r.Error.Message, "has no ExecReload=: web.service") || !strings.Contains(r.Error.Hint, "add ExecReload=") {
			t.Errorf("error: %+v", r.Error)
		}
	})
	c.says("has no ExecReload=: web.service", "sh", "-c", "koboshi doctor; true")
	c.end("exit")
}
