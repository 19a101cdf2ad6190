package autoscaling

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/smithy-go"

	"koboshi/agent/awstest/query"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// elapse lets time pass in a synctest bubble.
func elapse(d time.Duration) { <-time.After(d) }

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// code is the AWS error code of an error, "" if there is none.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// model is a model with groups, for use in a synctest bubble, too.
func model(t *testing.T, groups ...Group) *Model {
	t.Helper()
	s := New(time.Now, func(*Instance, LaunchOptions) error { return nil })
	t.Cleanup(s.Close)
	for _, g := range groups {
		check(t, s.CreateGroup(g))
	}
	return s
}

// web is a model with a group "web" with both hooks, and one instance.
func web(t *testing.T, o LaunchOptions) (*Model, *Instance) {
	t.Helper()
	s := model(t, Group{Name: "web", Hooks: []Hook{launching("up", time.Hour, ""), terminating("down", time.Hour, "")}})
	o.Group = "web"
	return s, launch(t, s, o)
}

// sdkClient is the SDK's client of the API over a model.
func sdkClient(t *testing.T, m *Model, options ...func(*sdk.Options)) *sdk.Client {
	t.Helper()
	api := NewAPI(m)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		check(t, query.ParseForm(w, r))
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	}, options...)
}

func launch(t *testing.T, m *Model, o LaunchOptions) *Instance {
	t.Helper()
	i, err := m.Launch(o)
	check(t, err)
	return i
}

// complete completes a hook of the group "web" as the API would.
func complete(m *Model, i *Instance, hook string, result Result) (err error) {
	m.do(func(now time.Time) {
		err = m.complete(completion{group: "web", hook: hook, instance: i.id}, result, now)
	})
	return err
}

func beat(m *Model, i *Instance, hook string) (err error) {
	m.do(func(now time.Time) { err = m.heartbeat(completion{group: "web", hook: hook, instance: i.id}, now) })
	return err
}

// path is the history as "State+seconds since launch".
func path(i *Instance) []string {
	var steps []string
	for _, c := range i.History() {
		steps = append(steps, string(c.State)+"+"+c.At.Sub(i.launched).String())
	}
	return steps
}

func launching(name string, timeout time.Duration, otherwise Result) Hook {
	return Hook{Name: name, Transition: OnLaunch, HeartbeatTimeout: timeout, DefaultResult: otherwise}
}

func terminating(name string, timeout time.Duration, otherwise Result) Hook {
	return Hook{Name: name, Transition: OnTerminate, HeartbeatTimeout: timeout, DefaultResult: otherwise}
}
