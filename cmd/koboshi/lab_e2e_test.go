//go:build e2e

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/loopback"
	"koboshi/agent/failure"
)

// patience bounds every command and every wait of these tests. It is much longer
// than any of them needs.
const patience = 2 * time.Minute

// buildKoboshi builds the product as it is shipped, next to testapp, in the
// directory that testscript.Main removes in the end.
var buildKoboshi = sync.OnceValues(func() (string, error) {
	app, err := exec.LookPath("testapp")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(filepath.Dir(app), "koboshi-as-shipped")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return binary, nil
})

// lab is a loopback AWS with a group "web" that has a launch hook, and a
// publisher with a key.
type lab struct {
	*testing.T
	aws     *awstest.Server
	dir     string // release.key and release.pub
	koboshi string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	binary, err := buildKoboshi()
	must(t, err)
	l := &lab{T: t, aws: awstest.New(t), dir: t.TempDir(), koboshi: binary}
	l.aws.S3().CreateBucket("releases")
	must(t, l.aws.CreateGroup(autoscaling.Group{Name: "web", Hooks: []autoscaling.Hook{{Name: "koboshi-launching", Transition: autoscaling.OnLaunch}}}))
	must(t, writeKeys(l.dir))
	return l
}

// publisher runs a command of the release side, which must succeed.
func (l *lab) publisher(args ...string) {
	l.Helper()
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "AWS_ENDPOINT_URL=" + l.aws.URL(), "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
	}
	args = append(args, "--source", "s3://releases/apps", "--app", "web", "--key", l.dir+"/release.key")
	if r := runCommand(l.T, l.dir, env, l.koboshi, args...); r.code != 0 {
		l.Fatalf("koboshi %s: exit %d\n%s", strings.Join(args, " "), r.code, r.output)
	}
}

func (l *lab) promote(version string) {
	l.Helper()
	l.publisher("promote", "--channel", "stable", "--version", version)
}

func (l *lab) publish(version, path string) {
	l.Helper()
	l.publisher("publish", "--version", version, path)
}

// release publishes and promotes a tree of the app: its VERSION, some small
// files, and as many bytes of noise. It returns the tree's directory.
func (l *lab) release(version string, noise int) string {
	l.Helper()
	tree := l.tree(version, noise)
	l.publish(version, tree)
	l.promote(version)
	return tree
}

func (l *lab) tree(version string, noise int) string {
	l.Helper()
	tree := l.TempDir()
	must(l.T, os.MkdirAll(filepath.Join(tree, "lib", "deep"), 0o755))
	for name, text := range map[string]string{"VERSION": version, "lib/a": "a", "lib/deep/b": "b" + version} {
		must(l.T, os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644))
	}
	must(l.T, os.Symlink("a", filepath.Join(tree, "lib", "link")))
	if noise > 0 {
		must(l.T, os.WriteFile(filepath.Join(tree, "noise"), random(noise), 0o644))
	}
	return tree
}

// random is n bytes that do not compress, the same in every run.
func random(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	return data
}

// box is one instance with a disk of its own.
type box struct {
	*lab
	world
	pid string // where the app leaves its process id
}

// launch launches an instance with an empty disk.
func (l *lab) launch(o autoscaling.LaunchOptions) *box {
	l.Helper()
	b := l.bare(l.TempDir())
	b.relaunch(o)
	return b
}

// bare is a disk that no instance has yet.
func (l *lab) bare(dir string) *box {
	l.Helper()
	b := &box{lab: l, world: world{aws: l.aws, dir: dir, addr: loopback.Address()}}
	must(l.T, os.MkdirAll(dir, 0o755))
	key, err := os.ReadFile(filepath.Join(l.dir, "release.pub"))
	must(l.T, err)
	must(l.T, os.WriteFile(b.path("release.pub"), key, 0o644))
	must(l.T, errors.Join(b.hurry(), b.configure("")))
	b.pid = b.path("app.pid")
	b.quick()
	l.Cleanup(func() { stopApp(b.pid) })
	return b
}

// quick shortens the gate, gives an app time that is started beside others, and makes the app write its pid where the box reads it.
// It also keeps the race detector, with which testapp is built, from waiting 1 s at
// exit.
func (b *box) quick() {
	b.Helper()
	b.override("10-quick", fmt.Sprintf("[service]\nrestart = [\"env\", \"GORACE=atexit_sleep_ms=0\", \"testapp\", \"restart\", %q, %q]\n"+
		"[health]\ntimeout = \"1m\"\nbake = \"10ms\"\n", b.addr, b.pid))
}

// relaunch gives the disk to a new instance, as if an AMI had been made of it.
func (b *box) relaunch(o autoscaling.LaunchOptions) {
	b.Helper()
	o.Group = cmp.Or(o.Group, "web")
	i, err := b.lab.aws.Launch(o)
	must(b.T, err)
	b.instance = i
	stopApp(b.pid)
}

func (b *box) path(name ...string) string {
	return filepath.Join(append([]string{b.world.dir}, name...)...)
}

// override writes a drop-in of the configuration.
func (b *box) override(name, text string) {
	b.Helper()
	must(b.T, os.MkdirAll(b.path("koboshi.d"), 0o755))
	must(b.T, os.WriteFile(b.path("koboshi.d", name+".toml"), []byte(text), 0o644))
}

func (b *box) env() []string {
	return append(b.instance.Env(), "PATH="+os.Getenv("PATH"), "HOME="+b.world.dir, "NO_COLOR=1")
}

func (b *box) args(args ...string) []string {
	return append(args, "--config", b.path("koboshi.toml"))
}

// run runs one command of koboshi on the box.
func (b *box) run(args ...string) result {
	b.Helper()
	return b.start(args...).wait()
}

func (b *box) start(args ...string) *running {
	b.Helper()
	return startCommand(b.T, b.world.dir, b.env(), b.koboshi, b.args(args...)...)
}

// exits runs a command that must end with the code, and returns its result.
func (b *box) exits(code failure.Code, args ...string) string {
	b.Helper()
	r := b.run(args...)
	r.want(b.T, code)
	return r.output
}

// told asserts the result of the launch action (CONTINUE, ABANDON or none), and the
// state of the instance that follows from it.
func (b *box) told(want string) {
	b.Helper()
	state := map[string]autoscaling.State{"CONTINUE": autoscaling.InService, "ABANDON": autoscaling.Terminated, "nothing": autoscaling.PendingWait}[want]
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	must(b.T, b.instance.Await(ctx, state))
	for _, a := range b.instance.Actions() {
		if got := cmp.Or(string(a.Result), "nothing"); got != want || want != "nothing" && a.Ending != autoscaling.ByCall {
			b.Errorf("hook %s was told %s (%s), want %s", a.Hook, got, a.Ending, want)
		}
	}
}

// serves asserts the version that the app answers; "" is no answer.
func (b *box) serves(want string) {
	b.Helper()
	got, err := ask(b.addr)
	if got != want {
		b.Errorf("the app answers %q (%v), want %q", got, err, want)
	}
}

// current is the release that the link points to; "" = there is none.
func (b *box) current() string {
	b.Helper()
	target, err := os.Readlink(b.path("opt", "current"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(target, "releases/"), "/tree")
}

// verifies asserts that the current release is the version, and whole.
func (b *box) verifies(version string) {
	b.Helper()
	if out := b.exits(0, "verify"); !strings.HasPrefix(out, version+": ") {
		b.Errorf("verify says %q, want that of %s", out, version)
	}
}

// tidy asserts that nothing half-made is left beneath the root.
func (b *box) tidy() {
	b.Helper()
	left, err := os.ReadDir(b.path("opt", ".staging"))
	must(b.T, err)
	for _, entry := range left {
		b.Errorf("left in .staging: %s", entry.Name())
	}
	must(b.T, filepath.WalkDir(b.path("opt"), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), ".tmp-") {
			b.Errorf("left: %s", path)
		}
		return err
	}))
}

// running is a command that runs.
type running struct {
	*testing.T
	cmd    *exec.Cmd
	output *bytes.Buffer
	cancel context.CancelFunc
}

func startCommand(t *testing.T, dir string, env []string, name string, args ...string) *running {
	t.Helper()
	return startWithin(t, patience, dir, env, name, args...)
}

// startWithin is startCommand for a command that may take so long.
func startWithin(t *testing.T, most time.Duration, dir string, env []string, name string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	p := &running{T: t, cmd: exec.CommandContext(ctx, name, args...), output: &bytes.Buffer{}, cancel: cancel}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, env, p.output, p.output
	p.cmd.WaitDelay = patience
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	return p
}

func (p *running) wait() result {
	p.Helper()
	defer p.cancel()
	if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState == nil {
		p.Fatal(err)
	}
	status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return result{code: failure.Code(p.cmd.ProcessState.ExitCode()), killed: status.Signaled(), output: p.output.String()}
}

func runCommand(t *testing.T, dir string, env []string, name string, args ...string) result {
	t.Helper()
	return startCommand(t, dir, env, name, args...).wait()
}

// result is how a command ended.
type result struct {
	code   failure.Code // -1 where a signal ended it
	killed bool
	output string // both streams
}

func (r result) want(t *testing.T, code failure.Code) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit %d, want %d\n%s", r.code, code, r.output)
	}
}

// says asserts the error line and the hint.
func (r result) says(t *testing.T, errorLine, hint string) {
	t.Helper()
	for _, line := range []struct{ begin, part string }{{"koboshi: error: ", errorLine}, {"koboshi: hint: ", hint}} {
		_, rest, ok := strings.Cut("\n"+r.output, "\n"+line.begin)
		rest, _, _ = strings.Cut(rest, "\n")
		if !ok || !strings.Contains(rest, line.part) {
			t.Errorf("no line %q with %q in\n%s", line.begin, line.part, r.output)
		}
	}
}

// needs fails the test where a tool is missing, with how to install it.
func needs(t *testing.T, tool, debian string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Fatalf("this test needs %s: apt-get install -y %s (%v)", tool, debian, err)
	}
	return path
}

func sum(data []byte) []byte {
	digest := sha256.Sum256(data)
	return digest[:]
}
