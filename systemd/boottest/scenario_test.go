//go:build boottest

package boottest

import (
	"strings"
	"testing"

	"koboshi/agent/awstest"
	"koboshi/agent/status"
)

// scenario is one launch of an instance.
type scenario struct {
	image     files  // over the standard one
	userData  string // "" = none
	baked     string // the version that the image has installed, "" = none
	channel   string // the version that the channel names at launch
	faults    []awstest.Fault
	meanwhile func(*container) // while the machine boots
	want      outcome
}

// outcome is what a launch must come to.
type outcome struct {
	exit    string // of the unit
	verdict status.Verdict
	hook    awstest.Result // what the hook was told
	state   awstest.State  // of the instance
	serves  string         // the version that answers, "" = none
	says    string         // on the console, in a line of koboshi's
}

// run boots a scenario and looks at how it ended. What it returns serves
// further questions.
func (s scenario) run(t *testing.T) (*lab, seen) {
	t.Helper()
	l := newLab(t, standard().with(s.image))
	if s.baked != "" {
		l.bake(s.baked)
	}
	l.promote(s.channel)
	for _, f := range s.faults {
		l.aws.Faults().Add(f)
	}
	l.aws.Calls().Reset()
	l.launch(s.userData)
	c := l.start("exit")
	if s.meanwhile != nil {
		s.meanwhile(c)
	}
	got := c.wait(0)
	s.want.check(l, got)
	return l, got
}

// bake makes the machine an image with a version installed: an instance that
// has served is taken for one, as an operator might.
func (l *lab) bake(version string) {
	l.Helper()
	l.promote(version)
	l.launch("")
	got := l.start("exit").wait(0)
	outcome{exit: "0", verdict: status.Fresh, hook: awstest.Continue, state: awstest.InService, serves: version,
		says: "web " + version + " serves (fresh"}.check(l, got)
	must(l.T, l.aws.Terminate(l.instance.ID()))
}

func (want outcome) check(l *lab, got seen) {
	l.Helper()
	same(l.T, "exit code", got.Units["koboshi-boot.service"]["ExecMainStatus"], want.exit)
	same(l.T, "verdict", got.Report.Verdict, want.verdict)
	same(l.T, "state", l.instance.State(), want.state)
	if actions := l.instance.Actions(); len(actions) != 1 || actions[0].Result != want.hook {
		l.Errorf("the hook was told %+v, want %s", actions, want.hook)
	}
	answer := "nothing"
	if want.serves != "" {
		answer = want.serves + " on " + l.instance.ID()
	}
	same(l.T, "answer", got.Answer, answer)
	if !strings.Contains(l.console(), "koboshi: "+want.says) {
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
