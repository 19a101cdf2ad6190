//go:build boottest

package boottest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/agent/report"
)

// What operators do on a machine in service. The app is left alone unless it is
// down, or another release has to run.
func TestOperated(t *testing.T) {
	t.Parallel()
	c := live(t, nil)
	c.keeps("1.0.0", func() { same(t, "sync", c.reports(0, "sync").Verdict, report.Current) })
	c.promote("2.0.0")
	c.keeps("1.0.0", func() { c.must("koboshi", "sync", "--dry-run") })
	c.keeps("1.0.0", func() { c.must("koboshi", "verify") })
	c.moves("1.0.0", "2.0.0", func() { same(t, "sync", c.reports(0, "sync").Verdict, report.Fresh) })
	c.must("systemctl", "stop", "web.service")
	c.says("web.service is inactive (dead)", "koboshi", "status")
	same(t, "sync", c.reports(0, "sync").Verdict, report.Current)
	same(t, "the running version", c.version(), "2.0.0")
	c.moves("2.0.0", "2.0.0", func() {
		c.kill("web.service", unix.SIGSTOP)
		same(t, "sync", c.reports(0, "sync").Verdict, report.Current)
	})

	c.moves("2.0.0", "1.0.0", func() { c.must("koboshi", "rollback", "--reason", "checkout is slow") })
	c.keeps("1.0.0", func() { same(t, "sync", c.reports(0, "sync").Verdict, report.Held) })
	c.says("checkout is slow", "koboshi", "status")
	c.says("checkout is slow", "koboshi", "doctor")

	c.end("reboot")
	c = c.start("exit")
	c.up()
	c.says("(held", "journalctl", "--boot", "--unit", "koboshi-boot.service")
	c.keeps("1.0.0", func() { same(t, "sync", c.reports(0, "sync").Verdict, report.Held) })
	c.keeps("1.0.0", func() { c.must("koboshi", "hold", "--reason", "incident 7", "--until", "2h") })
	c.says("incident 7", "koboshi", "status")
	c.keeps("1.0.0", func() { c.must("koboshi", "unhold") })
	c.moves("1.0.0", "2.0.0", func() { same(t, "sync", c.reports(0, "sync").Verdict, report.Current) })

	c.promote("1.0.0")
	c.instance.SetTag("koboshi:hold", "night shift")
	c.keeps("2.0.0", func() { same(t, "sync", c.reports(0, "sync").Verdict, report.Held) })
	c.instance.RemoveTag("koboshi:hold")
	c.moves("2.0.0", "1.0.0", func() { same(t, "sync", c.reports(0, "sync").Verdict, report.Current) })

	var history []struct{ Command, Verdict, Version string }
	must(t, json.Unmarshal([]byte(c.must("koboshi", "history", "--json").out), &history))
	var got []string
	for _, run := range history {
		got = append(got, run.Command+" "+run.Verdict+" "+run.Version)
	}
	if want := []string{
		"sync current 1.0.0", "sync held 2.0.0", "sync current 2.0.0", "unhold  1.0.0", "hold held 1.0.0", "sync held 1.0.0", "boot held 1.0.0",
		"sync held 1.0.0", "rollback held 1.0.0", "sync current 2.0.0", "sync current 2.0.0", "sync fresh 2.0.0", "sync current 1.0.0", "boot fresh 1.0.0",
	}; !slices.Equal(got, want) {
		t.Errorf("history is %q, want %q", got, want)
	}
	same(t, "answer", c.end("exit").Answer, "1.0.0 on "+c.instance.ID())
}

// keeps runs a command that must not touch the app.
func (c *container) keeps(version string, do func()) {
	c.Helper()
	before := c.life()
	do()
	same(c.T, "the app's process", c.life(), before)
	same(c.T, "the running version", c.version(), version)
}

// moves runs a command that starts the app from another release.
func (c *container) moves(from, to string, do func()) {
	c.Helper()
	same(c.T, "the running version", c.version(), from)
	before := c.life()
	do()
	if c.life() == before {
		c.Errorf("the app was not restarted: %s", before)
	}
	same(c.T, "the running version", c.version(), to)
}

// says runs a command and expects a text in its output.
func (c *container) says(want string, args ...string) {
	c.Helper()
	if e := c.must(args...); !strings.Contains(e.out, want) {
		c.Errorf("%s does not say %q:\n%s", strings.Join(args, " "), want, e.out)
	}
}

// version is the one that answers.
func (c *container) version() string {
	c.Helper()
	answer := c.must("observer", "answer").out
	version, _, _ := strings.Cut(answer, " on "+c.instance.ID())
	return version
}
