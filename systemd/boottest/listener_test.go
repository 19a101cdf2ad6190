//go:build boottest

package boottest

import (
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/report"
)

// supervised is an app whose supervisor starts its server again and again, so
// that its unit is active even where the server cannot have its port.
const supervised = "ExecStart=/bin/sh -c 'trap \"exit 0\" TERM; while :; do ./web & wait; sleep 0.2; done'"

func supervisedUnit(more string) string {
	return strings.Replace(webService, "ExecStart=/opt/koboshi/web/current/web", supervised+"\n"+more, 1)
}

// The image has another server on the app's port, which answers 200 to anything.
func TestSomethingElseAnswers(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard().with(files{
		webUnit: supervisedUnit(""),
		dropIn:  "[health]\ntimeout = \"2s\"\n",
		"/var/lib/page.py": "import http.server\n" +
			"class H(http.server.BaseHTTPRequestHandler):\n" +
			"    def do_GET(self): self.send_response(200); self.send_header('Content-Length', '5'); self.end_headers(); self.wfile.write(b'page!')\n" +
			"http.server.HTTPServer(('127.0.0.1', 8080), H).serve_forever()\n",
		"/etc/systemd/system/page.service": "[Unit]\nBefore=koboshi-boot.service\n[Service]\nExecStart=/usr/bin/python3 /var/lib/page.py\n",
		wants + "page.service":             "-> /etc/systemd/system/page.service",
	}))
	l.promote("1.0.0")
	l.launch("")
	got := l.start("exit").wait(0)
	same(t, "answer", got.Answer, "page!")
	same(t, "exit code", got.Units["koboshi-boot.service"]["ExecMainStatus"], "20")
	same(t, "state", l.instance.State(), autoscaling.Terminated)
	if said := l.said(); !strings.Contains(said, "page.service listens on 127.0.0.1:8080, not web.service") || !strings.Contains(said, `health.listener = "any"`) {
		t.Errorf("it said:\n%s", said)
	}
}

// A worker that KillMode=process has left keeps the port, so the new release
// never answers.
func TestSurvivorAnswers(t *testing.T) {
	t.Parallel()
	c := live(t, files{webUnit: supervisedUnit("KillMode=process"), dropIn: "[health]\ntimeout = \"2s\"\n"})
	c.promote("2.0.0")
	r := c.reports(20, "sync")
	same(t, "verdict", r.Verdict, report.Failed)
	if !strings.Contains(r.Error.Message, "is older than this start") || !strings.Contains(r.Error.Hint, "KillMode=") {
		t.Errorf("error: %+v", r.Error)
	}
	same(t, "the running version", c.version(), "1.0.0")
	c.end("exit")
}

// Behind a socket of systemd's it cannot be seen which process answers: there is
// one warning, and none with "any".
func TestSocketsListenerIsNotSeen(t *testing.T) {
	t.Parallel()
	c := live(t, socketActivated)
	warned := func(command string) bool {
		return strings.Contains(c.do("koboshi", "status", "--command", command, "--json").out, "the socket is systemd's own")
	}
	if !warned("boot") {
		t.Error("the report does not say that it could not be seen what answers")
	}
	c.says("health.listener", "koboshi", "doctor")
	c.must("sh", "-c", `mkdir -p /etc/koboshi/koboshi.d; printf '[health]\nlistener = "any"\n' >/etc/koboshi/koboshi.d/listener.toml`)
	c.promote("2.0.0")
	c.must("koboshi", "sync")
	if warned("sync") {
		t.Error(`health.listener = "any" does not silence the warning`)
	}
	c.end("exit")
}
