//go:build boottest

package boottest

import (
	"strings"
	"testing"
)

// followed is an image whose operator is told of each run.
var followed = files{
	"/etc/systemd/system/koboshi-sync.service.d/lab.conf": labEndpoint,
	"/usr/local/bin/tell": "#!/bin/sh\nprintf '%s as %s\\n' \"$(grep -m1 '\"verdict\"')\" \"$(id -un)\" >>/tmp/told; echo told\n",
	dropIn:                "[notify]\ncommand = [\"/bin/sh\", \"/usr/local/bin/tell\"]\n",
}

// A machine that was installed with --follow comes to what is promoted by itself, and
// the operator's command gets the report. A look that meets another run is no failure.
func TestFollow(t *testing.T) {
	t.Parallel()
	c := live(t, followed)
	c.must("koboshi", "install", "--follow", "10s")
	c.must("systemctl", "restart", "koboshi-sync.timer")
	c.until(settleLimit, "the timer has looked", func() bool { return c.do("test", "-e", "/run/koboshi/web/look.json").code == 0 })
	if status := c.must("koboshi", "status").out; !strings.Contains(status, "ago: current") {
		t.Errorf("status has no look:\n%s", status)
	}
	same(t, "exit code of a look for the report of a sync", c.do("koboshi", "status", "--command", "sync").code, 13)

	c.promote("2.0.0")
	c.until(settleLimit, "2.0.0 runs", func() bool { return c.version() == "2.0.0" })
	c.until(settleLimit, "the operator was told", func() bool {
		return strings.Contains(c.must("journalctl", "-u", "koboshi-sync.service", "-o", "cat").out, "koboshi: notify: told")
	})

	other := c.begin("flock", "/run/koboshi/web/lock", "sleep", "15")
	c.until(settleLimit, "a look has met another run", func() bool {
		return strings.Contains(c.must("journalctl", "-u", "koboshi-sync.service", "-o", "cat").out, "the lock is held")
	})
	if state := c.do("systemctl", "is-failed", "koboshi-sync.service").out; strings.HasPrefix(state, "failed") {
		t.Errorf("koboshi-sync.service is %s", state)
	}
	other()
	same(t, "answer", c.end("exit").Answer, "2.0.0 on "+c.instance.ID())
}
