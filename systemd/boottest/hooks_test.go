//go:build boottest

package boottest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/status"
)

// hookScript tells as whom and in which unit it runs, and fails where its tree
// has a file of that name.
const hookScript = `#!/bin/sh
id
grep :: /proc/self/cgroup
echo "AWS at [$AWS_ENDPOINT_URL]"
touch /etc/hook && echo "wrote to /etc"
echo "$1 of $KOBOSHI_VERSION in $PWD says '$2'"
if [ -e "no-$1" ]; then echo "it cannot be"; exit 3; fi
`

// hooked publishes a release whose hooks tell of themselves. fails names the
// one that does, "" = none.
func (l *lab) hooked(version, fails string) {
	l.Helper()
	tree := filepath.Join(l.dir, version)
	must(l.T, built.tree(tree, version))
	must(l.T, os.WriteFile(filepath.Join(tree, "hook"), []byte(hookScript), 0o755))
	must(l.T, os.WriteFile(filepath.Join(tree, "no-"+fails), nil, 0o644))
	args := []string{"publish", "--source", "s3://releases/apps", "--app", "web", "--version", version, "--key", built.path("release.key")}
	for _, name := range []string{"pre_start", "post_start", "pre_stop"} {
		args = append(args, "--hook", name+"=hook "+name+" $PATH%n")
	}
	must(l.T, built.koboshi(builder(), append(args, tree)...))
}

// says asserts that koboshi told a line of a hook's output.
func (l *lab) says(lines ...string) {
	l.Helper()
	said := l.said()
	for _, line := range lines {
		if !strings.Contains(said, "koboshi: "+line) {
			l.Errorf("the console does not say %q", line)
		}
	}
}

// A hook runs as the app's user, in a unit of its own, where it can do no more
// than the app; then nothing of the unit is left.
func TestHooks(t *testing.T) {
	t.Parallel()
	l, _ := scenario{
		prepare: func(l *lab) { l.hooked("3.0.0", "") },
		channel: "3.0.0",
		want:    inService(status.Fresh, "3.0.0"),
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

// A release whose post_start fails gives way to what served before, on a
// machine that goes on serving.
func TestHookFailsOnALiveMachine(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard())
	l.hooked("3.0.0", "")
	l.hooked("4.0.0", "post_start")
	l.promote("3.0.0")
	l.launch("")
	inService(status.Fresh, "3.0.0").check(l, l.start("reboot").wait(rebooted))
	l.promote("4.0.0")
	got := l.start("exit").wait(0)
	same(t, "exit code", got.Units["koboshi-boot.service"]["ExecMainStatus"], "19")
	same(t, "verdict", got.Report.Verdict, status.Failed)
	same(t, "answer", got.Answer, "3.0.0 on "+l.instance.ID())
	l.says("pre_stop: pre_stop of 3.0.0", "post_start: it cannot be",
		"error: failed hook post_start of 4.0.0: job for koboshi-web-hook.service: failed (exit-code, status 3): it cannot be")
}

// A hook that fails at launch abandons the instance.
func TestHookFailsAtLaunch(t *testing.T) {
	t.Parallel()
	scenario{
		image:   files{dropIn: "[hooks]\nuser = \"bin\"\n"},
		prepare: func(l *lab) { l.hooked("5.0.0", "pre_start") },
		channel: "5.0.0",
		want:    abandoned("19", "", "failed hook pre_start of 5.0.0: job for koboshi-web-hook.service: failed (exit-code, status 3): it cannot be"),
	}.run(t)
}
