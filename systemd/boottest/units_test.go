//go:build boottest

package boottest

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/faults"
	"koboshi/agent/report"
)

const (
	workerUnit = "/etc/systemd/system/worker.service"
	timerUnit  = "/etc/systemd/system/clean.timer"
	cleanUnit  = "/etc/systemd/system/clean.service"
)

// workerService has no port. A release that is lame makes it end after a while, again
// and again.
const workerService = `[Unit]
Description=The worker
[Service]
User=daemon
WorkingDirectory=/opt/koboshi/web/current
EnvironmentFile=/run/koboshi/web/env
ExecStart=/bin/sh -c 'if [ -e lame ]; then echo the queue is gone; sleep 0.3; exit 3; fi; cp VERSION /tmp/worker; exec sleep infinity'
Restart=always
RestartSec=500ms
`

// three is an app of a web server, a worker and a timer.
var three = files{
	workerUnit: workerService,
	timerUnit:  "[Timer]\nOnActiveSec=1h\n",
	cleanUnit:  "[Service]\nType=oneshot\nExecStart=/bin/true\n",
	config:     strings.Replace(koboshiToml, `unit     = "web.service"`, `units    = ["web.service", "worker.service", "clean.timer"]`, 1),
	dropIn:     "[health]\nbake = \"2s\"\n",
}

// all is what differs from one start of the three units to the next.
func (c *container) all() string {
	c.Helper()
	return c.must("systemctl", "show", "--property=Id,ActiveState,SubState,InvocationID", "web.service", "worker.service", "clean.timer").out
}

func (c *container) worker() string {
	c.Helper()
	return strings.TrimSpace(c.must("cat", "/tmp/worker").out)
}

// runAll expects the three units to run from a version.
func (c *container) runAll(version string) {
	c.Helper()
	state := c.must("systemctl", "show", "--value", "--property=ActiveState,SubState", "web.service", "worker.service", "clean.timer").out
	same(c.T, "the units", strings.Join(strings.Fields(state), " "), "active running active running active waiting")
	same(c.T, "the running version", c.version(), version)
	same(c.T, "the worker's version", c.worker(), version)
}

func TestUnits(t *testing.T) {
	t.Parallel()
	c := live(t, three)
	c.runAll("1.0.0")
	before := c.all()

	// A worker that crashes again and again, behind a web server that is healthy.
	c.promote("2.0.0-lame")
	r := c.reports(20, "sync")
	same(t, "verdict", r.Verdict, report.Failed)
	if text := r.Error.Message; !strings.Contains(text, "worker.service") || !strings.Contains(text, "the queue is gone") {
		t.Errorf("error: %s", text)
	}
	c.runAll("1.0.0")
	if c.all() == before {
		t.Error("nothing was put back")
	}

	c.promote("2.0.0")
	same(t, "sync", c.reports(0, "sync").Verdict, report.Fresh)
	c.runAll("2.0.0")
	before = c.all()
	same(t, "sync", c.reports(0, "sync").Verdict, report.Current)
	same(t, "the units", c.all(), before)

	// A unit that is missing ends the run before anything is touched.
	c.must("mv", workerUnit, "/root")
	c.must("systemctl", "daemon-reload")
	c.must("systemctl", "kill", "--signal=KILL", "worker.service")
	c.until(settleLimit, "the worker is gone", func() bool { return c.do("systemctl", "is-active", "worker.service").code != 0 })
	web := c.life()
	c.promote("1.0.0")
	if text := c.reports(19, "sync").Error.Message; !strings.Contains(text, "worker.service: no such unit") {
		t.Errorf("error: %s", text)
	}
	same(t, "the web server", c.life(), web)
	c.says("worker.service: ", "sh", "-c", "koboshi doctor; true")
	c.must("mv", "/root/worker.service", workerUnit)
	c.must("systemctl", "daemon-reload")

	// A timer or worker that was stopped is started again.
	c.must("systemctl", "stop", "clean.timer")
	same(t, "sync", c.reports(0, "sync").Verdict, report.Current)
	c.runAll("1.0.0")

	c.end("reboot")
	c = c.start("exit")
	c.up()
	c.runAll("1.0.0")
	c.end("exit")
}

// A worker that dies between the gate and CONTINUE is as bad as a web server that does.
func TestUnitsDieAfterTheGate(t *testing.T) {
	t.Parallel()
	throttled := faults.Fault{Service: "autoscaling", Operation: "CompleteLifecycleAction", Status: 400, Code: "Throttling"}
	scenario{
		image:   three.with(files{workerUnit: strings.Replace(workerService, "Restart=always", "", 1)}),
		channel: "1.0.0",
		faults:  []faults.Fault{throttled},
		meanwhile: func(c *container) {
			c.until(settleLimit, "CONTINUE was refused", func() bool {
				return len(c.aws.Calls().Filter(func(call faults.Call) bool { return call.Operation == throttled.Operation })) > 0
			})
			c.kill("worker.service", unix.SIGKILL)
			c.aws.Faults().Clear()
		},
		want: abandoned("20", "1.0.0", "just before CONTINUE: unhealthy: worker.service is failed (failed)"),
	}.run(t)
}

// An app that ends until all that it needs is there relies on Restart=, whether it
// says that it is ready or not.
func TestUnitsEndAtFirst(t *testing.T) {
	for _, kind := range []string{"exec", "notify"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			patient := strings.Replace(webService, "Type=exec", "Type="+kind+"\nRestart=always\nRestartSec=500ms", 1)
			l, _ := scenario{
				image: files{webUnit: strings.Replace(patient, "ExecStart=/opt/koboshi/web/current/web",
					"ExecStart=/bin/sh -c 'echo >>/tmp/starts; [ $(wc -l </tmp/starts) -gt 2 ] || { echo the database is not there; exit 4; }; exec ./web'", 1)},
				channel: "1.0.0",
				want:    inService(report.Fresh, "1.0.0"),
			}.run(t)
			if said := l.said(); !strings.Contains(said, "gate: not healthy yet: ") {
				t.Errorf("it does not say what it waits for:\n%s", said)
			}
		})
	}
}

// A worker without a port is watched.
func TestUnitsWithoutProbe(t *testing.T) {
	t.Parallel()
	image := files{
		workerUnit: workerService,
		config:     strings.NewReplacer(`unit     = "web.service"`, `unit     = "worker.service"`, `url      = "http://127.0.0.1:8080/healthz"`, "").Replace(koboshiToml),
		dropIn:     "[health]\nbake = \"2s\"\n",
	}
	c := live(t, image)
	same(t, "the worker's version", c.worker(), "1.0.0")
	c.promote("2.0.0-lame")
	r := c.reports(20, "sync")
	if text := r.Error.Message; !strings.Contains(text, "worker.service has ended (exit-code, status 3)") {
		t.Errorf("error: %s", text)
	}
	c.promote("2.0.0")
	same(t, "sync", c.reports(0, "sync").Verdict, report.Fresh)
	same(t, "the worker's version", c.worker(), "2.0.0")
	c.must("koboshi", "doctor")
	c.end("exit")
}

// What a release brings of its units goes and comes with it.
func TestUnitsOfTheRelease(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard().with(notObserved).with(three).with(files{
		webUnit: "", workerUnit: "", timerUnit: "", cleanUnit: "",
		dropIn: "[service]\nunit_files = [\"etc/web.service\", \"etc/worker.service\", \"etc/clean.timer\", \"etc/clean.service\"]\n[health]\nbake = \"2s\"\n",
	}))
	for version, flaw := range map[string]string{"units-1": "", "units-2": "lame", "units-3": ""} {
		more := files{
			"etc/worker.service": strings.Replace(workerService, "The worker", "The worker "+version, 1),
			"etc/clean.timer":    three[timerUnit], "etc/clean.service": three[cleanUnit],
		}
		if flaw != "" {
			more[flaw] = "x"
		}
		l.publishWith(version, more)
	}
	description := func(c *container) string {
		return strings.TrimSpace(c.must("systemctl", "show", "--value", "--property=Description", "worker.service").out)
	}
	l.promote("units-1")
	l.launch("")
	c := l.start("exit")
	c.up()
	c.runAll("units-1")
	c.promote("units-2")
	c.reports(20, "sync")
	c.runAll("units-1")
	same(t, "description", description(c), "The worker units-1")
	c.promote("units-3")
	same(t, "sync", c.reports(0, "sync").Verdict, report.Fresh)
	same(t, "description", description(c), "The worker units-3")
	c.end("exit")
}
