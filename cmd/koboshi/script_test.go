package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/cloudformation"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/loopback"
	"koboshi/artifacts"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"koboshi": main,
		"testapp": testapp,
	})
}

// TestScripts runs koboshi as a user would, against a loopback AWS that each
// script has for itself: buckets "releases" and "mirror", a group "web" with a launch hook,
// a pair of keys, and a configuration.
func TestScripts(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGINT} {
		if signal.Ignored(s) { // as under nohup: the scripts begin with none
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setUp,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"laptop":    laptop,
			"launch":    launch,
			"exits":     exitsWith,
			"hook":      hook,
			"addhook":   addHook,
			"terminate": terminate,
			"fault":     fault,
			"calls":     calls,
			"answered":  answered,
			"stack":     stack,
			"flip":      flip,
			"replicate": replicate,
			"proxy":     proxy,
			"proxied":   proxied,
			"quirk":     quirk,
			"interrupt": interrupt,
			"await":     await,
			"deaf":      deaf,
			"discreet":  discreet,
			"inflate":   inflate,
			"unheard":   unheard,
			"serves":    serves,
			"configure": configure,
			"masked":    masked,
			"variable":  variable,
			"kmskey":    kmskey,
			"policy":    policy,
			"encrypted": encrypted,
			"scaling":   scaling,
			"item":      item,
			"table":     makeTable,
			"store":     storeObject,
			"stored":    storedObject,
		},
	})
}

type worldKey struct{}

// world is what a script has around it.
type world struct {
	aws      *awstest.Server
	instance *ec2.Instance
	dir      string
	addr     string     // of the app
	proxy    *forwarder // where the script has one
}

func setUp(env *testscript.Env) error {
	aws, err := awstest.Start()
	if err != nil {
		return err
	}
	env.Defer(aws.Close)
	aws.S3().CreateBucket("releases")
	aws.S3().CreateBucket("mirror")
	if err := aws.CreateGroup(autoscaling.Group{Name: "web", Hooks: []autoscaling.Hook{{Name: "koboshi-launching", Transition: "autoscaling:EC2_INSTANCE_LAUNCHING"}}}); err != nil {
		return err
	}
	w := &world{aws: aws, dir: env.WorkDir, addr: loopback.Address()}
	env.Values[worldKey{}] = w
	for _, pid := range []string{"app.pid", "second.pid"} {
		env.Defer(func() { stopApp(filepath.Join(w.dir, pid)) })
	}
	env.Setenv("SECOND_ADDRESS", loopback.Address()) // of a second app
	w.laptop(env.Setenv)
	env.Setenv("GORACE", "atexit_sleep_ms=0") // or the race detector would keep every command for a second
	env.Setenv("SOURCE", "s3://releases/apps")
	env.Setenv("ADDRESS", w.addr)
	env.Setenv("SUDO_USER", "ops")
	me, err := user.Current()
	if err != nil {
		return err
	}
	env.Setenv("ME", me.Username)
	if err := writeKeys(w.dir); err != nil {
		return err
	}
	if err := w.hurry(); err != nil {
		return err
	}
	return w.configure("")
}

// laptop is the environment of the release side.
func (w *world) laptop(setenv func(name, value string)) {
	setenv("AWS_ENDPOINT_URL", w.aws.URL())
	setenv("AWS_REGION", "us-east-1")
	setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	setenv("AWS_SECRET_ACCESS_KEY", "secret")
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
}

// writeKeys makes release.key and release.pub, as an operator would.
func writeKeys(dir string) error {
	var said strings.Builder
	if code := run(context.Background(), []string{"keygen", "--out", filepath.Join(dir, "release")}, nil, &said, &said); code != 0 {
		return fmt.Errorf("koboshi keygen: exit code %d: %s", code, &said)
	}
	return nil
}

// configure writes koboshi.toml; a script's own lines are appended.
func (w *world) configure(more string) error {
	text := fmt.Sprintf(`app      = "web"
source   = "s3://releases/apps"
channels = ["stable", "canary"]
[trust]
keys     = ["%[1]s/release.pub"]
[install]
root     = "%[1]s/opt"
[service]
restart  = ["env", "GORACE=atexit_sleep_ms=0", "testapp", "restart", "%[2]s", "%[1]s/app.pid"]
[health]
url      = "http://%[2]s/healthz"
timeout  = "5s"
bake     = "100ms"
[state]
dir      = "%[1]s/state"
run      = "%[1]s/run"
`, w.dir, w.addr)
	return os.WriteFile(filepath.Join(w.dir, "koboshi.toml"), []byte(text+more), 0o644)
}

// hurry removes the delay before ABANDON.
func (w *world) hurry() error {
	dir := filepath.Join(w.dir, "koboshi.d")
	return errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "00-hurry.toml"), []byte("[lifecycle]\nabandon_delay = \"0s\"\n"), 0o644))
}

func of(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// configure FILE appends the lines of FILE, with $VARIABLES, to the standard
// configuration.
func configure(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: configure FILE")
	}
	ts.Check(of(ts).configure(os.Expand(ts.ReadFile(args[0]), ts.Getenv)))
}

// laptop takes the script back to the release side.
func laptop(ts *testscript.TestScript, _ bool, _ []string) { of(ts).laptop(ts.Setenv) }

// launch [JSON] launches an instance and puts the script on it.
func launch(ts *testscript.TestScript, _ bool, args []string) {
	w := of(ts)
	o := autoscaling.LaunchOptions{Group: "web"}
	if len(args) == 1 {
		ts.Check(json.Unmarshal([]byte(args[0]), &o))
	}
	i, err := w.aws.Launch(o)
	ts.Check(err)
	w.instance = i
	for _, pair := range i.Env() {
		name, value, _ := strings.Cut(pair, "=")
		ts.Setenv(name, value)
	}
	ts.Setenv("INSTANCE_ID", i.ID())
}

// exits CODE COMMAND ARG… runs a command that must end with exactly that code.
func exitsWith(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		e, ok := err.(interface{ ExitCode() int })
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// hook RESULT STATE [NAME] waits until the instance is in a state, and asserts the
// result of its launch actions, or of the one that is named: CONTINUE, ABANDON, or
// nothing for an action that waits or has been dropped.
func hook(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: hook CONTINUE|ABANDON|nothing STATE [NAME]")
	}
	i := of(ts).instance
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ts.Check(i.Await(ctx, autoscaling.State(args[1])))
	for _, a := range i.Actions() {
		if len(args) == 3 && a.Hook != args[2] {
			continue
		}
		if got := cmp.Or(string(a.Result), "nothing"); got != args[0] {
			ts.Fatalf("hook %s was completed with %s (%s), want %s", a.Hook, got, a.Ending, args[0])
		}
	}
}

// addhook NAME [terminate] adds a lifecycle hook to the group, for launches or
// terminations.
func addHook(ts *testscript.TestScript, _ bool, args []string) {
	transition := autoscaling.OnLaunch
	switch {
	case len(args) == 2 && args[1] == "terminate":
		transition = autoscaling.OnTerminate
	case len(args) != 1:
		ts.Fatalf("usage: addhook NAME [terminate]")
	}
	ts.Check(of(ts).aws.PutHook("web", autoscaling.Hook{Name: args[0], Transition: transition}))
}

// terminate scales the instance in.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(of(ts).aws.Terminate(of(ts).instance.ID()))
}

// fault JSON scripts a misbehaviour of the loopback AWS; fault clear ends all.
func fault(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: fault JSON|clear")
	}
	if args[0] == "clear" {
		of(ts).aws.Faults().Clear()
		return
	}
	var f faults.Fault
	ts.Check(json.Unmarshal([]byte(args[0]), &f))
	of(ts).aws.Faults().Add(f)
}

// calls N SERVICE OPERATION [PATH] asserts how many requests there were since
// the last calls reset.
func calls(ts *testscript.TestScript, _ bool, args []string) {
	w := of(ts)
	if len(args) == 1 && args[0] == "reset" {
		w.aws.Calls().Reset()
		return
	}
	if len(args) < 3 {
		ts.Fatalf("usage: calls N SERVICE OPERATION [PATH]")
	}
	part := strings.Join(args[3:], "")
	got := len(w.aws.Calls().Filter(func(c faults.Call) bool {
		return c.Service == args[1] && c.Operation == args[2] && strings.Contains(c.Path, part)
	}))
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("%d calls of %s %s %s, want %s", got, args[1], args[2], part, args[0])
	}
}

// stack STATUS makes or moves the stack web, whose resource Group waits for one signal;
// stack STATUS SIGNAL asserts its status and what this instance has sent, or nothing.
func stack(ts *testscript.TestScript, _ bool, args []string) {
	stacks := of(ts).aws.Stacks()
	if len(args) == 1 {
		stacks.Put(cloudformation.Stack{Name: "web", Resource: "Group", Status: args[0]})
		return
	}
	s := stacks.Stack("web")
	if got := cmp.Or(s.Signals[of(ts).instance.ID()], "nothing"); s.Status != args[0] || got != args[1] {
		ts.Fatalf("the stack is %s and got %s, want %s and %s", s.Status, got, args[0], args[1])
	}
}

// answered SERVICE STATUS… asserts the statuses of all answers of a service since the
// calls were reset, in order.
func answered(ts *testscript.TestScript, _ bool, args []string) {
	var got []string
	for _, c := range of(ts).aws.Calls().Filter(func(c faults.Call) bool { return c.Service == args[0] }) {
		got = append(got, strconv.Itoa(c.Status))
	}
	if strings.Join(got, " ") != strings.Join(args[1:], " ") {
		ts.Fatalf("%s answered %v, want %v", args[0], got, args[1:])
	}
}

// flip PART changes one bit of every object whose key contains PART.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	s, n := of(ts).aws.S3(), 0
	for _, key := range s.Keys("releases") {
		if strings.Contains(key, args[0]) {
			n++
			s.Mutate("releases", key, func(data []byte) []byte {
				data = append([]byte(nil), data...)
				data[len(data)/2] ^= 1
				return data
			})
		}
	}
	if n == 0 {
		ts.Fatalf("no object with %q in its key", args[0])
	}
}

// replicate copies every object of the bucket "releases" to the bucket "mirror".
func replicate(ts *testscript.TestScript, _ bool, _ []string) {
	s := of(ts).aws.S3()
	for _, key := range s.Keys("releases") {
		data, _ := s.Object("releases", key)
		s.Put("mirror", key, data)
	}
}

// inflate VERSION signs a manifest anew, with the largest tree that is allowed: 1
// TiB, for which no machine with tests has room.
func inflate(ts *testscript.TestScript, _ bool, args []string) {
	s, at := of(ts).aws.S3(), "apps/web/"+artifacts.ManifestKey(args[0])
	key, err := readKey(ts.MkAbs("release.key"), os.ReadFile, artifacts.ParsePrivateKey)
	ts.Check(err)
	trust, err := artifacts.NewTrust(version, 1, key.Public())
	ts.Check(err)
	envelope, _ := s.Object("releases", at)
	verified, err := trust.Manifest(envelope, artifacts.Reference{App: "web", Version: args[0]})
	ts.Check(err)
	m := verified.Manifest()
	for i := range m.Artifacts {
		m.Artifacts[i].UnpackedBytes = 1 << 40
	}
	envelope, err = m.Sign(key)
	ts.Check(err)
	s.Put("releases", at, envelope)
}

// serves VERSION asserts the version that the app answers; serves nothing asserts
// that it does not answer.
func serves(ts *testscript.TestScript, _ bool, args []string) {
	got, err := ask(of(ts).addr)
	if err != nil {
		got = "nothing"
	}
	if got != args[0] {
		ts.Fatalf("the app answers %q (%v), want %q", got, err, args[0])
	}
}

// variable NAME FILE sets a variable to what a file contains.
func variable(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: variable NAME FILE")
	}
	ts.Setenv(args[0], ts.ReadFile(args[1]))
}

// policy FILE sets the policy of the bucket "releases".
func policy(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(of(ts).aws.S3().SetPolicy("releases", ts.ReadFile(args[0])))
}

// encrypted ALGORITHM [KEY] asserts what every object of the bucket "releases" is
// encrypted with.
func encrypted(ts *testscript.TestScript, _ bool, args []string) {
	s := of(ts).aws.S3()
	keys := s.Keys("releases")
	for _, name := range keys {
		algorithm, key, _ := s.Encryption("releases", name)
		if got := strings.TrimSpace(algorithm + " " + key); got != strings.Join(args, " ") {
			ts.Fatalf("%s is encrypted with %s", name, got)
		}
	}
	if len(keys) == 0 {
		ts.Fatalf("nothing is stored")
	}
}

// masked FILE OUT writes a file with everything masked that differs from run to
// run, to be compared with cmp.
func masked(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: masked FILE OUT")
	}
	text := mask(of(ts), ts.ReadFile(args[0]))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
