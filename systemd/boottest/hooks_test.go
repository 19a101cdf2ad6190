//go:build boottest

package boottest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/agent/report"
)

// hookScript prints as which user and in which unit it runs, and fails where its
// tree has a file of that name.
const hookScript = `#!/bin/sh
if [ "$1" = health ]; then [ ! -e no-health ] && [ "$(id -u)" != 0 ]; exit; fi
id
grep :: /proc/self/cgroup
echo "AWS at [$AWS_ENDPOINT_URL]"
touch /etc/hook && echo "wrote to /etc"
first=$(test -e hang && mkdir /dev/shm/begun && echo yes)
echo "$1 of $KOBOSHI_VERSION in $PWD says '$2'"
if [ -e "no-$1" ]; then echo "it cannot be"; exit 3; fi
if [ "$first" ]; then sleep 1000 & sleep 1000; fi
`

// hooked publishes a release whose hooks print what they are. Its files decide the
// rest: no-pre_start fails that hook, and hang makes the machine's first hook last.
func (l *lab) hooked(version string, files ...string) {
	l.Helper()
	tree := filepath.Join(l.dir, version)
	must(l.T, built.tree(tree, version))
	must(l.T, os.WriteFile(filepath.Join(tree, "hook"), []byte(hookScript), 0o755))
	for _, name := range files {
		must(l.T, os.WriteFile(filepath.Join(tree, name), nil, 0o644))
	}
	args := []string{"publish", "--health", "command=hook health", "--source", "s3://releases/apps", "--app", "web", "--version", version, "--key", built.path("release.key")}
	for _, name := range []string{"pre_start", "post_start", "pre_stop"} {
		args = append(args, "--hook", name+"=hook "+name+" $PATH%n")
	}
	must(l.T, built.koboshi(builder(), append(args, tree)...))
}

// says asserts that koboshi printed a line of a hook's output.
func (l *lab) says(lines ...string) {
	l.Helper()
	said := l.said()
	for _, line := range lines {
		if !strings.Contains(said, "koboshi: "+line) {
			l.Errorf("the console does not say %q", line)
		}
	}
}

// A hook runs as the app's user, in a unit of its own with no more rights than the
// app; then nothing of the unit is left.
func TestHooks(t *testing.T) {
	t.Parallel()
	l, _ := scenario{
		prepare: func(l *lab) { l.hooked("3.0.0") },
		channel: "3.0.0",
		want:    inService(report.Fresh, "3.0.0"),
	}.run(t)
	tree := " in /opt/koboshi/web/releases/3.0.0-"
	l.says("pre_start: uid=1(daemon) gid=1(daemon) groups=1(daemon)", "post_start: uid=1(daemon)", "pre_start: AWS at []",
		"pre_start: pre_start of 3.0.0"+tree, "post_start: post_start of 3.0.0"+tree)
	said := l.said()
	for _, never := range []string{"169.254.169.254", "wrote to /etc", "pre_stop"} {
		if strings.Contains(said, never) {
			t.Errorf("the console says %q", never)
		}
	}
	for _, always := range []string{"/koboshi-web-hook.service", "says '$PATH%n'"} {
		if strings.Count(said, always) != 2 {
			t.Errorf("the console does not say %q of both hooks", always)
		}
	}
}

// A release whose post_start fails is replaced by the one before, on a machine
// that stays in service.
func TestHookFailsOnALiveMachine(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard())
	l.hooked("3.0.0")
	l.hooked("4.0.0", "no-post_start")
	l.promote("3.0.0")
	l.launch("")
	inService(report.Fresh, "3.0.0").check(l, l.start("reboot").wait(rebooted))
	l.promote("4.0.0")
	got := l.start("exit").wait(0)
	same(t, "exit code", got.Units["koboshi-boot.service"]["ExecMainStatus"], "19")
	same(t, "verdict", got.Report.Verdict, report.Failed)
	same(t, "answer", got.Answer, "3.0.0 on "+l.instance.ID())
	l.says("pre_stop: pre_stop of 3.0.0", "post_start: it cannot be",
		"error: failed hook post_start of 4.0.0: job for koboshi-web-hook.service: failed (exit-code, status 3): it cannot be")
}

// A hook that fails at launch abandons the instance.
func TestHookFailsAtLaunch(t *testing.T) {
	t.Parallel()
	l, _ := scenario{
		image:   files{dropIn: "[hooks]\nuser = \"bin\"\n"},
		prepare: func(l *lab) { l.hooked("5.0.0", "no-pre_start") },
		channel: "5.0.0",
		want:    abandoned("19", "", "failed hook pre_start of 5.0.0: job for koboshi-web-hook.service: failed (exit-code, status 3): it cannot be"),
	}.run(t)
	l.says("pre_start: uid=2(bin) gid=2(bin) groups=2(bin)")
}

// The health command of a release runs as the app's user, too. It runs often, and
// writes nothing to the journal.
func TestHealthCommandOfARelease(t *testing.T) {
	t.Parallel()
	l, got := scenario{
		prepare: func(l *lab) { l.hooked("6.0.0", "no-health") },
		baked:   "1.0.0",
		channel: "6.0.0",
		want:    abandoned("20", "1.0.0", "unhealthy after "),
	}.run(t)
	if want := "job for koboshi-web-health-"; got.Report.Error == nil || !strings.Contains(got.Report.Error.Message, want) {
		t.Errorf("the report says %+v, want %q", got.Report.Error, want)
	}
	for line := range strings.Lines(l.journal()) {
		if strings.Contains(line, " systemd[1]: ") && strings.Contains(line, "koboshi-web-health-") {
			t.Errorf("the journal says %s", line)
		}
	}
}

// A user that comes and goes with the app's unit is the hooks' user, too.
func TestHooksOfADynamicUser(t *testing.T) {
	t.Parallel()
	l, _ := scenario{
		image:   files{webUnit: strings.Replace(webService, "User=daemon", "DynamicUser=yes", 1)},
		prepare: func(l *lab) { l.hooked("3.0.0") },
		channel: "3.0.0",
		want:    inService(report.Fresh, "3.0.0"),
	}.run(t)
	if hooks := strings.Count(l.said(), "uid=6"); hooks != 2 { // from 61184 on: systemd.exec(5)
		t.Errorf("%d hooks ran as the unit's own user, want 2", hooks)
	}
}

// An agent that is stopped stops its hook.
func TestHookInterrupted(t *testing.T) {
	t.Parallel()
	l := hookOutlived(t, unix.SIGTERM)
	if stopped := "Stopped koboshi-web-hook.service"; !strings.Contains(l.journal("-u", "koboshi-web-hook.service"), stopped) {
		t.Errorf("the journal does not say %q", stopped)
	}
}

// An agent that is killed cannot stop it; the next agent does.
func TestHookOfAKilledAgent(t *testing.T) {
	t.Parallel()
	hookOutlived(t, unix.SIGKILL)
}

// hookOutlived ends the agent while a hook runs; systemd starts it again, and
// it runs the hook again.
func hookOutlived(t *testing.T, signal unix.Signal) *lab {
	t.Helper()
	l, got := scenario{
		prepare: func(l *lab) { l.hooked("3.0.0", "hang") },
		channel: "3.0.0",
		meanwhile: func(c *container) {
			c.until(settleLimit, "the hook runs", func() bool { return strings.Contains(c.said(), "pre_start: pre_start of 3.0.0") })
			c.kill("koboshi-boot.service", signal)
		},
		want: inService(report.Current, "3.0.0"), // the first agent has installed it
	}.run(t)
	same(t, "restarts", got.Units["koboshi-boot.service"]["NRestarts"], "1")
	if ran := strings.Count(l.said(), "pre_start: pre_start of 3.0.0"); ran != 2 {
		t.Errorf("the hook ran %d times, want 2", ran)
	}
	return l
}

// A sync that is killed at a shell has no unit and is not started again: systemd
// ends its hook all the same, and at once.
func TestHookOfAKilledSync(t *testing.T) {
	t.Parallel()
	c := live(t, nil)
	c.hooked("3.0.0", "hang")
	c.promote("3.0.0")
	c.must("sh", "-c", `koboshi sync >/dev/null 2>&1 & us=$!
		until [ -e /dev/shm/begun ]; do sleep 0.05; done
		kill -KILL $us; exec timeout 20 sh -c 'while systemctl is-active koboshi-web-hook.service | grep -q activ; do sleep 0.05; done'`)
	same(t, "the running version", c.version(), "1.0.0")
	c.must("koboshi", "sync")
	same(t, "the running version", c.version(), "3.0.0")
	c.says("0 loaded units", "systemctl", "list-units", "--all", "koboshi-web-hook*")
	c.end("exit")
}
