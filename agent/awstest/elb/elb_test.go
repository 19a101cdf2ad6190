package elb

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/awstest/query"
)

const id = "i-0a5c0de0000000001"

func states(t *testing.T, b *Balancer, arn string, ids ...string) string {
	t.Helper()
	all, err := b.Health(arn, ids...)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, h := range all {
		out = append(out, strings.TrimSuffix(h.State+"/"+h.Reason, "/"))
	}
	return strings.Join(out, " ")
}

func created(t *testing.T, g Group) (*Balancer, string) {
	t.Helper()
	b := New(time.Now)
	arn, err := b.CreateGroup(g)
	if err != nil {
		t.Fatal(err)
	}
	return b, arn
}

// A target drains until the whole delay is over, and no shorter.
func TestLifeOfATarget(t *testing.T) {
	for delay, want := range map[time.Duration]time.Duration{0: 5 * time.Minute, 10 * time.Second: 10 * time.Second, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			b, arn := created(t, Group{Name: "web", Delay: delay, Initial: 3 * time.Second})
			expect := func(want string) {
				t.Helper()
				if got := states(t, b, arn, id); got != want {
					t.Errorf("delay %s: %s, want %s", delay, got, want)
				}
			}
			pass := func(d time.Duration) { <-time.After(d) }
			expect("unused/Target.NotRegistered")
			if err := b.Register(arn, id); err != nil {
				t.Fatal(err)
			}
			expect("initial/Elb.RegistrationInProgress")
			pass(3 * time.Second)
			expect("healthy")
			if err := b.SetHealth(arn, id, false); err != nil {
				t.Fatal(err)
			}
			expect("unhealthy/Target.FailedHealthChecks")
			if got := time.Until(b.Deregister(arn, id)); got != want {
				t.Errorf("delay %s: drained after %s", delay, got)
			}
			if want > 0 {
				pass(want - 1)
				expect("draining/Target.DeregistrationInProgress")
				if again := time.Until(b.Deregister(arn, id)); again != 1 {
					t.Errorf("delay %s: a second time begins it anew: %s left", delay, again)
				}
				pass(1)
			}
			expect("unused/Target.NotRegistered")
			if got := states(t, b, arn); got != "" {
				t.Errorf("delay %s: listed are %s", delay, got)
			}
		})
	}
}

func TestTargetThatIsRegisteredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, arn := created(t, Group{Name: "web", Delay: time.Minute})
		for range 2 {
			if err := b.Register(arn, id); err != nil || states(t, b, arn) != "healthy" {
				t.Errorf("%v, %s", err, states(t, b, arn))
			}
			b.Deregister(arn, id)
			<-time.After(59 * time.Second)
		}
	})
}

func TestGroupsThatCannotBe(t *testing.T) {
	b, arn := created(t, Group{Name: "web"})
	for _, g := range []Group{{}, {Name: "web"}, {Name: "a b"}, {Name: strings.Repeat("a", 33)}, {Name: "slow", Delay: time.Hour + 1}} {
		if _, err := b.CreateGroup(g); err == nil {
			t.Errorf("%+v was created", g)
		}
	}
	b.DeleteGroup(arn)
	_, err := b.Health(arn)
	if e, ok := errors.AsType[*query.Error](err); !ok || e.Code != "TargetGroupNotFound" {
		t.Errorf("%v", err)
	}
	if err := b.Register(arn, id); err == nil {
		t.Error("registered with a group that is gone")
	}
	if over := b.Deregister(arn, id); over.After(time.Now()) {
		t.Error("a group that is gone takes time")
	}
}
