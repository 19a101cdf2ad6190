//go:build e2e

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/loopback"
	"koboshi/agent/failure"
	"koboshi/agent/guard"
)

// guarded is the release side of a group "web", whose clock can be moved on.
type guarded struct {
	*testing.T
	aws   *awstest.Server
	ahead atomic.Int64 // of the real time
	dir   string
	env   []string
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{T: t, dir: t.TempDir()}
	g.aws = awstest.New(t, awstest.WithClock(func() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) }))
	g.aws.S3().CreateBucket("releases")
	must(t, g.aws.CreateGroup(autoscaling.Group{Name: "web", Desired: 2}))
	g.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "GORACE=atexit_sleep_ms=0", "AWS_ENDPOINT_URL=" + g.aws.URL(),
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=user", "AWS_SECRET_ACCESS_KEY=password", "AWS_EC2_METADATA_DISABLED=true",
	}
	return g
}

func (g *guarded) pass(d time.Duration) { g.ahead.Add(int64(d)) }

// command is koboshi guard, with more of the environment.
func (g *guarded) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	at := append([]string{"guard", args[0], "--source", "s3://releases/apps", "--app", "web", "--group", "web"}, args[1:]...)
	cmd := exec.CommandContext(ctx, "koboshi", at...)
	cmd.Dir, cmd.Env = g.dir, append(append([]string{}, g.env...), env...)
	return cmd
}

// do runs it to its end.
func (g *guarded) do(args ...string) (code int, said string) {
	g.Helper()
	ctx, cancel := context.WithTimeout(g.Context(), 2*time.Minute)
	defer cancel()
	out, err := g.command(ctx, nil, args...).CombinedOutput()
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		return exit.ExitCode(), string(out)
	}
	must(g.T, err)
	return 0, string(out)
}

// killedAt runs a command of which the mock is the AWS, behind a proxy, and kills it with
// SIGKILL at its nth request, counted from 1: before that is passed on, or before its answer is. A
// command that makes fewer is not killed, and has to end well. calls is how many there were.
func killedAt(t *testing.T, mock string, n int, after bool, command func(endpoint string) *exec.Cmd) (calls int, killed bool) {
	t.Helper()
	target, err := url.Parse(mock)
	must(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // which is signed
	}}
	var mu sync.Mutex
	var cmd *exec.Cmd
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls < n || n == 0 {
			forward.ServeHTTP(w, r)
			return
		}
		if after && calls == n {
			forward.ServeHTTP(httptest.NewRecorder(), r)
		}
		_ = cmd.Process.Kill() // it has just ended at the worst
		panic(http.ErrAbortHandler)
	}))
	defer proxy.Close()
	mu.Lock()
	cmd = command(proxy.URL)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	mu.Unlock()
	err = cmd.Wait()
	killed = err != nil && cmd.ProcessState.ExitCode() < 0
	if err != nil && !killed {
		t.Fatalf("%q: %v: %s", cmd.Args, err, said.String())
	}
	mu.Lock()
	defer mu.Unlock()
	return calls, killed
}

// TestE2EGuardKilled kills koboshi guard run with SIGKILL before and after each of its
// requests, and repairs.
func TestE2EGuardKilled(t *testing.T) {
	kill := func(at int, after bool) (calls int, good bool) {
		g := newGuarded(t)
		must(t, g.aws.Model().Suspend("web", autoscaling.HealthCheck))
		before := fmt.Sprint(g.aws.Model().Suspended("web"))
		calls, killed := killedAt(t, g.aws.URL(), at, after, func(endpoint string) *exec.Cmd {
			return g.command(t.Context(), []string{"AWS_ENDPOINT_URL=" + endpoint}, "run", "--", "true")
		})
		if at == 0 {
			return calls, true
		}
		if !killed {
			t.Errorf("call %d, after %v: it was not killed", at, after)
		}
		g.pass(4 * time.Minute)
		if code, said := g.do("repair"); code != 0 {
			t.Errorf("call %d, after %v: repair: %d %s", at, after, code, said)
			return 0, false
		}
		if got := fmt.Sprint(g.aws.Model().Suspended("web")); got != before {
			t.Errorf("call %d, after %v: suspended %s, want %s", at, after, got, before)
			return 0, false
		}
		if code, said := g.do("run", "--", "true"); code != 0 {
			t.Errorf("call %d, after %v: the next run: %d %s", at, after, code, said)
			return 0, false
		}
		return 0, true
	}
	last, _ := kill(0, false)
	good, sum := 0, 0
	for at := 1; at <= last; at++ {
		for _, after := range []bool{false, true} {
			if sum++; second(kill(at, after)) {
				good++
			}
		}
	}
	t.Logf("%d of %d", good, sum)
	if good != sum || sum < 28 {
		t.Errorf("%d of %d", good, sum)
	}
}

func second[T any](_ T, good bool) bool { return good }

// TestE2EGuardLosesItsLease: a command with children that ignore SIGTERM is gone, with
// all of its process group, before the lease ends that could not be renewed.
func TestE2EGuardLosesItsLease(t *testing.T) {
	g := newGuarded(t)
	alive := filepath.Join(g.dir, "alive")
	must(t, syscall.Mkfifo(alive, 0o600))
	began, gone := make(chan struct{}), make(chan time.Time, 1)
	go func() {
		f, err := os.Open(alive)
		if err == nil {
			one := make([]byte, 1)
			_, _ = f.Read(one)
			close(began)
			_, _ = io.ReadAll(f) // until the last process that has it open has ended
			_ = f.Close()
		}
		gone <- time.Now()
	}()
	cmd := g.command(t.Context(), nil, "run", "--lease", "20s", "--json", "--",
		"sh", "-c", `exec 3>alive; (trap "" TERM; while :; do sleep 1; done) & trap "" TERM; echo >&3; while :; do sleep 1; done`)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	must(t, cmd.Start())
	<-began
	g.aws.Faults().Add(faults.Fault{Service: "s3", Operation: "PutObject", Path: "guard/", Status: 503, Code: "SlowDown"})
	ended := <-gone
	stored, _ := g.aws.S3().Object("releases", "apps/web/guard/web.json")
	record, err := guard.Parse(stored, "web")
	must(t, err)
	t.Logf("the command's processes have ended %s before the lease\n%s%s", record.Until.Sub(ended).Round(time.Millisecond), said.String(), out.String())
	if !ended.Before(record.Until) {
		t.Errorf("the last process has ended at %s, the lease at %s", ended, record.Until)
	}
	err = cmd.Wait()
	if exit, _ := errors.AsType[*exec.ExitError](err); exit == nil || exit.ExitCode() != int(failure.Lifecycle) {
		t.Errorf("%v: %s", err, said.String())
	}
	if !strings.Contains(out.String(), `"command":137,"ended":"lost"`) || len(g.aws.Model().Suspended("web")) > 0 {
		t.Errorf("%s; suspended %v", out.String(), g.aws.Model().Suspended("web"))
	}
}

// TestE2EGuardGateway keeps the lock in a real S3 server: of ten at once one runs, and
// what a killed one leaves is repaired.
func TestE2EGuardGateway(t *testing.T) {
	g := newGuarded(t)
	addr, _ := startGateway(t)
	g.env = append(g.env, "AWS_ENDPOINT_URL_S3=http://"+addr)
	if code, said := g.do("run", "--", "true"); code != 0 {
		t.Fatalf("%d: %s", code, said)
	}
	others := filepath.Join(g.dir, "others")
	must(t, syscall.Mkfifo(others, 0o600))
	var all sync.WaitGroup
	codes := make(chan int, 10)
	for range cap(codes) {
		all.Go(func() {
			code, said := g.do("run", "--", "sh", "-c", "read x <others")
			if code != 0 && code != int(failure.Locked) {
				t.Errorf("%d: %s", code, said)
			}
			codes <- code
		})
	}
	ran := 0
	for n := range cap(codes) {
		if n == cap(codes)-1 { // all others have found the group held
			must(t, os.WriteFile(others, []byte("done\n"), 0o600))
		}
		if <-codes == 0 {
			ran++
		}
	}
	all.Wait()
	t.Logf("%d of %d have run", ran, cap(codes))
	if ran != 1 || len(g.aws.Model().Suspended("web")) > 0 {
		t.Errorf("%d have run, suspended %v", ran, g.aws.Model().Suspended("web"))
	}
	cmd := g.command(t.Context(), nil, "run", "--", "sh", "-c", "echo; exec sleep 1000")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = out.Read(make([]byte, 1))
	must(t, err)
	must(t, cmd.Process.Kill())
	_, _ = io.ReadAll(out) // the command is killed with it
	_ = cmd.Wait()
	if code, said := g.do("repair"); code != int(failure.Locked) {
		t.Errorf("repair while the lease holds: %d %s", code, said)
	}
	if code, said := g.do("repair", "--force"); code != 0 || len(g.aws.Model().Suspended("web")) > 0 {
		t.Errorf("%d: %s; suspended %v", code, said, g.aws.Model().Suspended("web"))
	}
}

// startGateway starts a real S3 server with the bucket "releases", whose objects are files
// in a directory; its credentials are user and password. options are more of its arguments.
func startGateway(t *testing.T, options ...string) (addr, dir string) {
	t.Helper()
	gateway, err := exec.LookPath("versitygw")
	if err != nil {
		t.Fatalf("this test needs a real S3 server: make .build/versitygw (%v)", err)
	}
	addr, dir = loopback.Address(), t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "releases"), 0o755))
	args := append([]string{"--region", "us-east-1", "--port", addr, "--quiet", "posix"}, options...)
	server := exec.CommandContext(t.Context(), gateway, append(args, dir)...)
	server.Env = append(os.Environ(), "ROOT_ACCESS_KEY=user", "ROOT_SECRET_KEY=password")
	must(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr, filepath.Join(dir, "releases")
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(err)
		}
	}
}
