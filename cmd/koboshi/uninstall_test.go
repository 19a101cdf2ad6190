package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/loopback"
)

// numbered is an instance in this process that runs an app with a node id.
type numbered struct {
	*world
	t *testing.T
}

func newNumbered(t *testing.T) *numbered {
	t.Helper()
	aws, err := awstest.Start()
	must(t, err)
	t.Cleanup(aws.Close)
	aws.S3().CreateBucket("releases")
	must(t, aws.CreateGroup(autoscaling.Group{Name: "web"}))
	addr := loopback.Address()
	n := &numbered{&world{aws: aws, dir: t.TempDir(), addr: addr}, t}
	t.Cleanup(func() { stopApp(filepath.Join(n.dir, "app.pid")) })
	t.Chdir(n.dir)
	n.laptop(t.Setenv)
	must(t, writeKeys(n.dir))
	must(t, n.hurry())
	must(t, os.WriteFile("koboshi.d/10-stop.toml", []byte(`service.stop = ["env", "GORACE=atexit_sleep_ms=0", "testapp", "stop", "`+addr+`", "`+n.dir+`/app.pid"]`), 0o644))
	must(t, n.configure("[node_id]\nscope = \"web\"\nrange = [7, 7]\naware = true\n"))
	must(t, os.Mkdir("tree", 0o755))
	must(t, os.WriteFile("tree/VERSION", []byte("1"), 0o644))
	on := []string{"--source", "s3://releases/apps", "--app", "web", "--version", "1", "--key", "release.key"}
	n.koboshi(0, append([]string{"publish", "tree"}, on...)...)
	n.koboshi(0, append([]string{"promote", "--channel", "stable"}, on...)...)
	i, err := aws.Launch(autoscaling.LaunchOptions{Group: "web"})
	must(t, err)
	for _, pair := range i.Env() {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	n.watch()
	n.koboshi(0, "boot")
	return n
}

func (n *numbered) koboshi(want int, args ...string) string {
	n.t.Helper()
	var said bytes.Buffer
	if code := run(context.Background(), append([]string{"--config", "koboshi.toml"}, args...), strings.NewReader(""), &said, &said); code != want {
		n.t.Fatalf("%q: exit code %d, want %d: %s", args, code, want, &said)
	}
	return said.String()
}

// watch runs koboshi watch until the test ends.
func (n *numbered) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		run(ctx, []string{"--config", "koboshi.toml", "watch"}, strings.NewReader(""), io.Discard, io.Discard)
	})
	n.t.Cleanup(func() { cancel(); ended.Wait() })
}

// giveBack is what uninstall does first on a machine.
func (n *numbered) giveBack() (string, error) {
	var said bytes.Buffer
	c := &cli{ui: newUI(&said, &said), configFile: "koboshi.toml"}
	err := c.giveNodeIDBack(context.Background())
	return said.String(), err
}

// item is what the table has of the id.
func (n *numbered) item() string {
	data, _ := n.aws.S3().Object("releases", nodeKey("web", 7))
	return string(data)
}

func TestUninstallGivesNodeIDBack(t *testing.T) {
	n := newNumbered(t)
	said, err := n.giveBack()
	if err != nil || !strings.HasSuffix(said, "\nkoboshi: web is stopped, and its node id 7 given back\n") || !strings.Contains(n.item(), `"state":"free"`) {
		t.Errorf("%v, %q, in the table %s", err, said, n.item())
	}
	if answer, err := ask(n.addr); err == nil {
		t.Errorf("the app still answers %q", answer)
	}
	if said, err = n.giveBack(); err != nil || said != "" {
		t.Errorf("again: %v, %q", err, said)
	}
}

// An id that cannot be given back frees itself: the app is stopped all the same.
func TestUninstallWithTableAway(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	n := newNumbered(t)
	n.aws.Faults().Add(faults.Fault{Service: "s3", Path: "/nodes/", Status: http.StatusServiceUnavailable})
	said, err := n.giveBack()
	if err != nil || !strings.Contains(said, "koboshi: warning: web is stopped, and its node id 7 frees itself when its lease has ended: ") || !strings.Contains(n.item(), `"state":"held"`) {
		t.Errorf("%v, %q, in the table %s", err, said, n.item())
	}
}

// An app that does not stop keeps its id, and uninstall ends there.
func TestUninstallWithAppThatRuns(t *testing.T) {
	n := newNumbered(t)
	stop, err := os.ReadFile("koboshi.d/10-stop.toml")
	must(t, err)
	must(t, os.WriteFile("koboshi.d/10-stop.toml", []byte(`service.stop = ["false"]`), 0o644))
	if said, err := n.giveBack(); err == nil || !strings.Contains(n.item(), `"state":"held"`) {
		t.Errorf("%v, %q, in the table %s", err, said, n.item())
	}
	must(t, os.WriteFile("koboshi.d/10-stop.toml", stop, 0o644))
	if v := n.koboshi(0, "node-id", "show"); !strings.Contains(v, "id        7:") {
		t.Errorf("it shows %s", v)
	}
}

// Where there is nothing to give back uninstall goes on; what cannot be known is said.
func TestUninstallWithoutNodeID(t *testing.T) {
	for text, want := range map[string]string{
		"":        "",
		"app = 7": "koboshi: warning: a node id, if the app has one, is not given back, and frees itself when its lease has ended: ",
	} {
		t.Chdir(t.TempDir())
		if text != "" {
			must(t, os.WriteFile("koboshi.toml", []byte(text), 0o644))
		}
		n := &numbered{t: t}
		if said, err := n.giveBack(); err != nil || !strings.HasPrefix(said, want) || want == "" && said != "" {
			t.Errorf("%q: %v, %q", text, err, said)
		}
	}
}
