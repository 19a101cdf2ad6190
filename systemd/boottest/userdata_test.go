//go:build boottest

package boottest

import (
	"strings"
	"testing"

	"koboshi/agent/report"
)

// writesConfig is user data that configures an image in which nothing but the
// binary, the key and the units is baked.
func writesConfig() string {
	indented := strings.ReplaceAll(strings.TrimSpace(koboshiToml), "\n", "\n      ")
	return "#cloud-config\nwrite_files:\n  - path: " + config + "\n    content: |\n      " + indented + "\n"
}

func TestUserDataConfigures(t *testing.T) {
	t.Parallel()
	scenario{
		image:    files{config: ""},
		userData: writesConfig(),
		channel:  "1.0.0",
		want:     inService(report.Fresh, "1.0.0"),
	}.run(t)
}

// notEnabled is an image in which only user data starts koboshi.
var notEnabled = files{config: "", wants + "koboshi-boot.service": ""}

func TestUserDataStarts(t *testing.T) {
	t.Parallel()
	scenario{
		image:    notEnabled,
		userData: writesConfig() + "runcmd:\n  - systemctl start koboshi-boot.service\n",
		channel:  "1.0.0",
		want:     inService(report.Fresh, "1.0.0"),
	}.run(t)
}

func TestUserDataStartsNoBlock(t *testing.T) {
	t.Parallel()
	scenario{
		image:    notEnabled,
		userData: writesConfig() + "runcmd:\n  - systemctl start --no-block koboshi-boot.service\n",
		channel:  "1.0.0",
		want:     inService(report.Fresh, "1.0.0"),
	}.run(t)
}

// A bootcmd runs before the point that koboshi waits for: with --no-block its
// job just waits for that.
func TestUserDataStartsEarly(t *testing.T) {
	t.Parallel()
	scenario{
		image:    notEnabled,
		userData: writesConfig() + "bootcmd:\n  - systemctl start --no-block koboshi-boot.service\n",
		channel:  "1.0.0",
		want:     inService(report.Fresh, "1.0.0"),
	}.run(t)
}

// The user data waits for koboshi, koboshi for the app, and the app for the user
// data. No unit is ordered after koboshi, so the cycle cannot be detected in
// advance; the deadline ends it.
func TestUserDataWaitsForItself(t *testing.T) {
	t.Parallel()
	scenario{
		image: files{
			wants + "koboshi-boot.service": "",
			webUnit:                        orderedAfter("cloud-final.service"),
			dropIn:                         "[health]\ntimeout = \"2s\"\n[lifecycle]\ndeadline = \"5s\"\n",
		},
		userData: "#cloud-config\nruncmd:\n  - systemctl start koboshi-boot.service\n",
		channel:  "1.0.0",
		want:     abandoned("24", "1.0.0", "the release could not be started: job for web.service has not ended: the deadline has passed"),
	}.run(t)
}

// From 24.3 on cloud-init.service is called cloud-init-network.service.
func TestRenamedCloudInit(t *testing.T) {
	t.Parallel()
	scenario{
		image:    renamed(t).with(files{config: ""}),
		userData: writesConfig(),
		channel:  "1.0.0",
		want:     inService(report.Fresh, "1.0.0"),
	}.run(t)
}
