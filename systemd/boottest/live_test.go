//go:build boottest

package boottest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"koboshi/agent/report"
)

// notObserved is an image that stays up after its boot, for an operator.
var notObserved = files{wants + "observer.service": ""}

// live launches an instance whose channel points to 1.0.0, and returns once it has
// come up. Only end ends it.
func live(t *testing.T, image files) *container {
	t.Helper()
	l := newLab(t, standard().with(notObserved).with(image))
	l.promote("1.0.0")
	l.launch("")
	c := l.start("exit")
	c.up()
	return c
}

// up returns when all units of the machine have started or failed.
func (c *container) up() {
	c.Helper()
	c.until(settleLimit, "the machine has come up", func() bool {
		state := strings.TrimSpace(c.do("systemctl", "is-system-running", "--wait").out)
		return state == "running" || state == "degraded"
	})
}

// end makes the observer record the machine, and end it by a verb.
func (c *container) end(verb string) seen {
	c.Helper()
	code := 0
	if verb == "reboot" {
		code = rebooted
	}
	c.endBy(verb)
	c.must("systemctl", "start", "observer.service")
	return c.wait(code)
}

// ended is a command that ran in the machine.
type ended struct {
	out, err string
	code     int
}

// do runs a command in the machine, in a unit of its own as sshd or the SSM
// agent would.
func (c *container) do(args ...string) ended {
	c.Helper()
	return c.begin(args...)()
}

// begin is do that does not wait for the end.
func (c *container) begin(args ...string) (wait func() ended) {
	c.Helper()
	enter := []string{"--target", c.leader(), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wd", "--",
		"systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--setenv=AWS_ENDPOINT_URL=http://" + endpoint, "--"}
	cmd := exec.CommandContext(c.Context(), "nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	must(c.T, cmd.Start())
	return func() ended {
		_ = cmd.Wait() // its exit code is looked at
		return ended{out.String(), err.String(), cmd.ProcessState.ExitCode()}
	}
}

// leader is the process id of the machine's PID 1, the only child of
// systemd-nspawn.
func (c *container) leader() string {
	c.Helper()
	pid := fmt.Sprint(c.cmd.Process.Pid)
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	must(c.T, err)
	first, _, _ := strings.Cut(string(children), " ")
	return first
}

// exits runs a command that has to exit with a code.
func (c *container) exits(code int, args ...string) ended {
	c.Helper()
	e := c.do(args...)
	if e.code != code {
		c.Fatalf("%s exits with %d, want %d:\n%s%s", strings.Join(args, " "), e.code, code, e.out, e.err)
	}
	return e
}

func (c *container) must(args ...string) ended {
	c.Helper()
	return c.exits(0, args...)
}

// reports runs a command of koboshi that prints its report.
func (c *container) reports(code int, args ...string) (r report.Report) {
	c.Helper()
	e := c.exits(code, append(append([]string{"koboshi"}, args...), "--json")...)
	if err := json.Unmarshal([]byte(e.out), &r); err != nil {
		c.Fatalf("koboshi %s prints %q: %v", args[0], e.out, err)
	}
	return r
}

// life is what differs from one start of the app to the next.
func (c *container) life() string {
	c.Helper()
	return c.must("systemctl", "show", "--property=ActiveState,InvocationID,MainPID", "web.service").out
}
