package asg

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// answers serves the given handlers, one a call of the action, the last for all the rest.
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
// three attempts and its budget, but no pauses.
func dial(t *testing.T, a answers) *Client {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	retryer := retry.NewStandard(func(o *retry.StandardOptions) {
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
	return New(aws.Config{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String(server.URL),
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		Retryer:      func() aws.Retryer { return retryer },
	})
}

// times answers n times in one way before others.
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
			got, err := dial(t, tt.answers).Complete(t.Context(), ours, Continue)
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("Complete = %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestOtherCallsKeepTheRetryersLimit(t *testing.T) {
	throttled := refuse(http.StatusBadRequest, "Throttling", "Rate exceeded")
	client := dial(t, answers{"RecordLifecycleActionHeartbeat": times(3, throttled, accept("RecordLifecycleActionHeartbeat", ""))})
	if err := client.Heartbeat(t.Context(), ours); err == nil {
		t.Error("a heartbeat went through at the fourth attempt, want three and KeepAlive's own pace")
	}
	if err := client.Heartbeat(t.Context(), ours); err != nil {
		t.Errorf("the next heartbeat: %v", err)
	}
}
