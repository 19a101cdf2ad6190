//go:build boottest

package boottest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/report"
)

// interpreter is a program of the tree that scripts are run by, under its path
// through current. It exports which release it is of.
const interpreter = `#!/bin/sh
BY=$(cat "${0%/*}/VERSION") exec /bin/sh "$@"
`

// migrateScript is a hook that is found through current, as a virtualenv's scripts
// are. It writes next to current, and prints what it was given.
const migrateScript = `#!/opt/koboshi/web/current/interpreter
echo "$1 of $KOBOSHI_VERSION runs $BY, current is $(cat /opt/koboshi/web/current/VERSION), in ${PWD#*/releases/}"
echo "$1 has PLACE=$PLACE FILE=$FILE, credentials $(cat "$CREDENTIALS_DIRECTORY/loaded" "$CREDENTIALS_DIRECTORY/set" 2>&1)"
echo "$1 sees" $(ls -A /opt/koboshi/web)
touch "/opt/koboshi/web/shared/$1-$KOBOSHI_VERSION"
if touch /opt/koboshi/web/beside 2>/dev/null; then echo "wrote next to current"; fi
if [ "$1" = pre_start ] && [ -e hang ] && mkdir /dev/shm/begun; then sleep 1000; fi
exit 0
`

// migrating publishes a release whose hooks run migrateScript.
func (l *lab) migrating(version string, more ...string) {
	l.Helper()
	tree := filepath.Join(l.dir, version)
	must(l.T, built.tree(tree, version))
	must(l.T, os.WriteFile(filepath.Join(tree, "interpreter"), []byte(interpreter), 0o755))
	must(l.T, os.WriteFile(filepath.Join(tree, "migrate"), []byte(migrateScript), 0o755))
	for _, name := range more {
		must(l.T, os.WriteFile(filepath.Join(tree, name), nil, 0o644))
	}
	args := []string{"publish", "--source", "s3://releases/apps", "--app", "web", "--version", version, "--key", built.path("release.key")}
	for _, name := range []string{"pre_start", "post_start", "pre_stop"} {
		args = append(args, "--hook", name+"=migrate "+name)
	}
	must(l.T, built.koboshi(builder(), append(args, tree)...))
}

// shared makes a directory next to current that the app's user may write to.
const shared = "/opt/koboshi/web/shared"

func (l *lab) share() {
	l.Helper()
	dir := filepath.Join(l.root, shared)
	must(l.T, os.MkdirAll(dir, 0o755))
	must(l.T, os.Chmod(dir, 0o777))
}

// giving is the app's unit with variables and secrets, as operators configure them.
func giving() files {
	return files{
		webUnit + ".d/given.conf": "[Service]\nEnvironment=PLACE=unit KOBOSHI_VERSION=0\nEnvironmentFile=/etc/web/env\nEnvironmentFile=-/etc/web/none\n" +
			"LoadCredential=loaded:/etc/web/loaded\nSetCredential=set:from-unit\n",
		"/etc/web/env": "FILE=secret-file\n", "/etc/web/loaded": "secret-loaded ",
	}
}

// wantSeen expects the output of one hook.
func wantSeen(t *testing.T, said, hook, version string) {
	t.Helper()
	for _, want := range []string{
		hook + ": " + hook + " of " + version + " runs " + version + ", current is " + version + ", in " + version + "-",
		hook + ": " + hook + " has PLACE=unit FILE=secret-file, credentials secret-loaded from-unit",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%s of %s does not say %q in\n%s", hook, version, want, said)
		}
	}
}

// A hook runs the release that it belongs to, whatever is current: at the first launch
// nothing is, at a sync the release before, at a rollback the one after. It has what
// the app's unit is given, and what is next to current. When it has ended nothing is
// left of what it saw.
func TestHookRunsItsRelease(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard().with(notObserved).with(giving()))
	for _, secret := range []string{"/etc/web/env", "/etc/web/loaded"} {
		must(t, os.Chmod(filepath.Join(l.root, secret), 0o600))
	}
	l.share()
	l.migrating("3.0.0")
	l.migrating("4.0.0")
	l.promote("3.0.0")
	l.launch("")
	c := l.start("exit")
	c.up()
	said := l.said()
	wantSeen(t, said, "pre_start", "3.0.0")
	wantSeen(t, said, "post_start", "3.0.0")
	if strings.Contains(said, "next to current") {
		t.Error("the hook could write next to current, where it would be lost")
	}
	l.promote("4.0.0")
	said = c.must("koboshi", "sync").err
	wantSeen(t, said, "pre_start", "4.0.0")
	wantSeen(t, said, "pre_stop", "3.0.0")
	wantSeen(t, said, "post_start", "4.0.0")
	if want := "pre_start sees .staging current releases shared\n"; !strings.Contains(said, want) {
		t.Errorf("the hook does not say %q: %s", want, said)
	}
	said = c.must("koboshi", "rollback").err
	wantSeen(t, said, "pre_start", "3.0.0")
	wantSeen(t, said, "pre_stop", "4.0.0")
	c.leavesNothing("3.0.0", "pre_start-3.0.0", "pre_start-4.0.0", "pre_stop-3.0.0")
	same(t, "answer", c.end("exit").Answer, "3.0.0 on "+l.instance.ID())
	if journal := l.journal("--grep=secret-file|secret-loaded|from-unit", "-u", "init.scope"); strings.Contains(journal, "secret") {
		t.Errorf("systemd wrote a secret: %s", journal)
	}
}

// leavesNothing expects no view and no unit of a hook, and the files that hooks wrote to
// the shared directory.
func (c *container) leavesNothing(version string, written ...string) {
	c.Helper()
	c.noView(version)
	c.says("0 loaded units", "systemctl", "list-units", "--all", "koboshi-web-hook*")
	for _, name := range written {
		c.must("test", "-e", shared+"/"+name)
	}
}

// noView expects current to be a link to a version, and no mount beneath root.
func (c *container) noView(version string) {
	c.Helper()
	c.says("releases/"+version+"-", "readlink", "/opt/koboshi/web/current")
	if e := c.do("grep", "/opt/koboshi/web/", "/proc/1/mountinfo"); e.code != 1 {
		c.Errorf("mounts are left: %s", e.out)
	}
}

// A koboshi that is killed while a hook sees another current leaves nothing of that.
func TestHookViewOfAKilledSync(t *testing.T) {
	t.Parallel()
	c := live(t, giving())
	c.share()
	c.migrating("3.0.0", "hang")
	c.promote("3.0.0")
	c.must("sh", "-c", `koboshi sync >/dev/null 2>&1 & us=$!
		timeout 20 sh -c 'until [ -e /dev/shm/begun ]; do sleep 0.05; done' || exit 9
		cat /opt/koboshi/web/current/VERSION >/dev/shm/meanwhile
		kill -KILL $us; exec timeout 20 sh -c 'while systemctl is-active koboshi-web-hook.service | grep -q activ; do sleep 0.05; done'`)
	same(t, "current while the hook ran", c.must("cat", "/dev/shm/meanwhile").out, "1.0.0\n")
	c.noView("1.0.0") // the failed unit itself is the next one's to remove
	same(t, "the running version", c.version(), "1.0.0")
	wantSeen(t, c.must("koboshi", "sync").err, "pre_start", "3.0.0")
	c.leavesNothing("3.0.0", "pre_start-3.0.0", "post_start-3.0.0")
	c.end("exit")
}

// What the root is, and who the hook runs as, makes no difference.
func TestHookView(t *testing.T) {
	for name, s := range map[string]struct {
		image   files
		prepare func(l *lab)
	}{
		"root is a link": {nil, func(l *lab) {
			must(l.T, os.MkdirAll(filepath.Join(l.root, "opt/koboshi/disk"), 0o755))
			must(l.T, os.Symlink("/opt/koboshi/disk", filepath.Join(l.root, "opt/koboshi/web")))
		}},
		"root is a mount": {lateVolume("/opt/koboshi/web", "opt-koboshi-web.mount").with(files{
			bootUnit + ".d/mount.conf": "[Unit]\nRequiresMountsFor=/opt/koboshi/web\n",
		}), nil},
		"hooks.user":  {files{dropIn: "[hooks]\nuser = \"bin\"\n"}, nil},
		"DynamicUser": {files{webUnit: strings.Replace(webService, "User=daemon", "DynamicUser=yes", 1)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := scenario{
				image: giving().with(s.image),
				prepare: func(l *lab) {
					if s.prepare != nil {
						s.prepare(l)
					}
					l.migrating("3.0.0")
				},
				baked:   "1.0.0",
				channel: "3.0.0",
				want:    inService(report.Fresh, "3.0.0"),
			}.run(t)
			wantSeen(t, l.said(), "pre_start", "3.0.0")
		})
	}
}

// A secret that is not there stops the launch, whether a hook or the app would have been
// started without it.
func TestSecretMissing(t *testing.T) {
	for name, tt := range map[string]struct{ file, says string }{
		"credential":  {"/etc/web/loaded", "failed hook pre_start of 3.0.0: job for koboshi-web-hook.service: failed (exit-code, status 243/CREDENTIALS)"},
		"environment": {"/etc/web/env", "failed hook pre_start of 3.0.0: job for koboshi-web-hook.service: failed (resources, status 0)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario{
				image: giving().with(files{tt.file: ""}), prepare: func(l *lab) { l.migrating("3.0.0") },
				channel: "3.0.0", want: abandoned("19", "", tt.says),
			}.run(t)
		})
	}
	t.Run("app", func(t *testing.T) {
		t.Parallel()
		scenario{
			image: giving().with(files{"/etc/web/loaded": ""}), channel: "1.0.0",
			want: abandoned("19", "", "the release could not be started: job for web.service: failed (exit-code, status 243/CREDENTIALS)"),
		}.run(t)
	})
}
