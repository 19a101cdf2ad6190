//go:build boottest

package boottest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/faults"
)

const (
	emissions  = "/var/log/web/emitted"
	nodeRecord = "var/lib/koboshi/web/node-id.json"
)

// generator is an app that emits with its node id all the time, and looks at no bounds.
// It goes on after SIGTERM until it is killed.
var generator = strings.Replace(webService, "User=daemon",
	"User=daemon\nLogsDirectory=web\nEnvironment=EMIT="+emissions+" STUBBORN=1\nTimeoutStopSec=2s\nRestart=always\nRestartSec=1s", 1)

// node is an image with node ids, and more lines for [node_id].
func node(lines string) files {
	return files{
		webUnit: generator, dropIn: "[node_id]\nscope = \"web\"\n" + lines,
		bootUnit + ".d/proc.conf": ownBootID, watchUnit + ".d/proc.conf": ownBootID,
	}
}

// ownBootID shows a unit the id of the boot. systemd-nspawn makes one for each by a mount
// in /proc, and these have a unit see a new /proc, with the id that this machine has.
const ownBootID = "[Service]\nProtectProc=default\nProtectKernelTunables=no\nProtectControlGroups=no\n"

// hasty has PID 1 stop the app seconds after a renewal that is the last: of the shortest
// lease that there is, 13 s.
const hasty = "lease = \"5m\"\nrenew = \"2s\"\nmargin = \"4m45s\"\n"

// stoppedIn is how long PID 1 may take to stop the generator: its TimeoutStopSec=, and some
// more on a machine that is busy.
const stoppedIn = 2*time.Second + 8*time.Second

// tenure is what the machine's record has of its lease.
type tenure struct {
	ID    int    `json:"id"`
	Gen   int64  `json:"gen"`
	Floor int64  `json:"floor_ms"`
	Until int64  `json:"until_ms"`
	Phase string `json:"phase"`
	Mark  int64  `json:"mark_ms"`
	Stop  int64  `json:"stop_ms"`
}

func (l *lab) tenure() (r tenure) {
	l.Helper()
	data, err := os.ReadFile(filepath.Join(l.root, nodeRecord))
	must(l.T, err)
	must(l.T, json.Unmarshal(data, &r))
	return r
}

// emission is one line of the app's.
type emission struct {
	id             int
	gen            int64
	notBefore, end int64 // as they were when the app was started
	at             int64
}

// emitted is what the machine's app has emitted so far. No id is used twice at one
// moment, or at one before its bounds.
func (l *lab) emitted() (all []emission) {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.root, emissions))
	must(l.T, err)
	seen := map[[2]int64]bool{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		var e emission
		if _, err := fmt.Sscan(line, &e.id, &e.gen, &e.notBefore, &e.end, &e.at); err != nil {
			l.Fatalf("emitted %q: %v", line, err)
		}
		if key := [2]int64{int64(e.id), e.at}; seen[key] {
			l.Errorf("emitted twice: %+v", e)
		} else {
			seen[key] = true
		}
		if e.at <= e.notBefore {
			l.Errorf("emitted before the bounds: %+v", e)
		}
		all = append(all, e)
	}
	return all
}

func (l *lab) last() emission {
	l.Helper()
	all := l.emitted()
	return all[len(all)-1]
}

// emitsAfter returns the first emission after a moment.
func (l *lab) emitsAfter(at int64) (first emission) {
	l.Helper()
	l.until(2*settleLimit, "the app emits again", func() bool {
		for _, e := range l.emitted() {
			if e.at > at {
				first = e
				return true
			}
		}
		return false
	})
	return first
}

// generating is a machine whose app emits with an id that it holds.
func generating(t *testing.T, lines string) *container {
	t.Helper()
	c := installed(t, node(lines))
	same(t, "the watch", c.active("koboshi-watch.service"), "active (running)")
	r, first := c.tenure(), c.emitsAfter(0)
	if r.Phase != "held" || first.id != r.ID || first.gen != r.Gen {
		t.Fatalf("the record is %+v, and the first emission %+v", r, first)
	}
	return c
}

// killAgent ends every process of koboshi's by SIGKILL, and keeps systemd from starting
// them again.
func (c *container) killAgent() {
	c.Helper()
	c.must("sh", "-c", `for u in boot watch; do mkdir -p /run/systemd/system/koboshi-$u.service.d
		printf '[Service]\nRestart=no\n' >/run/systemd/system/koboshi-$u.service.d/dead.conf; done; systemctl daemon-reload
		systemctl kill --signal=KILL koboshi-watch.service; systemctl kill --signal=KILL koboshi-boot.service; true`)
	c.until(settleLimit, "the watch is dead", func() bool { return c.active("koboshi-watch.service") == "failed (failed)" })
	same(c.T, "processes of koboshi", c.must("sh", "-c", "pgrep -c koboshi; true").out, "0\n")
}

func (c *container) reviveAgent() {
	c.Helper()
	c.must("sh", "-c", "rm -r /run/systemd/system/koboshi-*.service.d/dead.conf; systemctl daemon-reload; systemctl start koboshi-watch.service")
}

// With koboshi dead, PID 1 stops an app that ignores SIGTERM before its lease ends. Once
// a watch is there again, the app is, with the id that this machine still holds.
func TestNodeIDAgentKilled(t *testing.T) {
	t.Parallel()
	c := generating(t, hasty)
	before := c.tenure()
	c.until(settleLimit, "the lease is renewed", func() bool { return c.tenure().Until > before.Until })
	c.killAgent()
	r := c.tenure()
	c.until(settleLimit, "the app is stopped", func() bool { return c.active("web.service") == "failed (failed)" })
	last := c.last()
	if last.at > r.Until || last.at < r.Stop || last.at > r.Stop+stoppedIn.Milliseconds() {
		t.Errorf("the last emission was at %d, want it from %d to %s later, and not after %d", last.at, r.Stop, stoppedIn, r.Until)
	}
	t.Logf("FIGURE koboshi dead, SIGTERM ignored for 2 s: the last emission was %d ms after the stop was due, and %d ms before the end", last.at-r.Stop, r.Until-last.at)

	c.reviveAgent()
	again := c.emitsAfter(last.at)
	if again.id != last.id || again.gen != last.gen || again.notBefore < last.at {
		t.Errorf("the first emission after it is %+v, want the id and generation of %+v, and bounds from there on", again, last)
	}
	c.end("exit")
}

// While the table is down the app runs until its time is over, and is started again as soon
// as the table is there.
func TestNodeIDTableDown(t *testing.T) {
	t.Parallel()
	c := generating(t, hasty)
	c.aws.Faults().Add(faults.Fault{Service: "s3", Path: "/nodes/", Status: 503, Code: "SlowDown"})
	c.until(settleLimit, "the app is stopped", func() bool { return c.active("web.service") == "failed (failed)" })
	last := c.last()
	c.must("sh", "-c", "until [ $(systemctl show --value --property=ExecMainStatus koboshi-boot.service) = 22 ]; do sleep 0.2; done")
	same(t, "the app", c.active("web.service"), "failed (failed)")
	same(t, "the last emission", c.last(), last)
	c.aws.Faults().Clear()
	if again := c.emitsAfter(last.at); again.notBefore < last.at {
		t.Errorf("the first emission is %+v, want bounds from %d on", again, last.at)
	}
	c.end("exit")
}

// A machine that lost its power does not know how far it was: it has another id.
func TestNodeIDPowerCut(t *testing.T) {
	t.Parallel()
	c := generating(t, "")
	last := c.last()
	must(t, c.cut())
	_ = c.cmd.Wait() // it was killed
	c = c.start("exit")
	c.up()
	again := c.emitsAfter(c.last().at)
	if again.id == last.id {
		t.Errorf("after the power cut it emits as %+v, before it as %+v: want another id", again, last)
	}
	same(t, "held by the record", c.tenure().ID, again.id)
	c.end("exit")
}

// After a clean reboot the machine goes on with its id where it was, and asks no one.
func TestNodeIDReboot(t *testing.T) {
	for name, during := range map[string][]faults.Fault{"table there": nil, "table down": {{Service: "s3", Path: "/nodes/", Status: 503, Code: "SlowDown"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := generating(t, "")
			c.must("systemctl", "--no-block", "reboot")
			c.off(rebooted)
			last, down := c.last(), c.tenure()
			if down.Phase != "stopped" || down.Mark < last.at {
				t.Errorf("the record is %+v, and the last emission %+v", down, last)
			}
			for _, f := range during {
				c.aws.Faults().Add(f)
			}
			c.aws.Calls().Reset()
			c = c.start("exit")
			c.up()
			again := c.emitsAfter(last.at)
			if again.id != last.id || again.gen != last.gen || again.notBefore != down.Mark {
				t.Errorf("the first emission is %+v, want id and generation of %+v, and the floor %d", again, last, down.Mark)
			}
			c.wantNoTable()
			c.end("exit")
		})
	}
}

// wantNoTable: nothing was asked of the table of node ids.
func (l *lab) wantNoTable() {
	l.Helper()
	for _, c := range l.aws.Calls().Filter(func(c faults.Call) bool { return c.Service == "s3" && strings.Contains(c.Path+c.Query, "nodes") }) {
		l.Errorf("the table was asked: %s %s %s at %s", c.Operation, c.Path, c.Query, c.Time)
	}
}

// A socket of systemd's starts the app at any connection. It does not where the app is
// down for its node id: not after a stop by PID 1, and not between two starts.
func TestNodeIDSocket(t *testing.T) {
	t.Parallel()
	service := strings.Replace(generator, "[Service]\nType=exec", "Requires=web.socket\nAfter=web.socket\nStartLimitIntervalSec=0\n[Service]\nType=notify", 1)
	c := installed(t, node(hasty).with(files{socketUnit: webSocket, webUnit: service}))
	load := c.load("2")
	load.await("1.0.0")
	c.must("koboshi", "sync")
	c.killAgent()
	r := c.tenure()
	c.until(settleLimit, "the app is stopped", func() bool { return c.active("web.service") == "failed (failed)" })
	c.must("sleep", "3") // in which the load goes on
	same(t, "the app", c.active("web.service"), "failed (failed)")
	last := c.last()
	if last.at > r.Until || last.at > r.Stop+stoppedIn.Milliseconds() {
		t.Errorf("the last emission was at %d, want it no later than %s after %d", last.at, stoppedIn, r.Stop)
	}
	c.reviveAgent()
	load.await("1.0.0")
	c.end("exit")
}
