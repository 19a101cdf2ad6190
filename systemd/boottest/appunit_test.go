//go:build boottest

package boottest

import (
	"strings"
	"testing"

	"koboshi/agent/report"
)

func TestAppEnabled(t *testing.T) {
	t.Parallel()
	scenario{
		image:   files{wants + "web.service": "-> " + webUnit},
		channel: "1.0.0",
		want:    inService(report.Fresh, "1.0.0"),
	}.run(t)
}

func TestAppNotifies(t *testing.T) {
	t.Parallel()
	scenario{
		image:   files{webUnit: strings.Replace(webService, "Type=exec", "Type=notify", 1)},
		channel: "1.0.0",
		want:    inService(report.Fresh, "1.0.0"),
	}.run(t)
}

func TestAppNeverNotifies(t *testing.T) {
	t.Parallel()
	scenario{
		image:   files{webUnit: strings.Replace(webService, "Type=exec", "Type=notify\nTimeoutStartSec=2s", 1)},
		channel: "2.0.0-mute",
		want:    abandoned("19", "", "the release could not be started: job for web.service: failed (timeout"),
	}.run(t)
}

// The reason can still be read when the instance is gone: the app's last lines are
// in the report, and in the log, which goes to the console.
func TestDeadSaysWhy(t *testing.T) {
	t.Parallel()
	l, _ := scenario{
		image:   files{webUnit: strings.Replace(webService, "Type=exec", "Type=notify", 1)},
		channel: "2.0.0-dead",
		want:    abandoned("19", "", "the release could not be started: job for web.service: failed (exit-code, status 1); its last line: "),
	}.run(t)
	if said := l.said(); !strings.Contains(said, "koboshi: app: ") || !strings.Contains(said, "2.0.0-dead is dead") {
		t.Errorf("the log says\n%s", said)
	}
}

// broughtAlong makes the release bring the app's unit.
func broughtAlong() files {
	return files{webUnit: "", dropIn: "[service]\nunit_file = \"" + ownUnit + "\"\n"}
}

func TestUnitOfTheRelease(t *testing.T) {
	t.Parallel()
	_, got := scenario{image: broughtAlong(), channel: "1.0.0", want: inService(report.Fresh, "1.0.0")}.run(t)
	same(t, "description", got.Units["web.service"]["Description"], "The app 1.0.0")
}

// A release that is put back brings its own unit.
func TestUnitOfTheReleaseIsPutBack(t *testing.T) {
	t.Parallel()
	_, got := scenario{
		image: broughtAlong(), baked: "1.0.0", channel: "2.0.0-ill",
		want: abandoned("20", "1.0.0", "unhealthy after "),
	}.run(t)
	same(t, "description", got.Units["web.service"]["Description"], "The app 1.0.0")
}

// orderedAfter is the app's unit with a mistake that makes a cycle: koboshi
// waits for the app, and the app for koboshi or for a unit that waits for koboshi.
func orderedAfter(unit string) string {
	return strings.Replace(webService, "[Service]", "After="+unit+"\n[Service]", 1)
}

func TestAppOrderedAfterKoboshi(t *testing.T) {
	t.Parallel()
	scenario{
		image:   files{webUnit: orderedAfter("koboshi-boot.service")},
		channel: "1.0.0",
		want:    abandoned("19", "", "the release could not be started: start web.service: web.service is ordered after the unit that is starting it, koboshi-boot.service"),
	}.run(t)
}

func TestAppOrderedAfterMultiUser(t *testing.T) {
	t.Parallel()
	scenario{
		image:   files{webUnit: orderedAfter("multi-user.target")},
		channel: "1.0.0",
		want:    abandoned("19", "", "the release could not be started: start web.service: multi-user.target is ordered after the unit that is starting it, koboshi-boot.service"),
	}.run(t)
}
