//go:build boottest && apps

package boottest

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/report"
)

var runtimes = flag.String("runtimes", "", "`DIR` that runtimes.sh made")

const (
	maxCommands = 8 // from nothing to CONTINUE
	minShort    = 6 // recipes that need no more
)

// Every recipe of the topic apps works as it is printed: built, published, started
// on a new instance, and updated by sync.
func TestApps(t *testing.T) {
	host, all, short := readHost(t), recipes(t), 0
	for _, r := range all {
		if r.commands() <= maxCommands {
			short++
		}
		t.Logf("%s: %d commands", r.name, r.commands())
	}
	if short < minShort {
		t.Errorf("%d recipes need at most %d commands, want %d", short, maxCommands, minShort)
	}
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			r.try(t, host)
		})
	}
	if missing := slices.DeleteFunc(slices.Sorted(maps.Keys(answers)), func(name string) bool {
		return slices.ContainsFunc(all, func(r recipe) bool { return r.name == name })
	}); len(missing) > 0 {
		t.Errorf("no recipe is called %q", missing)
	}
}

// answers are commands on the instance that print the version that runs, by
// recipe.
var answers = map[string]string{
	"A Go binary on port 443":                    "curl -sSf --cacert /etc/ssl/certs/web.crt --resolve www.example.org:443:127.0.0.1 https://www.example.org/",
	"A blue app and a green app on one instance": usualAnswer + "; curl -sSf http://127.0.0.1:8001/ | grep $VERSION",
	"A queue worker without a port":              "cat /var/lib/worker/seen",
	"A web server with a worker and a timer": "curl -sSf http://127.0.0.1:8000/; " +
		"until grep -q $VERSION /var/lib/web/done && grep -q $VERSION /var/lib/web/cleaned; do sleep 0.1; done; cat /var/lib/web/done",
	"Python: Django with ALLOWED_HOSTS": "curl -sSf -H 'Host: www.example.org' http://127.0.0.1:8000/",
	"Secrets from Parameter Store and Secrets Manager": `journalctl -q -u koboshi-boot | grep -q "pre_start: migrating the database at db.internal/web"
		if grep -raq "hunter[23]" /var/log/journal /var/lib/koboshi /run/koboshi /run/systemd/transient; then echo "a secret was written" >&2; exit 1; fi
		` + usualAnswer,
}

const usualAnswer = "curl -sSf http://127.0.0.1:8000/"

// visits makes at least 300 requests, until a sync is over. It ends when one fails.
const visits = "i=0; until [ -e /run/synced ] && [ $i -ge 300 ]; do " + usualAnswer + " >/dev/null; i=$((i+1)); done"

// reloads reports whether a recipe promises that no request fails.
func (r recipe) reloads() bool {
	for _, text := range r.image {
		if strings.Contains(text, "reload = true") {
			return true
		}
	}
	return false
}

// awsOfTheLab is the AWS CLI on an instance, and where a recipe is followed. Debian's does not read AWS_ENDPOINT_URL.
const awsOfTheLab = "#!/bin/sh\nexec /usr/bin/aws --endpoint-url http://" + endpoint + " \"$@\"\n"

func (r recipe) try(t *testing.T, host host) {
	l := newLab(t, labOnly(), *runtimes)
	l.aws.S3().CreateBucket("acme-releases")
	l.lifetime = 10 * time.Minute // the next version is built while it runs
	must(t, os.WriteFile(filepath.Join(l.root, "usr/local/bin/aws"), []byte(awsOfTheLab), 0o755))
	w := newWorkshop(l, host)
	w.write(project, r.project)
	for _, line := range r.once {
		w.run(line)
	}
	w.release(r, r.build, "1.0.0")

	r.image.write(t, l.root)
	for _, name := range r.configs() {
		files{strings.TrimSuffix(name, ".toml") + ".d/scenario.toml": quick}.write(t, l.root)
	}
	must(t, copyFile(filepath.Join(l.root, "etc/koboshi/keys/release.pub"), filepath.Join(w.disk, home, "release.pub"), 0o644))
	l.install(r.install)
	l.launch("")
	c := l.start("exit")
	c.up()
	for _, name := range r.configs() {
		same(t, "verdict of "+name, c.reports(0, "status", "--command", "boot", "--config", name).Verdict, report.Fresh)
	}
	same(t, "state", l.instance.State(), autoscaling.InService)
	c.answers(r.name, "1.0.0")

	next := r.next
	if next == nil {
		next = r.build
	}
	w.release(r, next, "1.1.0")
	ended := c.begin("sh", "-euc", visits)
	for _, name := range r.configs() {
		synced := c.reports(0, "sync", "--config", name)
		same(t, "verdict of "+name, synced.Verdict, report.Fresh)
		if moved := fetched(synced); r.next != nil && moved > maxDelta {
			t.Errorf("the sync fetched %d bytes, at most %d with a delta", moved, maxDelta)
		}
	}
	c.must("touch", "/run/synced")
	if e := ended(); e.code != 0 && r.reloads() {
		t.Errorf("requests failed during the sync:\n%s", e.err)
	}
	c.answers(r.name, "1.1.0")
	for _, name := range r.configs() {
		c.must("koboshi", "verify", "--config", name)
	}
	c.must("koboshi", "doctor")
	must(t, c.cmd.Process.Kill())
	_ = c.cmd.Wait() // it was killed
}

// maxDelta is for a recipe whose next version has a delta: without it a model is
// fetched again.
const maxDelta = 1 << 20

func fetched(r report.Report) (bytes int64) {
	for _, step := range r.Steps {
		bytes += step.Bytes
	}
	return bytes
}

// install runs commands on the image, as its builder does.
func (l *lab) install(commands []string) {
	l.Helper()
	proc := filepath.Join(l.root, "proc")
	must(l.T, unix.Mount("proc", proc, "proc", 0, ""))
	for _, line := range commands {
		l.chroot("sh", "-euc", line)
	}
	must(l.T, unix.Unmount(proc, unix.MNT_DETACH))
}

// release builds, publishes and promotes a version.
func (w *workshop) release(r recipe, build []string, version string) {
	w.Helper()
	files := maps.Clone(r.project)
	for name, text := range files {
		files[name] = strings.ReplaceAll(text, "1.0.0", version)
	}
	w.write(project, files)
	for _, line := range build {
		if r.next == nil {
			line = strings.ReplaceAll(line, "1.0.0", version)
		}
		w.run(line)
	}
}

// answers expects a version to run.
func (c *container) answers(name, version string) {
	c.Helper()
	ask := usualAnswer
	if answers[name] != "" {
		ask = answers[name]
	}
	if e := c.must("env", "VERSION="+version, "timeout", "20", "sh", "-euc", ask); !strings.Contains(e.out, version) {
		c.Errorf("%s: %q, want %s", ask, e.out, version)
	}
}

// quick is a drop-in for the sake of a test that ends soon.
const quick = "[health]\nbake = \"1s\"\ntimeout = \"30s\"\n[lifecycle]\nabandon_delay = \"0s\"\n"

// labOnly is the standard image without anything of koboshi's, which does not end
// by itself.
func labOnly() files {
	return standard().with(notObserved).with(files{
		bootUnit: "", wants + "koboshi-boot.service": "", webUnit: "", config: "",
	})
}
