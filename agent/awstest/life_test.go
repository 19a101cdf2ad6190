package awstest

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/elb"
)

// shows asks an instance's metadata service; "" is no answer at all, as from a
// machine that is switched off.
func shows(t *testing.T, i *ec2.Instance, path string) string {
	t.Helper()
	ask := func(method, path, header, value string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, i.IMDSURL()+path, nil)
		check(t, err)
		r.Header.Set(header, value)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, ""
		}
		text, err := io.ReadAll(answer.Body)
		check(t, err)
		check(t, answer.Body.Close())
		return answer.StatusCode, string(text)
	}
	_, token := ask(http.MethodPut, "/latest/api/token", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
	status, text := ask(http.MethodGet, "/latest/meta-data/"+path, "X-Aws-Ec2-Metadata-Token", token)
	if status == http.StatusNotFound {
		return "404"
	}
	return text
}

const targetState = "autoscaling/target-lifecycle-state"

// TestStoppedMachine: no program can ask where none runs, and after the start there
// is the same instance.
func TestStoppedMachine(t *testing.T) {
	s := New(t)
	check(t, s.CreateGroup(autoscaling.Group{Name: "web", Pool: &autoscaling.Pool{Reuse: true}}))
	i, err := s.Launch(autoscaling.LaunchOptions{Group: "web", Warm: true})
	check(t, err)
	equal(t, i.State(), autoscaling.WarmedStopped)
	equal(t, shows(t, i, "instance-id"), "")
	on := make(chan error, 1)
	go func() { on <- i.AwaitPower(t.Context(), true) }()
	check(t, s.SetDesired("web", 1))
	check(t, <-on)
	equal(t, shows(t, i, "instance-id"), i.ID())
	equal(t, shows(t, i, targetState), "InService")
	check(t, s.Move(i.ID(), autoscaling.ToPool))
	equal(t, shows(t, i, targetState), "")
}

func TestSpot(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	s := New(t, WithClock(clock))
	check(t, s.CreateGroup(autoscaling.Group{Name: "web", Hooks: []autoscaling.Hook{{Name: "down", Transition: autoscaling.OnTerminate}}}))
	member, err := s.Launch(autoscaling.LaunchOptions{Group: "web", Spot: true})
	check(t, err)
	single, err := s.Launch(autoscaling.LaunchOptions{})
	check(t, err)
	equal(t, shows(t, member, "instance-life-cycle"), "spot")
	equal(t, shows(t, single, "instance-life-cycle"), "on-demand")

	check(t, s.Interrupt(member.ID(), ec2.Interruption{Notice: 10 * time.Second}))
	check(t, s.Interrupt(single.ID(), ec2.Interruption{Action: "stop", After: time.Minute}))
	const notice = "spot/instance-action"
	equal(t, shows(t, member, notice), "404")
	at := func(d time.Duration) string { return now.Add(d).UTC().Format("2006-01-02T15:04:05Z") }
	equal(t, shows(t, single, notice), `{"action":"stop","time":"`+at(time.Minute)+`"}`)
	want := `{"action":"terminate","time":"` + at(130*time.Second) + `"}`
	now = now.Add(10 * time.Second)
	equal(t, shows(t, member, notice), want)
	equal(t, shows(t, member, targetState), "InService")

	now = now.Add(time.Minute)
	equal(t, shows(t, single, notice), "")
	check(t, single.AwaitPower(t.Context(), false))
	check(t, s.Withdraw(single.ID()))
	equal(t, shows(t, single, notice), "404")
	now = now.Add(time.Minute)
	equal(t, shows(t, member, notice), "")
	equal(t, member.State(), autoscaling.TerminatingWait) // no one is left to complete it

	check(t, s.Rebalance(single.ID(), true))
	if got := shows(t, single, "events/recommendations/rebalance"); !strings.Contains(got, at(0)) {
		t.Errorf("recommendation: %s", got)
	}
	check(t, s.Rebalance(single.ID(), false))
	equal(t, shows(t, single, "events/recommendations/rebalance"), "404")
	if s.Interrupt(single.ID(), ec2.Interruption{Action: "reboot"}) == nil || s.Interrupt("i-none", ec2.Interruption{}) == nil {
		t.Error("an interruption that cannot be")
	}
}

// TestLoadBalancerOfAGroup: the hook waits once the targets have drained.
func TestLoadBalancerOfAGroup(t *testing.T) {
	now := time.Now()
	s := New(t, WithClock(func() time.Time { return now }))
	arn, err := s.Balancer().CreateGroup(elb.Group{Name: "blue", Delay: 10 * time.Second})
	check(t, err)
	check(t, s.CreateGroup(autoscaling.Group{Name: "web", TargetGroups: []string{arn}, Hooks: []autoscaling.Hook{{Name: "down", Transition: autoscaling.OnTerminate}}}))
	i, err := s.Launch(autoscaling.LaunchOptions{Group: "web"})
	check(t, err)
	health := func() string {
		all, err := s.Balancer().Health(arn, i.ID())
		check(t, err)
		return all[0].State
	}
	equal(t, health(), "healthy")
	check(t, s.Terminate(i.ID()))
	equal(t, health(), "draining")
	now = now.Add(10*time.Second - 1)
	equal(t, i.State(), autoscaling.Terminating)
	now = now.Add(1)
	equal(t, health(), "unused")
	equal(t, i.State(), autoscaling.TerminatingWait)
}
