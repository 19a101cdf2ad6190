//go:build boottest

package boottest

import (
	"strings"
	"testing"

	"koboshi/agent/report"
)

const socketUnit = "/etc/systemd/system/web.socket"

// webSocket and socketService are the app's units as the topic release has them for
// apps that lose no request.
const webSocket = `[Unit]
Description=The app's socket
[Socket]
ListenStream=127.0.0.1:8080
[Install]
WantedBy=sockets.target
`

const socketService = `[Unit]
Description=The app
Requires=web.socket
After=web.socket
StartLimitIntervalSec=0
[Service]
Type=notify
User=daemon
WorkingDirectory=/opt/koboshi/web/current
EnvironmentFile=/run/koboshi/web/env
ExecStart=/opt/koboshi/web/current/web
Restart=always
RestartSec=1s
TimeoutStartSec=3s
`

var socketActivated = files{socketUnit: webSocket, webUnit: socketService}

func TestSyncUnderLoad(t *testing.T) {
	t.Parallel()
	c := live(t, socketActivated)
	l := c.load()
	l.await("1.0.0")
	for _, step := range []struct {
		version, runs string
		code          int
		verdict       report.Verdict
	}{
		{"2.0.0", "2.0.0", 0, report.Fresh},
		{"1.0.0", "1.0.0", 0, report.Current},
		{"2.0.0-dead", "1.0.0", 20, report.Failed},
		{"2.0.0-mute", "1.0.0", 20, report.Failed},
		{"2.0.0-frail", "1.0.0", 20, report.Failed},
		{"2.0.0", "2.0.0", 0, report.Current},
	} {
		c.promote(step.version)
		r := c.reports(step.code, "sync")
		same(t, "verdict of "+step.version, r.Verdict, step.verdict)
		same(t, "after "+step.version, r.Release.Version, step.runs)
		l.await(step.runs)
	}
	got := l.now()
	t.Logf("%d requests, %v, the slowest took %s", got.Asked, got.Answers, got.Slowest)
	if len(got.Failed) > 0 {
		t.Errorf("%d requests failed: %q", len(got.Failed), got.Failed[:min(len(got.Failed), 10)])
	}
	if len(got.Answers) != 2 {
		t.Errorf("answers are %v, want those of 1.0.0 and 2.0.0 only", got.Answers)
	}
	c.end("exit")
}

// A socket that is open before koboshi has read the channel does not start the
// app: its environment file does not exist yet. An early request waits for it.
func TestSocketEnabled(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard().with(notObserved).with(socketActivated).with(files{
		"/etc/systemd/system/sockets.target.wants/web.socket": "-> " + socketUnit,
	}))
	l.promote("1.0.0")
	l.launch("")
	c := l.start("exit")
	c.knocked()
	inService(report.Fresh, "1.0.0").check(l, c.end("reboot"))
	c = l.start("exit")
	c.knocked()
	inService(report.Current, "1.0.0").check(l, c.end("exit"))
}

// knocked sends requests from the beginning of a boot.
func (c *container) knocked() {
	c.Helper()
	early := c.load()
	c.up()
	early.await("1.0.0")
	for _, why := range early.now().Failed {
		if !strings.Contains(why, "connection refused") { // before there was a socket
			c.Errorf("a request failed: %s", why)
		}
	}
	if journal := c.journal("-b"); !strings.Contains(journal, "web.service: Failed to load environment files") {
		c.Error("no request came before koboshi")
	}
}
