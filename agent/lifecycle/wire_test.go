package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// answers uses one of the handlers per call of the action, the last for all further ones.
type answers map[string][]http.HandlerFunc

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	action := r.FormValue("Action")
	if len(a[action]) == 0 {
		http.Error(w, "unexpected "+action, http.StatusTeapot)
		return
	}
	answer := a[action][0]
	if len(a[action]) > 1 {
		a[action] = a[action][1:]
	}
	answer(w, r)
}

func refuse(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code, message)
	}
}

func accept(action, result string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<%[1]sResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>`, action, result)
	}
}

// hangUp takes the request and closes the connection without a reply.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// dial returns a client of the answers, with the SDK's standard retryer, its
// three attempts and its budget. Nothing is sent anywhere, so that time can be
// the test's own.
func dial(a answers) *Client { return New(dialed(a)) }

func dialed(a answers) aws.Config {
	retryer := retry.NewStandard()
	return aws.Config{
		Region:      "eu-central-1",
		HTTPClient:  a,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		Retryer:     func() aws.Retryer { return retryer },
	}
}

// Do implements [aws.HTTPClient].
func (a answers) Do(r *http.Request) (response *http.Response, err error) {
	defer func() {
		if recover() != nil {
			err = &url.Error{Op: r.Method, URL: r.URL.String(), Err: io.EOF}
		}
	}()
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Result(), nil
}

// times answers n times with one handler before the others.
func times(n int, answer http.HandlerFunc, then ...http.HandlerFunc) []http.HandlerFunc {
	return append(slices.Repeat([]http.HandlerFunc{answer}, n), then...)
}

func TestCompleteOverTheWire(t *testing.T) {
	const (
		complete = "CompleteLifecycleAction"
		describe = "DescribeAutoScalingInstances"
	)
	over := refuse(http.StatusBadRequest, "ValidationError", "No active Lifecycle Action found with instance ID "+self)
	throttled := refuse(http.StatusBadRequest, "Throttling", "Rate exceeded")
	inService := accept(describe, `<AutoScalingInstances><member><InstanceId>`+self+`</InstanceId><AutoScalingGroupName>web</AutoScalingGroupName><LifecycleState>InService</LifecycleState></member></AutoScalingInstances>`)
	tests := []struct {
		name    string
		answers answers
		want    Outcome
		fails   bool
	}{
		{"taken", answers{complete: {accept(complete, "")}}, Outcome{End: Completed}, false},
		{"reply lost", answers{complete: {hangUp, over}, describe: {inService}}, Outcome{AlreadyOver, "InService"}, false},
		{"throttled", answers{complete: times(20, throttled, accept(complete, ""))}, Outcome{End: Completed}, false},
		{"looking throttled", answers{complete: {over}, describe: times(20, throttled, inService)}, Outcome{AlreadyOver, "InService"}, false},
		{"service unavailable", answers{complete: {refuse(503, "ServiceUnavailable", ""), accept(complete, "")}}, Outcome{End: Completed}, false},
		{"throttled beyond the budget", answers{complete: {throttled}, describe: {inService}}, Outcome{}, true},
		{"denied", answers{complete: {refuse(403, "AccessDenied", "No active Lifecycle Action for you")}, describe: {inService}}, Outcome{}, true},
		{"another ValidationError", answers{complete: {refuse(400, "ValidationError", "Group not found")}, describe: {inService}}, Outcome{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := dial(tt.answers).Complete(t.Context(), ours, Continue, nil)
				if got != tt.want || (err != nil) != tt.fails {
					t.Errorf("Complete = %+v, %v, want %+v", got, err, tt.want)
				}
			})
		})
	}
}

// A throttled call is repeated after up to 5 s, and then ever more rarely, by each
// instance at a time of its own; a failed one is repeated at once.
func TestThePace(t *testing.T) {
	tests := map[string]struct {
		answer http.HandlerFunc
		most   []time.Duration
	}{
		"throttled":   {refuse(http.StatusBadRequest, "Throttling", "Rate exceeded"), []time.Duration{5 * time.Second, 20 * time.Second, 80 * time.Second, 2 * time.Minute, 2 * time.Minute}},
		"unavailable": {refuse(http.StatusServiceUnavailable, "ServiceUnavailable", ""), []time.Duration{200 * time.Millisecond, 800 * time.Millisecond, 3200 * time.Millisecond, 12800 * time.Millisecond}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			seen := map[time.Duration]bool{}
			for _, id := range []string{self, "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"} {
				synctest.Test(t, func(t *testing.T) {
					var at []time.Time
					tried := func(then http.HandlerFunc) http.HandlerFunc {
						return func(w http.ResponseWriter, r *http.Request) { at = append(at, time.Now()); then(w, r) }
					}
					hook := Action{Group: "web", Hook: "koboshi-launching", Instance: id}
					client := dial(answers{"CompleteLifecycleAction": times(len(tt.most), tried(tt.answer), tried(accept("CompleteLifecycleAction", "")))})
					if got, err := client.Complete(t.Context(), hook, Continue, nil); got.End != Completed {
						t.Fatalf("Complete = %+v, %v", got, err)
					}
					for i, most := range tt.most {
						pause := at[i+1].Sub(at[i])
						if pause < most/2 || pause > most || seen[pause] {
							t.Errorf("%s: pause %d is %v, want one of its own of %v to %v", id, i, pause, most/2, most)
						}
						seen[pause] = true
					}
				})
			}
		})
	}
}

func TestAThrottledLaunchIsNoSecondStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		throttled := func(w http.ResponseWriter, r *http.Request) {
			n++
			refuse(http.StatusBadRequest, "Throttling", "Rate exceeded")(w, r)
		}
		client := dial(answers{"DescribeLifecycleHooks": {throttled}, "RecordLifecycleActionHeartbeat": {throttled}})
		client.KeepAlive(within(t, 5*time.Minute), ours, 12*time.Second, func(int, error) {})
		if n < 4 || n > 6 {
			t.Errorf("%d calls in five minutes while everything is throttled, want about five", n)
		}
	})
}

func TestAThrottledHeartbeatComesInTime(t *testing.T) {
	const action = "RecordLifecycleActionHeartbeat"
	found := accept("DescribeLifecycleHooks", `<LifecycleHooks><member><LifecycleHookName>koboshi-launching</LifecycleHookName><HeartbeatTimeout>300</HeartbeatTimeout></member></LifecycleHooks>`)
	synctest.Test(t, func(t *testing.T) {
		begun, last := time.Now(), time.Duration(0)
		client := dial(answers{"DescribeLifecycleHooks": {found}, action: times(4, refuse(http.StatusBadRequest, "Throttling", "Rate exceeded"), accept(action, ""))})
		ctx, cancel := context.WithCancel(t.Context())
		client.KeepAlive(ctx, ours, 12*time.Second, func(n int, _ error) {
			if n > 0 {
				last = time.Since(begun)
				cancel()
			}
		})
		if last < 90*time.Second || last > 240*time.Second {
			t.Errorf("the first heartbeat was taken after %v, want it throttled four times and well within 5 min", last)
		}
	})
}

func TestOtherCallsKeepTheRetryersLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttled := refuse(http.StatusBadRequest, "Throttling", "Rate exceeded")
		client := dial(answers{"RecordLifecycleActionHeartbeat": times(3, throttled, accept("RecordLifecycleActionHeartbeat", ""))})
		if err := client.Heartbeat(t.Context(), ours); err == nil {
			t.Error("a heartbeat went through at the fourth attempt, want three")
		}
		if err := client.Heartbeat(t.Context(), ours); err != nil {
			t.Errorf("the next heartbeat: %v", err)
		}
	})
}

// An app that dies while the call is throttled is not let into service: ready is
// called before each request, after the pause.
func TestCompleteLooksBeforeEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const complete = "CompleteLifecycleAction"
		throttled := refuse(http.StatusBadRequest, "Throttling", "Rate exceeded")
		asked, taken := 0, false
		begun, died := time.Now(), errors.New("the app is dead")
		a := answers{complete: times(2, throttled, func(w http.ResponseWriter, r *http.Request) {
			taken = true
			accept(complete, "")(w, r)
		})}
		_, err := dial(a).Complete(t.Context(), ours, Continue, func(context.Context) error {
			if asked++; time.Since(begun) > 10*time.Second {
				return died
			}
			return nil
		})
		if err != died || taken || asked != 3 { //nolint:errorlint // as it is, without the SDK's words
			t.Errorf("%v after %d looks, completed: %v", err, asked, taken)
		}
	})
}

// A call that is repeated until its context ends fails with the reason of the
// refusals, not only with the end of the time.
func TestTheLastRefusalIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttled := refuse(http.StatusBadRequest, "Throttling", "Rate exceeded")
		client := dial(answers{"CompleteLifecycleAction": {throttled}, "DescribeAutoScalingInstances": {throttled}})
		_, err := client.Complete(within(t, time.Minute), ours, Continue, nil)
		_, _, lookUp := client.Group(within(t, time.Minute), ours.Instance)
		for _, err := range []error{err, lookUp} {
			if err == nil || !strings.Contains(err.Error(), "Rate exceeded") {
				t.Errorf("%v, want the refusal", err)
			}
		}
	})
}
