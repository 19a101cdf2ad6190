package lifecycle

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var ourResource = Resource{Stack: "web", Name: "Group", Instance: self}

const signalResource = "SignalResource"

// stacksOf calls the answers, as [dial] does.
func stacksOf(a answers) *Stacks { return NewStacks(dialed(a)) }

func TestSignal(t *testing.T) {
	const state = "Stack arn:aws:cloudformation:us-east-1:123456789012:stack/web/1b2c is in UPDATE_COMPLETE state and cannot be signaled"
	refused := func(message string) answers {
		return answers{signalResource: {refuse(http.StatusBadRequest, "ValidationError", message)}}
	}
	throttled := refuse(http.StatusBadRequest, "Throttling", "Rate exceeded")
	taken := accept(signalResource, "")
	for _, tt := range []struct {
		name    string
		answers answers
		end     End
		says    string // "" = no error
		least   time.Duration
	}{
		{"taken", answers{signalResource: {taken}}, Completed, "", 0},
		{"the stack does not wait", refused(state), AlreadyOver, "", 0},
		{"sent before", refused("Signal with ID " + self + " for resource Group already exists. Signals may only be updated with a FAILURE status."), Completed, "", 0},
		{"no such stack", refused("Stack 'web' does not exist"), "", "Stack 'web' does not exist", 0},
		{"no such resource", refused("Resource Group does not exist for stack web"), "", "signal web/Group with SUCCESS: ", 0},
		{"denied", answers{signalResource: {refuse(http.StatusForbidden, "AccessDenied", "User is not authorized to perform cloudformation:SignalResource")}}, "", "access denied: User is not", 0},
		{"throttled", answers{signalResource: times(3, throttled, taken)}, Completed, "", 50 * time.Second},
		{"the reply is lost", answers{signalResource: {hangUp, taken}}, Completed, "", 100 * time.Millisecond},
		{"out of service", answers{signalResource: {refuse(http.StatusServiceUnavailable, "ServiceUnavailable", ""), taken}}, Completed, "", 100 * time.Millisecond},
		{"throttled beyond the budget", answers{signalResource: {throttled}}, "", "Rate exceeded", time.Minute},
		{"a proxy in between", answers{signalResource: {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "blocked", http.StatusForbidden) }}}, "", "status 403", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				end, err := stacksOf(tt.answers).Signal(t.Context(), ourResource, Success, nil)
				if end != tt.end || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("Signal = %q, %v", end, err)
				}
				if took := time.Since(begun); took < tt.least || tt.least == 0 && took != 0 {
					t.Errorf("it took %v, want at least %v", took, tt.least)
				}
			})
		})
	}
}

// The request is what AWS documents, and signed for CloudFormation; ready is asked
// before each.
func TestSignalRequest(t *testing.T) {
	var got *http.Request
	a := answers{signalResource: {func(w http.ResponseWriter, r *http.Request) { got = r; accept(signalResource, "")(w, r) }}}
	if _, err := stacksOf(a).Signal(t.Context(), ourResource, Failure, nil); err != nil {
		t.Fatal(err)
	}
	want := "Action=SignalResource&LogicalResourceId=Group&StackName=web&Status=FAILURE&UniqueId=" + self + "&Version=2010-05-15"
	if form := got.PostForm.Encode(); form != want || got.URL.String() != "https://cloudformation.eu-central-1.amazonaws.com/" {
		t.Errorf("asked %s for %s", got.URL, form)
	}
	if signed := got.Header.Get("Authorization"); !strings.Contains(signed, "/eu-central-1/cloudformation/aws4_request") {
		t.Errorf("signed %s", signed)
	}
	dead := errors.New("dead")
	got = nil
	if _, err := stacksOf(a).Signal(t.Context(), ourResource, Success, func(context.Context) error { return dead }); !errors.Is(err, dead) || got != nil {
		t.Errorf("Signal = %v, asked %v", err, got)
	}
}

// When the time ends, the error is why there was none.
func TestSignalUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := stacksOf(answers{signalResource: {refuse(http.StatusBadRequest, "Throttling", "Rate exceeded")}}).Signal(ctx, ourResource, Success, nil)
		if err == nil || !strings.Contains(err.Error(), "Rate exceeded") {
			t.Errorf("Signal = %v", err)
		}
	})
}
