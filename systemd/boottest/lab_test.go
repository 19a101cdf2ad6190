//go:build boottest

package boottest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/report"
)

const (
	settleLimit = 60 * time.Second // for a machine to come to rest
	endLimit    = 30 * time.Second // for all of its processes to end
	rebooted    = 133              // the exit code of systemd-nspawn for a machine that is to start again
)

// lab is one machine's disk, network and cloud.
type lab struct {
	*testing.T
	dir      string
	root     string // the machine's disk
	aws      *awstest.Server
	instance *ec2.Instance
	boots    int
	extra    []string      // more arguments of systemd-nspawn
	lifetime time.Duration // a machine that runs longer is killed
}

// newLab makes a machine from an image, and an Auto Scaling group for it. The
// layers are above the root filesystem, and the image above them.
func newLab(t *testing.T, image files, layers ...string) *lab {
	t.Helper()
	leave(t)
	l := &lab{T: t, dir: t.TempDir(), lifetime: 3 * settleLimit}
	l.root = overlay(t, l.dir, strings.Join(append(layers, *rootFS), ":"))
	image.write(t, l.root)
	l.copyIn("koboshi", "/usr/local/bin/koboshi", 0o755)
	l.copyIn("observer", "/usr/local/bin/observer", 0o755)
	l.copyIn("release.pub", "/etc/koboshi/keys/release.pub", 0o644)
	l.aws = awstest.New(t, awstest.WithAddr(endpoint), awstest.WithIMDSAddr("169.254.169.254:80"))
	must(t, l.aws.CreateGroup(autoscaling.Group{Name: "web", Hooks: []autoscaling.Hook{
		{Name: "koboshi-launching", Transition: autoscaling.OnLaunch},
	}}))
	must(t, built.objects(func(key string, data []byte) { l.aws.S3().Put("releases", key, data) }))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.console(), "\n", l.journal())
		}
	})
	return l
}

func (l *lab) copyIn(name, path string, mode os.FileMode) {
	to := filepath.Join(l.root, path)
	must(l.T, os.MkdirAll(filepath.Dir(to), 0o755))
	must(l.T, copyFile(to, built.path(name), mode))
}

// builder is the environment in which releases and images are made.
func builder() []string {
	return []string{
		"AWS_ENDPOINT_URL=http://" + endpoint, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=lab", "AWS_SECRET_ACCESS_KEY=lab",
	}
}

// promote points the channel stable to a version.
func (l *lab) promote(version string, more ...string) {
	l.Helper()
	l.promoteTo("stable", version, more...)
}

func (l *lab) promoteTo(channel, version string, more ...string) {
	l.Helper()
	args := []string{"promote", "--source", "s3://releases/apps", "--app", "web", "--channel", channel, "--version", version, "--key", built.path("release.key")}
	must(l.T, built.koboshi(builder(), append(args, more...)...))
}

// publish makes one more release, without a flaw.
func (l *lab) publish(version string) {
	l.Helper()
	l.publishWith(version, nil)
}

// publishWith makes one more release, with more files.
func (l *lab) publishWith(version string, more files, options ...string) {
	l.Helper()
	tree := filepath.Join(l.dir, "tree-"+version)
	must(l.T, built.tree(tree, version))
	more.write(l.T, tree)
	args := []string{"publish", "--source", "s3://releases/apps", "--app", "web", "--version", version, "--key", built.path("release.key")}
	must(l.T, built.koboshi(builder(), append(append(args, options...), tree)...))
}

// launch gives the machine to a new instance of the group.
func (l *lab) launch(userData string) {
	l.Helper()
	options := autoscaling.LaunchOptions{Group: "web"}
	if userData != "" {
		options.UserData = []byte(userData)
	}
	var err error
	l.instance, err = l.aws.Launch(options)
	must(l.T, err)
}

// container is one boot of the machine.
type container struct {
	*lab
	cmd     *exec.Cmd
	cgroup  string
	started time.Time
}

// start boots the machine, to end by verb: exit or reboot.
func (l *lab) start(verb string) *container {
	l.Helper()
	l.endBy(verb)
	l.boots++
	c := &container{lab: l, cgroup: newCgroup(l.T), started: time.Now()}
	cgroup, err := os.Open(c.cgroup)
	must(l.T, err)
	defer func() { _ = cgroup.Close() }()
	console, err := os.Create(l.consoleFile())
	must(l.T, err)
	defer func() { _ = console.Close() }()
	ctx, cancel := context.WithTimeout(l.Context(), l.lifetime)
	l.Cleanup(cancel)
	c.cmd = exec.CommandContext(ctx, "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--link-journal=no",
		"--resolv-conf=off", "--timezone=off", "--network-namespace-path=/proc/self/ns/net", "--console=read-only",
		"--machine="+filepath.Base(c.cgroup), "-D", l.root)
	c.cmd.Args = append(c.cmd.Args, l.extra...)
	c.cmd.Stdout, c.cmd.Stderr = console, console
	c.cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cgroup.Fd()), Pdeathsig: unix.SIGKILL}
	must(l.T, c.cmd.Start())
	return c
}

// endBy sets how the observer ends the machine.
func (l *lab) endBy(verb string) {
	l.Helper()
	files{"/etc/lab/observer": fmt.Sprintf("VERB=%s\nLIMIT=%s\n", verb, settleLimit)}.write(l.T, l.root)
}

// seen is what the observer recorded of a boot, and the report of that boot.
type seen struct {
	Settled bool
	Jobs    string
	Units   map[string]map[string]string
	Answer  string
	Picture string
	Report  report.Report `json:"-"`
}

// wait returns when the machine has ended, as it should.
func (c *container) wait(code int) seen {
	c.Helper()
	_ = c.cmd.Wait() // its exit code is looked at
	if got := c.cmd.ProcessState.ExitCode(); got != code {
		c.Fatalf("the machine ended with %d, want %d", got, code)
	}
	c.Logf("boot %d: %.1f s", c.boots, time.Since(c.started).Seconds())
	var s seen
	data, err := os.ReadFile(filepath.Join(c.root, "var/lab/seen.json"))
	must(c.T, err)
	must(c.T, json.Unmarshal(data, &s))
	if !s.Settled {
		c.Errorf("the boot did not come to rest in %s; still queued:\n%s", settleLimit, s.Jobs)
	}
	if s.Report = c.report(); s.Report.Started.Before(c.started) {
		c.Errorf("no report of this boot: the last is of %s", s.Report.Started)
	}
	return s
}

func (l *lab) report() report.Report {
	dir, err := os.OpenRoot(filepath.Join(l.root, "var/lib/koboshi/web"))
	must(l.T, err)
	defer func() { _ = dir.Close() }()
	rep, err := report.Newest(dir)
	must(l.T, err)
	return rep
}

func (l *lab) consoleFile() string { return filepath.Join(l.dir, fmt.Sprintf("console-%d", l.boots)) }

// console is what the last boot wrote to the machine's console.
func (l *lab) console() string {
	data, err := os.ReadFile(l.consoleFile())
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// said is what koboshi itself wrote there.
func (l *lab) said() string {
	var lines []string
	for line := range strings.Lines(l.console()) {
		if _, text, ok := strings.Cut(line, "koboshi: "); ok {
			lines = append(lines, "koboshi: "+strings.TrimSpace(text))
		}
	}
	return strings.Join(lines, "\n")
}

// journal is the text of a machine's journal, of all its boots.
func (l *lab) journal(args ...string) string {
	args = append([]string{"-D", filepath.Join(l.root, "var/log/journal"), "--no-pager", "-o", "short-precise"}, args...)
	out, err := exec.Command("journalctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s (%v)", out, err)
	}
	return strings.TrimSpace(string(out))
}
