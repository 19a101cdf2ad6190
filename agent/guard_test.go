package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/codedeploy"
	"koboshi/agent/awstest/query"
	"koboshi/agent/awstest/s3"
	"koboshi/agent/group"
	"koboshi/agent/guard"
	buckets3 "koboshi/artifacts/bucket/s3"
)

// guardWorld is the mock's S3, Auto Scaling and CodeDeploy, without a network and in the
// test's own time. The clocks of AWS's services and of S3 may be others.
type guardWorld struct {
	*testing.T
	model   *autoscaling.Model
	scaling *query.API
	objects *s3.Store
	deploys *codedeploy.Store
	skew    time.Duration // of Auto Scaling's clock
	off     time.Duration // of S3's

	mu      sync.Mutex
	said    []string
	refuse  func(service, operation string, n int) (status int, code string) // "" = answer
	tallies map[string]int
}

func newGuardWorld(t *testing.T, groups ...autoscaling.Group) *guardWorld {
	t.Helper()
	w := &guardWorld{T: t, deploys: codedeploy.New(), tallies: map[string]int{}}
	w.objects = s3.New(func() time.Time { return time.Now().Add(w.off) })
	w.objects.CreateBucket("releases")
	w.model = autoscaling.New(func() time.Time { return time.Now().Add(w.skew) }, func(*autoscaling.Instance, autoscaling.LaunchOptions) error { return nil })
	t.Cleanup(w.model.Close)
	w.scaling = autoscaling.NewAPI(w.model)
	if len(groups) == 0 {
		groups = []autoscaling.Group{{Name: "web", Desired: 2}}
	}
	for _, g := range groups {
		if err := w.model.CreateGroup(g); err != nil {
			t.Fatal(err)
		}
	}
	w.refuse = func(string, string, int) (int, string) { return 0, "" }
	return w
}

// line is one process's connection to the world, which may be cut: the process is dead.
type line struct {
	*guardWorld
	mu    sync.Mutex
	calls []string
	cut   int  // at this call, counted from 1; 0 = never
	after bool // the call still takes effect
	dead  context.Context
	kill  context.CancelFunc
}

func (w *guardWorld) line() *line {
	l := &line{guardWorld: w}
	l.dead, l.kill = context.WithCancel(context.Background())
	return l
}

// Do implements aws.HTTPClient. A call takes 20 ms. A dead process gets no answer.
func (l *line) Do(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-l.dead.Done():
		return nil, context.Canceled
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	service, operation := "s3", r.Method
	w := httptest.NewRecorder()
	switch {
	case query.Is(r):
		if err := query.ParseForm(w, r); err != nil {
			return nil, err
		}
		service, operation = "autoscaling", r.PostForm.Get("Action")
	case r.Header.Get("X-Amz-Target") != "":
		service, operation = "codedeploy", "ListDeployments"
	}
	l.mu.Lock()
	l.calls = append(l.calls, operation)
	n := len(l.calls)
	l.mu.Unlock()
	if n == l.cut && !l.after {
		l.kill()
		return nil, context.Canceled
	}
	l.answer(w, r, service, operation)
	if n == l.cut {
		l.kill()
		return nil, context.Canceled
	}
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

func (w *guardWorld) answer(out http.ResponseWriter, r *http.Request, service, operation string) {
	w.mu.Lock()
	w.tallies[operation]++
	status, code := w.refuse(service, operation, w.tallies[operation])
	w.mu.Unlock()
	deploys := w.deploys.API()
	at := time.Now().Add(w.off)
	if service != "s3" {
		at = time.Now().Add(w.skew)
	}
	out.Header().Set("Date", at.UTC().Format(http.TimeFormat))
	switch {
	case status != 0 && service == "s3":
		s3.WriteError(out, r, status, code, "refused by the test")
	case status != 0 && service == "codedeploy":
		deploys.Fail(out, r, status, code, "refused by the test")
	case status != 0:
		w.scaling.Fail(out, r, status, code, "refused by the test")
	case service == "s3":
		w.objects.ServeHTTP(out, r)
	case service == "codedeploy":
		deploys.ServeHTTP(out, r)
	default:
		w.scaling.ServeHTTP(out, r)
	}
}

// guard is a process's guard of the group "web".
func (l *line) guard(holder string) *Guard {
	retryer := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 8, 8*time.Second, ratelimit.NewTokenRateLimit(500)
	})
	cfg := aws.Config{
		Region: "us-east-1", HTTPClient: l, BaseEndpoint: aws.String("http://127.0.0.1"), Retryer: func() aws.Retryer { return retryer },
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}
	return &Guard{
		Records: buckets3.New(cfg, "releases", "apps/web"), Scaling: group.New(cfg), Groups: []string{"web"}, Holder: holder, Reason: "a test",
		Suspend: []group.Process{group.AlarmNotification, group.AZRebalance}, Lease: 2 * time.Minute, Wait: 10 * time.Minute,
		Observe: func(group, line string) { l.say(group + ": " + line) },
	}
}

func (w *guardWorld) say(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, line)
}

// program is a command that ends by itself after a while, or by a signal.
type program struct {
	takes time.Duration
	deaf  bool // to SIGTERM
	do    func()

	mu     sync.Mutex
	env    []string
	got    []os.Signal
	killed time.Time
	done   chan struct{}
	code   int
}

func (p *program) start(l *line) func([]string) (Started, error) {
	return func(env []string) (Started, error) {
		p.env, p.done = env, make(chan struct{})
		if p.do != nil {
			p.do()
		}
		go func() {
			select {
			case <-time.After(p.takes):
				p.end(p.code)
			case <-l.dead.Done():
				p.end(137)
			case <-p.done:
			}
		}()
		return p, nil
	}
}

func (p *program) end(code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
	default:
		p.code = code
		p.killed = time.Now()
		close(p.done)
	}
}

func (p *program) Signal(s os.Signal) {
	p.mu.Lock()
	p.got = append(p.got, s)
	deaf := p.deaf
	p.mu.Unlock()
	if number, ok := s.(syscall.Signal); ok && (!deaf || s == syscall.SIGKILL) {
		p.end(128 + int(number))
	}
}

func (p *program) Done() <-chan struct{} { return p.done }

func (p *program) Code() int { <-p.done; return p.code }

// run runs a program under guard.
func (l *line) run(p *program) (GuardOutcome, error) {
	return l.guard("ci").Run(l.dead, GuardedCommand{Start: p.start(l)})
}

// suspended are the suspended processes of web, with their reasons.
func (w *guardWorld) suspended() string {
	var all []string
	for p, reason := range w.model.Suspended("web") {
		all = append(all, string(p)+" "+reason)
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func (w *guardWorld) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func elapse(d time.Duration) { <-time.After(d) }

// A run around a quiet group takes 14 calls, a check four, or five with CodeDeploy.
func TestGuardRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t)
		w.check(w.deploys.Set("shop", "blue"))
		w.check(w.model.Suspend("web", autoscaling.HealthCheck))
		before := w.suspended()
		for round, most := range []int{17, 14} {
			l := w.line()
			p := &program{takes: time.Second, code: 3, do: func() {
				if got := w.suspended(); !strings.Contains(got, "AZRebalance") || !strings.Contains(got, "AlarmNotification") || strings.Contains(got, "Launch") {
					t.Errorf("suspended while it runs: %s", got)
				}
			}}
			out, err := l.run(p)
			w.check(err)
			if !out.Started || out.Code != 3 || out.Ending != ByItself || out.Held[0].Fence != int64(round+1) {
				t.Errorf("%+v", out)
			}
			if want := []string{fmt.Sprintf("KOBOSHI_GUARD_FENCE=%d", round+1), "KOBOSHI_GUARD_GROUP=web"}; !slices.Equal(p.env, want) {
				t.Errorf("environment %q", p.env)
			}
			if got := w.suspended(); got != before {
				t.Errorf("afterwards %s, want %s", got, before)
			}
			t.Logf("run %d: %d calls: %s", round+1, len(l.calls), strings.Join(l.calls, " "))
			if len(l.calls) > most {
				t.Errorf("%d calls, want at most %d", len(l.calls), most)
			}
		}
		l := w.line()
		g := l.guard("ci")
		g.Application, g.Deployments = "shop", "blue"
		all, err := g.Check(t.Context())
		w.check(err)
		t.Logf("check: %d calls: %s", len(l.calls), strings.Join(l.calls, " "))
		if len(l.calls) > 5 || !all[0].Safe {
			t.Errorf("%d calls, %+v", len(l.calls), all)
		}
	})
}

// died lets a process run until the line is cut, and repairs after it.
func (w *guardWorld) died(cut int, after bool, meanwhile func(*guardWorld) error, force bool) {
	w.Helper()
	l := w.line()
	l.cut, l.after = cut, after
	_, _ = l.run(&program{takes: time.Second}) // it is dead: its error is no one's
	if !force {
		elapse(2 * time.Minute)
	}
	if meanwhile != nil {
		w.check(meanwhile(w))
	}
	if !force {
		elapse(2 * time.Minute)
	}
	if _, err := w.line().guard("ops").Repair(context.Background(), force); err != nil {
		w.Errorf("call %d, after %v: repair: %v", cut, after, err)
	}
}

// A process that is killed before or after any of its calls leaves nothing that repair
// does not put back, and nothing is touched that others have suspended.
func TestGuardKilledAtEveryCall(t *testing.T) {
	const rebalance, health = autoscaling.AZRebalance, autoscaling.HealthCheck
	for name, tt := range map[string]struct {
		before    []autoscaling.Process
		meanwhile func(*guardWorld) error // two minutes after it was killed
		adds      []autoscaling.Process   // what is suspended by that
		force     bool
		lag       time.Duration
	}{
		"nothing else":                   {},
		"forced":                         {force: true},
		"another's before":               {before: []autoscaling.Process{rebalance, health}},
		"another's before, stale, force": {before: []autoscaling.Process{rebalance}, lag: 30 * time.Second, force: true},
		"stale":                          {lag: 30 * time.Second},
		"one added":                      {meanwhile: func(w *guardWorld) error { return w.model.Suspend("web", health) }, adds: []autoscaling.Process{health}},
		"one resumed by hand":            {meanwhile: func(w *guardWorld) error { return w.model.Resume("web", rebalance) }},
		"resumed and suspended again": {meanwhile: func(w *guardWorld) error {
			return errors.Join(w.model.Resume("web", rebalance), w.model.Suspend("web", rebalance))
		}, adds: []autoscaling.Process{rebalance}},
	} {
		t.Run(name, func(t *testing.T) {
			sum, good := 0, 0
			for cut, last := 1, 1; cut <= last; cut++ {
				for _, after := range []bool{false, true} {
					synctest.Test(t, func(t *testing.T) {
						w := newGuardWorld(t)
						if len(tt.before) > 0 {
							w.check(w.model.Suspend("web", tt.before...))
							elapse(time.Hour)
						}
						want := append(slices.Clone(tt.before), tt.adds...)
						if cut == 1 && !after { // how many calls are there?
							l := w.line()
							_, err := l.run(&program{takes: time.Second})
							w.check(err)
							last = len(l.calls)
							elapse(time.Minute)
						}
						w.model.SetLag(tt.lag)
						w.died(cut, after, tt.meanwhile, tt.force)
						sum++
						if got := slices.Sorted(maps.Keys(w.model.Suspended("web"))); !slices.Equal(got, want) {
							t.Errorf("killed at call %d, after it %v: suspended %q, want %q", cut, after, got, want)
							return
						}
						l := w.line() // and the group is free
						w.model.SetLag(0)
						if _, err := l.run(&program{takes: time.Second}); err != nil {
							t.Errorf("killed at call %d, after it %v: the next run: %v", cut, after, err)
							return
						}
						good++
					})
				}
			}
			t.Logf("%d of %d", good, sum)
			if good != sum || sum < 20 {
				t.Errorf("%d of %d", good, sum)
			}
		})
	}
}

// What others do meanwhile stays as they want it.
func TestGuardLeavesOthersAlone(t *testing.T) {
	const rebalance, alarms, launch = autoscaling.AZRebalance, autoscaling.AlarmNotification, autoscaling.Launch
	for name, tt := range map[string]struct {
		meanwhile func(m *autoscaling.Model) error
		want      []autoscaling.Process
		says      string
	}{
		"one added":           {func(m *autoscaling.Model) error { return m.Suspend("web", launch) }, []autoscaling.Process{launch}, ""},
		"one resumed by hand": {func(m *autoscaling.Model) error { return m.Resume("web", rebalance) }, nil, "left AZRebalance alone: someone has resumed it"},
		"all resumed by hand": {func(m *autoscaling.Model) error { return m.Resume("web") }, nil, "someone has resumed it"},
		"resumed and suspended again": {func(m *autoscaling.Model) error {
			return errors.Join(m.Resume("web", alarms), m.Suspend("web", alarms))
		}, []autoscaling.Process{alarms}, "left AlarmNotification alone: someone else suspended it"},
		"suspended on top, not renewing": {func(m *autoscaling.Model) error { return m.Suspend("web", alarms) }, nil, "resumed AZRebalance, AlarmNotification"},
	} {
		for _, killed := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newGuardWorld(t)
				l := w.line()
				p := &program{takes: 2 * time.Hour, do: func() {
					time.AfterFunc(90*time.Minute, func() {
						if err := tt.meanwhile(w.model); err != nil {
							t.Error(err)
						}
						if killed {
							l.kill()
						}
					})
				}}
				_, err := l.run(p)
				if !killed {
					w.check(err)
				} else {
					elapse(4 * time.Minute)
					_, err := w.line().guard("ops").Repair(t.Context(), false)
					w.check(err)
				}
				got := slices.Sorted(maps.Keys(w.model.Suspended("web")))
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s, killed %v: suspended %v, want %v", name, killed, got, tt.want)
				}
				if !strings.Contains(strings.Join(w.said, "\n"), tt.says) {
					t.Errorf("%s, killed %v: %q is not in %q", name, killed, tt.says, w.said)
				}
			})
		}
	}
}

// Of many at once one runs; the others learn who does.
func TestGuardsAtOnce(t *testing.T) {
	for _, n := range []int{2, 20} {
		synctest.Test(t, func(t *testing.T) {
			w := newGuardWorld(t)
			var mu sync.Mutex
			ran, held, at := 0, 0, 0
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					g := w.line().guard(fmt.Sprintf("ci-%d", i))
					p := &program{takes: time.Minute}
					p.do = func() {
						mu.Lock()
						defer mu.Unlock()
						if at++; at > 1 {
							t.Error("two run at once")
						}
					}
					_, err := g.Run(t.Context(), GuardedCommand{Start: p.start(w.line())})
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						ran++
						at--
						return
					}
					if _, is := errors.AsType[*guard.HeldError](err); is {
						held++
						return
					}
					t.Errorf("%d: %v", i, err)
				})
			}
			all.Wait()
			t.Logf("%d guards: %d ran, %d found the group held", n, ran, held)
			if ran != 1 || held != n-1 || w.suspended() != "" {
				t.Errorf("%d ran, %d held, suspended %s", ran, held, w.suspended())
			}
		})
	}
}

// A holder that cannot renew its lease ends its command before the lease ends.
func TestGuardThatLosesItsLease(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newGuardWorld(t)
			p := &program{takes: time.Hour, deaf: deaf}
			var began time.Time
			p.do = func() {
				began = time.Now()
				w.mu.Lock()
				defer w.mu.Unlock()
				w.refuse = func(service, operation string, _ int) (int, string) {
					if service == "s3" && operation == http.MethodPut && time.Since(began) < 10*time.Minute {
						return http.StatusServiceUnavailable, "SlowDown"
					}
					return 0, ""
				}
			}
			out, err := w.line().run(p)
			took := p.killed.Sub(began)
			t.Logf("deaf to SIGTERM %v: the command has ended after %s by %v; %v", deaf, took, p.got, err)
			if out.Ending != ByLoss || took > 2*time.Minute || p.got[0] != syscall.SIGTERM || p.got[len(p.got)-1] != syscall.SIGKILL {
				t.Errorf("%+v after %s, signals %v", out, took, p.got)
			}
			if deaf == (out.Code == 128+15) {
				t.Errorf("code %d", out.Code)
			}
			if w.suspended() != "" { // Auto Scaling was there
				t.Errorf("suspended: %s", w.suspended())
			}
			if !errors.Is(err, guard.ErrNotRestored) { // but the lock was not released
				t.Errorf("error %v", err)
			}
			elapse(15 * time.Minute)
			_, err = w.line().guard("ops").Repair(t.Context(), false)
			w.check(err)
		})
	}
}

// A repair that is forced ends the holder's command.
func TestGuardThatIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t)
		p := &program{takes: time.Hour}
		p.do = func() {
			time.AfterFunc(10*time.Minute, func() {
				restored, err := w.line().guard("ops").Repair(context.Background(), true)
				if err != nil || len(restored[0].Resumed) != 2 || restored[0].Was != "ci" {
					t.Errorf("%+v, %v", restored, err)
				}
			})
		}
		began := time.Now()
		out, err := w.line().run(p)
		if took := time.Since(began); out.Ending != ByLoss || took > 11*time.Minute || !errors.Is(err, guard.ErrNotRestored) {
			t.Errorf("%+v after %s: %v", out, took, err)
		}
		if w.suspended() != "" {
			t.Errorf("suspended: %s", w.suspended())
		}
	})
}

// What AWS answers late, throttled or by another clock changes nothing but the time.
func TestGuardInTrouble(t *testing.T) {
	throttled := func(service, operation string, n int) (int, string) {
		switch {
		case n%3 == 0:
			return 0, ""
		case service == "s3":
			return http.StatusServiceUnavailable, "SlowDown"
		}
		return http.StatusBadRequest, "Throttling"
	}
	for name, tt := range map[string]struct {
		change func(*guardWorld)
		failed bool
	}{
		"Describe is stale for 30 s":    {func(w *guardWorld) { w.model.SetLag(30 * time.Second) }, false},
		"throttled throughout":          {func(w *guardWorld) { w.refuse = throttled }, false},
		"stale and throttled":           {func(w *guardWorld) { w.model.SetLag(30 * time.Second); w.refuse = throttled }, false},
		"Auto Scaling is 10 min ahead":  {func(w *guardWorld) { w.skew = 10 * time.Minute }, false},
		"Auto Scaling is 10 min behind": {func(w *guardWorld) { w.skew = -10 * time.Minute }, false},
		"S3 is 10 min ahead":            {func(w *guardWorld) { w.off = 10 * time.Minute }, false},
		"S3 is behind, the other ahead": {func(w *guardWorld) { w.off, w.skew = -10*time.Minute, 10*time.Minute }, false},
		"Resume fails 5 times":          {func(w *guardWorld) { w.refuse = resumeFails(5) }, false},
		"Resume is throttled 5 times":   {func(w *guardWorld) { w.refuse = resumeFails(5) }, false},
		"Resume fails 20 times":         {func(w *guardWorld) { w.refuse = resumeFails(20) }, false},
		"Resume fails for good":         {func(w *guardWorld) { w.refuse = resumeFails(1 << 30) }, true},
		"every tenth answer is a failure": {func(w *guardWorld) {
			w.refuse = func(service, operation string, n int) (int, string) {
				if n%10 == 9 {
					return http.StatusInternalServerError, "InternalError"
				}
				return 0, ""
			}
		}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newGuardWorld(t)
			tt.change(w)
			began := time.Now()
			out, err := w.line().run(&program{takes: 5 * time.Minute, code: 7})
			t.Logf("%s: %s, %v", name, time.Since(began).Round(time.Second), err)
			if !out.Started || out.Code != 7 || out.Ending != ByItself || errors.Is(err, guard.ErrNotRestored) != tt.failed {
				t.Errorf("%s: %+v, %v", name, out, err)
			}
			if (w.suspended() != "") != tt.failed {
				t.Errorf("%s: suspended %s", name, w.suspended())
			}
			if !tt.failed {
				return
			}
			w.refuse = func(string, string, int) (int, string) { return 0, "" }
			elapse(5 * time.Minute)
			_, err = w.line().guard("ops").Repair(t.Context(), false)
			w.check(err)
			if w.suspended() != "" {
				t.Errorf("%s: after repair %s", name, w.suspended())
			}
		})
	}
}

func resumeFails(times int) func(string, string, int) (int, string) {
	return func(_, operation string, n int) (int, string) {
		if operation == "ResumeProcesses" && n <= times {
			return http.StatusInternalServerError, "InternalFailure"
		}
		return 0, ""
	}
}

// A group that is not quiet is waited for, and nothing is suspended meanwhile.
func TestGuardWaits(t *testing.T) {
	hooks := []autoscaling.Hook{{Name: "up", Transition: autoscaling.OnLaunch, HeartbeatTimeout: 5 * time.Minute, DefaultResult: autoscaling.Continue}}
	for name, tt := range map[string]struct {
		wait    time.Duration
		allow   []guard.Code
		change  func(*guardWorld)
		want    error
		started bool
	}{
		"until it is quiet":   {wait: 10 * time.Minute, started: true},
		"not so long":         {wait: time.Minute, want: guard.ErrNotQuiet},
		"not at all":          {want: guard.ErrNotQuiet},
		"it is allowed":       {allow: []guard.Code{guard.Activity, guard.Transition, guard.Capacity}, started: true},
		"Launch is suspended": {wait: 10 * time.Minute, change: func(w *guardWorld) { w.check(w.model.Suspend("web", autoscaling.Launch)) }, want: guard.ErrNotSafe},
		"a deployment is under way": {wait: 10 * time.Minute, change: func(w *guardWorld) {
			w.check(w.deploys.Set("shop", "blue", codedeploy.Deployment{ID: "d-1", Status: "Ready"}))
		}, want: guard.ErrNotQuiet},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newGuardWorld(t, autoscaling.Group{Name: "web", Desired: 2, Hooks: hooks})
			w.check(w.deploys.Set("shop", "blue"))
			if tt.change != nil {
				tt.change(w)
			}
			before := w.suspended()
			g := w.line().guard("ci")
			g.Wait, g.Allow, g.Application, g.Deployments = tt.wait, tt.allow, "shop", "blue"
			p := &program{takes: time.Second}
			began := time.Now()
			out, err := g.Run(t.Context(), GuardedCommand{Start: p.start(w.line())})
			if out.Started != tt.started || !errors.Is(err, tt.want) {
				t.Errorf("%s: %+v, %v after %s", name, out, err, time.Since(began))
			}
			if w.suspended() != before {
				t.Errorf("%s: suspended %s", name, w.suspended())
			}
			if held, _ := g.Status(t.Context()); held[0].Record.State != guard.Released {
				t.Errorf("%s: %+v", name, held[0].Record)
			}
		})
	}
}

// A launch that slips in before the suspension is waited for.
func TestGuardLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t, autoscaling.Group{Name: "web", Desired: 2, Template: autoscaling.LaunchOptions{PendingFor: 3 * time.Minute}})
		elapse(5 * time.Minute)
		w.refuse = func(_, operation string, n int) (int, string) {
			if operation == "SuspendProcesses" {
				go func() { _ = w.model.SetDesired("web", 3) }()
			}
			return 0, ""
		}
		began := time.Now()
		p := &program{takes: time.Second, do: func() {
			if took := time.Since(began); took < 3*time.Minute || took > 4*time.Minute {
				t.Errorf("started after %s", took)
			}
		}}
		out, err := w.line().run(p)
		w.check(err)
		if !out.Started {
			t.Errorf("%+v", out)
		}
	})
}

// Several groups are taken together or not at all, with one fence.
func TestGuardOfSeveralGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t, autoscaling.Group{Name: "api"}, autoscaling.Group{Name: "web"}, autoscaling.Group{Name: "worker"})
		guarded := func(holder string, groups ...string) *Guard {
			g := w.line().guard(holder)
			g.Groups = groups
			return g
		}
		one, err := guarded("one", "web").Acquire(t.Context())
		w.check(err)
		if _, err := guarded("two", "api", "web").Acquire(t.Context()); !strings.Contains(fmt.Sprint(err), "group web is held by one") {
			t.Errorf("%v", err)
		}
		_, err = guarded("one", "web").Release(t.Context(), one[0].Fence)
		w.check(err)
		all, err := guarded("two", "api", "web", "worker").Acquire(t.Context())
		w.check(err)
		if len(all) != 3 || all[0].Fence != all[1].Fence || all[1].Fence != all[2].Fence || all[0].Fence <= one[0].Fence {
			t.Errorf("%+v", all)
		}
		if _, err := guarded("one", "web").Release(t.Context(), one[0].Fence); !errors.Is(err, guard.ErrLost) {
			t.Errorf("an old fence: %v", err)
		}
		restored, err := guarded("two", "api", "web", "worker").Release(t.Context(), all[0].Fence)
		w.check(err)
		if len(restored) != 3 || w.suspended() != "" || len(w.model.Suspended("api")) > 0 {
			t.Errorf("%+v", restored)
		}
		calls := w.line()
		g := calls.guard("three")
		g.Groups = []string{"api", "missing"}
		if _, err := g.Acquire(t.Context()); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("%v", err)
		}
		if keys := w.objects.Keys("releases"); slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(k, "missing") }) || slices.Contains(calls.calls, http.MethodPut) {
			t.Errorf("%q after %q", keys, calls.calls)
		}
	})
}

// The lease of a pipeline is not renewed by itself, and can be renewed by its fence.
func TestGuardOfAPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t)
		acquire := func() int64 {
			g := w.line().guard("pipeline")
			g.Lease = 10 * time.Minute
			all, err := g.Acquire(t.Context())
			w.check(err)
			return all[0].Fence
		}
		fence := acquire()
		elapse(8 * time.Minute)
		g := w.line().guard("pipeline")
		g.Lease = time.Hour
		renewed, err := g.Renew(t.Context(), fence)
		w.check(err)
		if left := time.Until(renewed[0].Until); left < time.Hour-3*time.Second || left > time.Hour {
			t.Errorf("it is held for %s", left)
		}
		if _, err := w.line().guard("ops").Repair(t.Context(), false); err == nil {
			t.Error("repaired while it is held")
		}
		elapse(time.Hour)
		if _, err := w.line().guard("pipeline").Renew(t.Context(), fence); !errors.Is(err, guard.ErrEnded) {
			t.Errorf("renewed after its end: %v", err)
		}
		_, err = w.line().guard("pipeline").Release(t.Context(), fence) // late, but before anyone repaired
		w.check(err)
		if w.suspended() != "" {
			t.Errorf("suspended %s", w.suspended())
		}
		again, err := w.line().guard("pipeline").Release(t.Context(), fence)
		if err != nil || len(again) != 1 || len(again[0].Resumed) > 0 {
			t.Errorf("released twice: %+v, %v", again, err)
		}

		fence = acquire()
		elapse(15 * time.Minute)
		_, err = w.line().guard("ops").Repair(t.Context(), false)
		w.check(err)
		if _, err := w.line().guard("pipeline").Release(t.Context(), fence); !errors.Is(err, guard.ErrLost) {
			t.Errorf("released after a repair: %v", err)
		}
		if _, err := w.line().guard("pipeline").Renew(t.Context(), fence); !errors.Is(err, guard.ErrLost) {
			t.Errorf("renewed after a repair: %v", err)
		}
	})
}

// Signals go to the command, and the group is put back afterwards. Before the command
// starts, the end of the context undoes what was done.
func TestGuardGetsSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t)
		signals := make(chan os.Signal, 1)
		p := &program{takes: time.Hour, do: func() { time.AfterFunc(time.Minute, func() { signals <- syscall.SIGINT }) }}
		out, err := w.line().guard("ci").Run(t.Context(), GuardedCommand{Start: p.start(w.line()), Signals: signals})
		if err != nil || out.Code != 130 || out.Ending != ByItself || w.suspended() != "" {
			t.Errorf("%+v, %v, suspended %s", out, err, w.suspended())
		}
		p = &program{takes: time.Hour, deaf: true}
		out, err = w.line().guard("ci").Run(t.Context(), GuardedCommand{Start: p.start(w.line()), Timeout: time.Minute})
		if err != nil || out.Code != 137 || out.Ending != ByTimeout || w.suspended() != "" {
			t.Errorf("%+v, %v, suspended %s", out, err, w.suspended())
		}
		broken := errors.New("no such program")
		out, err = w.line().guard("ci").Run(t.Context(), GuardedCommand{Start: func([]string) (Started, error) { return nil, broken }})
		if !errors.Is(err, broken) || out.Started || w.suspended() != "" {
			t.Errorf("%+v, %v, suspended %s", out, err, w.suspended())
		}
		for _, after := range []time.Duration{30 * time.Millisecond, 150 * time.Millisecond, 210 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			_, err = w.line().guard("ci").Run(ctx, GuardedCommand{Start: p.start(w.line())})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || w.suspended() != "" {
				t.Errorf("after %s: %v, suspended %s", after, err, w.suspended())
			}
			if held, _ := w.line().guard("ops").Status(t.Context()); held[0].Record.State != guard.Released {
				t.Errorf("after %s: %+v", after, held[0].Record)
			}
		}
	})
}

// A store that cannot keep a lock is refused before anything is done.
func TestGuardNeedsAStore(t *testing.T) {
	for name, tt := range map[string]struct {
		record string
		want   error
	}{
		"garbage":      {"garbage", guard.ErrRecord},
		"newer":        {`{"schema":9}`, guard.ErrNewer},
		"of another":   {`{"schema":1,"group":"api","fence":1,"state":"released","holder":"","nonce":""}`, guard.ErrRecord},
		"far too long": {strings.Repeat(" ", guard.MaxRecord+1), guard.ErrRecord},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newGuardWorld(t)
			w.objects.Put("releases", "apps/web/guard/web.json", []byte(tt.record))
			l := w.line()
			_, err := l.run(&program{})
			if !errors.Is(err, tt.want) || slices.Contains(l.calls, http.MethodPut) || slices.Contains(l.calls, "SuspendProcesses") {
				t.Errorf("%s: %v after %q", name, err, l.calls)
			}
			if _, err := w.line().guard("ops").Repair(t.Context(), true); !errors.Is(err, tt.want) {
				t.Errorf("%s: repair: %v", name, err)
			}
		})
	}
}
