//go:build boottest

package boottest

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/report"
)

// scenario is one launch of an instance.
type scenario struct {
	image     files      // over the standard one
	prepare   func(*lab) // what else is done to the image
	userData  string     // "" = none
	baked     string     // the version that the image has installed, "" = none
	channel   string     // the version that the channel points to at launch
	faults    []faults.Fault
	metadata  time.Duration    // IMDS answers only so long after the start
	meanwhile func(*container) // while the machine boots
	want      outcome
}

// outcome is how a launch must end.
type outcome struct {
	exit    string // of the unit
	verdict report.Verdict
	result  autoscaling.Result // of the lifecycle action
	state   autoscaling.State  // of the instance
	runs    string             // the version that answers, "" = none
	says    string             // on the console, in a line of koboshi's
}

// run boots a scenario and checks how it ended. It returns the lab, and what the
// observer recorded, for further checks.
func (s scenario) run(t *testing.T) (*lab, seen) {
	t.Helper()
	l := newLab(t, standard().with(s.image))
	if s.prepare != nil {
		s.prepare(l)
	}
	if s.baked != "" {
		l.prebake(s.baked)
	}
	l.promote(s.channel)
	for _, f := range s.faults {
		l.aws.Faults().Add(f)
	}
	l.aws.Calls().Reset()
	c := s.start(l)
	if s.meanwhile != nil {
		s.meanwhile(c)
	}
	got := c.wait(0)
	s.want.check(l, got)
	return l, got
}

// start launches the instance and boots it, in this order unless the metadata
// are late.
func (s scenario) start(l *lab) *container {
	l.Helper()
	if s.metadata == 0 {
		l.launch(s.userData)
		return l.start("exit")
	}
	c := l.start("exit")
	<-time.After(s.metadata)
	l.launch(s.userData)
	return c
}

// prebake installs a version into the image as its builder does.
func (l *lab) prebake(version string) {
	l.Helper()
	l.promote(version)
	l.chroot("koboshi", "prebake")
}

// chroot runs a command in the image, as its builder does.
func (l *lab) chroot(args ...string) {
	l.Helper()
	cmd := exec.Command("chroot", append([]string{l.root}, args...)...)
	cmd.Env = append(builder(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	if out, err := cmd.CombinedOutput(); err != nil {
		l.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// inService is a launch that succeeded.
func inService(verdict report.Verdict, version string) outcome {
	return outcome{
		exit: "0", verdict: verdict, result: autoscaling.Continue, state: autoscaling.InService, runs: version,
		says: "web " + version + " is running (" + string(verdict),
	}
}

// abandoned is a launch that failed: the instance is not sent into service.
func abandoned(exit, runs, says string) outcome {
	return outcome{
		exit: exit, verdict: report.Failed, result: autoscaling.Abandon, state: autoscaling.Terminated, runs: runs,
		says: "error: " + says,
	}
}

func (want outcome) check(l *lab, got seen) {
	l.Helper()
	same(l.T, "exit code", got.Units["koboshi-boot.service"]["ExecMainStatus"], want.exit)
	same(l.T, "verdict", got.Report.Verdict, want.verdict)
	same(l.T, "state", l.instance.State(), want.state)
	if actions := l.instance.Actions(); len(actions) != 1 || actions[0].Result != want.result {
		l.Errorf("lifecycle actions are %+v, want one completed with %s", actions, want.result)
	}
	answer := "nothing"
	if want.runs != "" {
		answer = want.runs + " on " + l.instance.ID()
	}
	same(l.T, "answer", got.Answer, answer)
	said := l.said()
	l.Logf("it said:\n%s", said)
	if !strings.Contains(said, "koboshi: "+want.says) {
		l.Errorf("the console does not say %q", "koboshi: "+want.says)
	}
	if strings.Contains(l.journal(), "ordering cycle") {
		l.Error("systemd found an ordering cycle")
	}
}

func same[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}
