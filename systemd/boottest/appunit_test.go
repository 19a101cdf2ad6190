//go:build boottest

package boottest

import (
	"strings"
	"testing"

	"koboshi/agent/status"
)

func TestAppEnabled(t *testing.T) {
	t.Parallel()
	scenario{
		image:   files{wants + "web.service": "-> " + webUnit},
		channel: "1.0.0",
		want:    inService(status.Fresh, "1.0.0"),
	}.run(t)
}

func TestAppNotifies(t *testing.T) {
	t.Parallel()
	scenario{
		image:   files{webUnit: strings.Replace(webService, "Type=exec", "Type=notify", 1)},
		channel: "1.0.0",
		want:    inService(status.Fresh, "1.0.0"),
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

// orderedAfter is the app's unit with a mistake that closes a ring: koboshi
// waits for the app, and the app for koboshi or for what waits for it.
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
