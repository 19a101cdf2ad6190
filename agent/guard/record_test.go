package guard

import (
	"errors"
	"strings"
	"testing"
	"time"

	"koboshi/agent/group"
)

func TestRecord(t *testing.T) {
	r := Record{
		Group: "web", Fence: 42, State: Held, Holder: "ci-7@runner", Nonce: "N", Reason: "deploy 1.5.0", Acquired: epoch, Until: epoch.Add(2 * time.Minute),
		Want: []group.Process{group.AZRebalance}, Before: map[group.Process]string{group.Launch: reasonOf(0)}, Ours: map[group.Process]Claim{group.AZRebalance: Intent(epoch)},
	}
	text, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"schema":1,"group":"web","fence":42,"state":"held","holder":"ci-7@runner","nonce":"N","reason":"deploy 1.5.0","acquired":"2026-04-12T21:57:00Z",` +
		`"lease_until":"2026-04-12T21:59:00Z","want":["AZRebalance"],"before":{"Launch":"User suspended at 2026-04-12T21:57:00Z"},"ours":{"AZRebalance":"intent 2026-04-12T21:57:00Z"}}` + "\n"
	if string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
	again, err := Parse(text, "web")
	if err != nil || again.Fence != 42 || again.Ours[group.AZRebalance] != Intent(epoch) || !again.Until.Equal(r.Until) {
		t.Errorf("%+v, %v", again, err)
	}
	for _, tt := range []struct {
		old, new string
		want     error
	}{
		{want, "garbage", ErrRecord}, {want, "", ErrRecord}, {want, "{}", ErrRecord}, {want, "null", ErrRecord},
		{`"schema":1`, `"schema":2`, ErrNewer}, {`"schema":1`, `"schema":2,"what":"else"`, ErrNewer},
		{`"group":"web"`, `"group":"api"`, ErrRecord}, {`"state":"held"`, `"state":"lost"`, ErrRecord},
		{`"fence":42`, `"fence":-1`, ErrRecord}, {`"fence":42`, `"fence":42,"fence":43`, ErrRecord}, {`"fence":42`, `"Fence":42`, ErrRecord},
		{`,"lease_until":"2026-04-12T21:59:00Z"`, "", ErrRecord}, {`{"AZRebalance":"intent`, `{"Lunch":"intent`, ErrRecord},
		{"intent 2026-04-12T21:57:00Z", "intent soon", ErrRecord}, {"intent 2026-04-12T21:57:00Z", "", ErrRecord}, {"}\n", "}\n{}", ErrRecord},
	} {
		changed := strings.Replace(want, tt.old, tt.new, 1)
		if _, err := Parse([]byte(changed), "web"); !errors.Is(err, tt.want) {
			t.Errorf("%q for %q: %v, want %v", tt.new, tt.old, err, tt.want)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, name := range []string{"web", "web/blue", "..", "a%2Fb", "web.json", "~!@#$&*()"} {
		key := Key(name)
		if got, ok := GroupOf(key); got != name || !ok || strings.Count(key, "/") != 1 {
			t.Errorf("%q has key %q, of %q", name, key, got)
		}
	}
	for _, key := range []string{"guard/probe-x", "guard/.json", "releases/web.json", "guard/%zz.json"} {
		if name, ok := GroupOf(key); ok {
			t.Errorf("%q is of %q", key, name)
		}
	}
}

func TestReasons(t *testing.T) {
	quiet := Look{Group: group.Group{
		Name: "web", Desired: 1, Suspended: map[group.Process]string{group.AZRebalance: reasonOf(0)},
		Instances: []group.Instance{{ID: "i-1", State: "InService", Healthy: true}, {ID: "i-2", State: "Standby", Healthy: false}},
	}}
	for name, tt := range map[string]struct {
		change func(*Look)
		want   Code
		text   string
	}{
		"quiet": {func(*Look) {}, "", ""},
		"refresh": {func(l *Look) {
			l.Refreshes = []group.Refresh{{ID: "r-0", Status: "Successful"}, {ID: "r-1", Status: "Baking"}}
		}, Refresh, "instance refresh r-1 is Baking"},
		"activity":   {func(l *Look) { l.Activities = []group.Event{{Status: "PreInService", What: "Launching i-3"}} }, Activity, "Launching i-3 is PreInService"},
		"desired":    {func(l *Look) { l.Group.Desired = 2 }, Capacity, "1 in service, 2 desired"},
		"unhealthy":  {func(l *Look) { l.Group.Instances[0].Healthy = false }, Unhealthy, "unhealthy: i-1"},
		"launch":     {func(l *Look) { l.Group.Suspended[group.Launch] = reasonOf(0) }, Suspended, "Launch is suspended: " + reasonOf(0)},
		"terminate":  {func(l *Look) { l.Group.Suspended[group.Terminate] = "by hand" }, Suspended, "Terminate is suspended: by hand"},
		"pool":       {func(l *Look) { l.Group.Pool.Size = 2 }, WarmPool, "the warm pool has 2 that a deploy does not reach"},
		"pool goes":  {func(l *Look) { l.Group.Pool.Deleting = true }, WarmPool, "the warm pool is being deleted"},
		"codedeploy": {func(l *Look) { l.Deployments = []string{"d-1"} }, Deployment, "deployment d-1 is under way"},
		"transition": {func(l *Look) {
			l.Group.Instances = append(l.Group.Instances, group.Instance{ID: "i-3", State: "Pending:Wait", Healthy: true})
		}, Transition, "instance i-3 is Pending:Wait"},
	} {
		l := quiet
		l.Group.Instances = append([]group.Instance{}, quiet.Group.Instances...)
		l.Group.Suspended = map[group.Process]string{group.AZRebalance: reasonOf(0)}
		tt.change(&l)
		got := l.Reasons(Record{}, nil)
		if tt.want == "" {
			if len(got) > 0 {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Code != tt.want || got[0].Text != tt.text {
			t.Errorf("%s: %+v, want %s %q", name, got, tt.want, tt.text)
		}
		if got := l.Reasons(Record{}, []Code{tt.want}); len(got) > 0 {
			t.Errorf("%s: allowed: %+v", name, got)
		}
	}
	l := quiet
	l.Group.Suspended = map[group.Process]string{group.Launch: reasonOf(0)}
	if got := l.Reasons(Record{Ours: map[group.Process]Claim{group.Launch: Claim(reasonOf(0))}}, nil); len(got) > 0 {
		t.Errorf("what the holder has suspended: %+v", got)
	}
}

func TestHolders(t *testing.T) {
	c := Claimant{Holder: "ci", Reason: "deploy", Lease: 2 * time.Minute}
	held, err := Record{Group: "web", State: Released, Fence: 6}.Acquire(c, 0, epoch)
	if err != nil || held.Fence != 7 || !held.Until.Equal(epoch.Add(2*time.Minute)) {
		t.Fatalf("%+v, %v", held, err)
	}
	if r, _ := (Record{Group: "web", State: Released, Fence: 6}).Acquire(c, 9, epoch); r.Fence != 9 {
		t.Errorf("the fence is %d, want that of all groups", r.Fence)
	}
	for after, want := range map[time.Duration]string{
		0:                           "group web is held by ci (deploy) until 2026-04-12T21:59:00Z, fence 7",
		2*time.Minute - time.Second: "group web is held by ci (deploy) until 2026-04-12T21:59:00Z, fence 7",
		2 * time.Minute:             "group web was held by ci (deploy), whose lease ended at 2026-04-12T21:59:00Z, and was not put back",
	} {
		_, err := held.Acquire(c, 0, epoch.Add(after))
		refused, ok := errors.AsType[*HeldError](err)
		if !ok || refused.Error() != want || !strings.Contains(refused.Advice(), "repair") {
			t.Errorf("after %s: %v", after, err)
		}
	}
	if _, err := held.TakeOver("ops", time.Minute, false, epoch.Add(3*time.Minute-time.Second)); err == nil {
		t.Error("repaired before a minute after the lease")
	}
	for _, force := range []bool{false, true} {
		at := epoch
		if !force {
			at = epoch.Add(3 * time.Minute)
		}
		if r, err := held.TakeOver("ops", time.Minute, force, at); err != nil || r.Fence != 8 || r.Holder != "ops" || !r.Until.Equal(at.Add(time.Minute)) {
			t.Errorf("force %v: %+v, %v", force, r, err)
		}
	}
}
