package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
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
