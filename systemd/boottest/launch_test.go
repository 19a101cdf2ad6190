//go:build boottest

package boottest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/faults"
	"koboshi/agent/report"
)

func TestFirstBoot(t *testing.T) {
	t.Parallel()
	_, got := scenario{channel: "1.0.0", want: inService(report.Fresh, "1.0.0")}.run(t)
	for _, row := range []string{"userspace", "cloud-init-local", "cloud-config", "install", "gate", "total"} {
		if !strings.Contains("\n"+got.Picture, "\n  "+row+" ") {
			t.Errorf("no row %q in the picture:\n%s", row, got.Picture)
		}
	}
}

// The image is made from the package for Debian; koboshi install does the rest.
func TestPackaged(t *testing.T) {
	t.Parallel()
	scenario{
		image: files{bootUnit: "", wants + "koboshi-boot.service": ""},
		prepare: func(l *lab) {
			must(t, os.Remove(filepath.Join(l.root, "usr/local/bin/koboshi")))
			l.installPackage()
			l.chroot("koboshi", "install")
		},
		channel: "1.0.0",
		want:    inService(report.Fresh, "1.0.0"),
	}.run(t)
}

// installPackage installs the package for Debian in the image.
func (l *lab) installPackage() {
	l.Helper()
	found, err := filepath.Glob(filepath.Join(*packages, "koboshi_*_amd64.deb"))
	must(l.T, err)
	if len(found) != 1 {
		l.Fatalf("packages for Debian in %q: %q, want one: run make package", *packages, found)
	}
	must(l.T, copyFile(filepath.Join(l.root, "root/koboshi.deb"), found[0], 0o644))
	l.chroot("dpkg", "--install", "/root/koboshi.deb")
}

// The image is made by koboshi install, with no path at its default.
func TestInstalled(t *testing.T) {
	t.Parallel()
	scenario{
		image: files{
			bootUnit: "", wants + "koboshi-boot.service": "",
			webUnit: strings.NewReplacer("/opt/koboshi/web", "/srv/web", "/run/koboshi/web", "/run/elsewhere").Replace(webService),
			config:  strings.Replace(koboshiToml, "[service]", "[install]\nroot = \"/srv/web\"\n[state]\nrun = \"/run/elsewhere\"\n[service]", 1),
		},
		prepare: func(l *lab) {
			must(t, os.Remove(filepath.Join(l.root, "usr/local/bin/koboshi")))
			must(t, built.koboshi(nil, "install", "--root", l.root))
		},
		channel: "1.0.0",
		want:    inService(report.Fresh, "1.0.0"),
	}.run(t)
}

// An instance that was in service becomes the image of another.
func TestImageOfInstance(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard())
	l.promote("1.0.0")
	l.launch("")
	inService(report.Fresh, "1.0.0").check(l, l.start("exit").wait(0))
	must(t, l.aws.Terminate(l.instance.ID()))
	l.promote("2.0.0")
	l.launch("")
	inService(report.Fresh, "2.0.0").check(l, l.start("exit").wait(0))
}

func TestBakedOlder(t *testing.T) {
	t.Parallel()
	scenario{baked: "1.0.0", channel: "2.0.0", want: inService(report.Fresh, "2.0.0")}.run(t)
}

func TestBakedCurrent(t *testing.T) {
	t.Parallel()
	l, _ := scenario{baked: "1.0.0", channel: "1.0.0", want: inService(report.Current, "1.0.0")}.run(t)
	l.wantNoDownload()
}

func TestMetadataLate(t *testing.T) {
	t.Parallel()
	scenario{
		image:    files{cloudConfig: "datasource_list: [None]\n"}, // else cloud-init waits too
		metadata: 10 * time.Second,
		channel:  "1.0.0",
		want:     inService(report.Fresh, "1.0.0"),
	}.run(t)
}

// down is an S3 that is unavailable.
var down = []faults.Fault{{Service: "s3", Status: 503, Code: "SlowDown"}}

func TestSourceDownBaked(t *testing.T) {
	t.Parallel()
	scenario{baked: "1.0.0", channel: "2.0.0", faults: down, want: inService(report.Stale, "1.0.0")}.run(t)
}

func TestSourceDown(t *testing.T) {
	t.Parallel()
	scenario{channel: "1.0.0", faults: down, want: abandoned("15", "", "channels/stable.json: could not be fetched")}.run(t)
}

func TestUnhealthy(t *testing.T) {
	t.Parallel()
	scenario{image: impatient, channel: "2.0.0-ill", want: abandoned("20", "2.0.0-ill", "unhealthy after ")}.run(t)
}

func TestUnhealthyBaked(t *testing.T) {
	t.Parallel()
	scenario{image: impatient, baked: "1.0.0", channel: "2.0.0-ill", want: abandoned("20", "1.0.0", "unhealthy after ")}.run(t)
}

// impatient is an image whose gate does not wait long.
var impatient = files{dropIn: "[health]\ntimeout = \"2s\"\n"}

// A role that was attached a moment ago: S3 and Auto Scaling refuse its
// credentials at first. They are fetched again until they are accepted.
func TestRoleIsNew(t *testing.T) {
	t.Parallel()
	scenario{
		channel: "1.0.0",
		faults: []faults.Fault{
			{Service: "s3", Operation: "GetObject", Status: 403, Code: "AccessDenied", Times: 2},
			{Service: "s3", Operation: "GetObject", Path: "/web-linux-", Status: 400, Code: "ExpiredToken", Times: 1},
			{Service: "autoscaling", Operation: "CompleteLifecycleAction", Status: 403, Code: "ExpiredToken", Times: 1},
		},
		want: inService(report.Fresh, "1.0.0"),
	}.run(t)
}
