package control_test

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/control"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/faults"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	check(t, err)
	check(t, r.Body.Close())
	return string(b)
}

// tokenOf asks an instance's IMDS for a token.
func tokenOf(t *testing.T, i *ec2.Instance) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, i.IMDSURL()+"/latest/api/token", nil)
	check(t, err)
	r.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
	answer, err := http.DefaultClient.Do(r)
	check(t, err)
	return body(t, answer)
}

func metadata(t *testing.T, i *ec2.Instance, path, token string) (status int, content string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.IMDSURL()+"/latest/meta-data/"+path, nil)
	check(t, err)
	r.Header.Set("X-Aws-Ec2-Metadata-Token", token)
	answer, err := http.DefaultClient.Do(r)
	check(t, err)
	return answer.StatusCode, body(t, answer)
}

// ask sends one control request and returns status and body.
func ask(t *testing.T, s *awstest.Server, request, content string) (status int, answer string) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+"/_mock/"+path, strings.NewReader(content))
	check(t, err)
	w, err := http.DefaultClient.Do(r)
	check(t, err)
	return w.StatusCode, body(t, w)
}

func mustAsk[T any](t *testing.T, s *awstest.Server, request, content string) (v T) {
	t.Helper()
	status, answer := ask(t, s, request, content)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", request, status, answer)
	}
	check(t, json.Unmarshal([]byte(answer), &v))
	return v
}

func TestControl(t *testing.T) {
	s := awstest.New(t)
	mustAsk[struct{}](t, s, "POST groups", `{"name":"web","hooks":[{"name":"up","transition":"launching","heartbeat_timeout":"300ms","default_result":"CONTINUE"},{"name":"down","transition":"terminating"}]}`)
	i := mustAsk[control.Status](t, s, "POST instances", `{"group":"web","tags":{"a":"b"},"az":"eu-west-1a","user_data":"aGk=","pending_for":"0s"}`)
	id := i.ID
	equal(t, i.State, autoscaling.PendingWait)
	equal(t, i.Actions[0].Deadline.Sub(i.Actions[0].Began), 300*time.Millisecond)
	equal(t, i.Env, []string{"AWS_ENDPOINT_URL=" + s.URL(), "AWS_EC2_METADATA_SERVICE_ENDPOINT=" + i.IMDS + "/", "AWS_EC2_METADATA_DISABLED=false"})

	mustAsk[struct{}](t, s, "PUT instances/"+id+"/tags/koboshi:channel", `"canary"`)
	mustAsk[struct{}](t, s, "DELETE instances/"+id+"/tags/a", "")
	i = mustAsk[control.Status](t, s, "GET instances/"+id+"?state=InService&timeout=30s", "")
	equal(t, i.State, autoscaling.InService)
	equal(t, i.Tags, map[string]string{"aws:autoscaling:groupName": "web", "koboshi:channel": "canary"})
	equal(t, []any{i.Actions[0].Ending, i.Actions[0].Result}, []any{autoscaling.ByTimeout, autoscaling.Continue})

	live, err := s.Instance(id)
	check(t, err)
	mustAsk[struct{}](t, s, "PUT instances/"+id+"/imds", `{"spot_action":"terminate","spot_time":"2026-11-21T10:00:00Z","credentials_for":"10s"}`)
	token := tokenOf(t, live)
	status, notice := metadata(t, live, "spot/termination-time", token)
	equal(t, status, 200)
	equal(t, notice, "2026-11-21T10:00:00Z")
	mustAsk[struct{}](t, s, "DELETE instances/"+id+"/imds/tokens", "")
	status, _ = metadata(t, live, "spot/termination-time", token)
	equal(t, status, 401)

	mustAsk[struct{}](t, s, "DELETE instances/"+id, "")
	equal(t, mustAsk[[]control.Status](t, s, "GET instances", "")[0].State, autoscaling.TerminatingWait)

	check(t, s.CreateGroup(autoscaling.Group{Name: "api", Desired: 1, LaunchTemplate: autoscaling.LaunchTemplate{ID: "lt-1", Version: "1"}}))
	mustAsk[struct{}](t, s, "PUT groups/api/refreshes", `[{"status":"InProgress"}]`)
	equal(t, s.Model().Refreshes("api")[0].Status, "InProgress")
	mustAsk[struct{}](t, s, "PUT alarms/web%205xx", "true")
	equal(t, s.Model().Alarm("web 5xx"), true)

	mustAsk[struct{}](t, s, "POST buckets/releases", "")
	s.S3().Put("releases", "k", []byte("v"))
	equal(t, s.S3().Keys("releases"), []string{"k"})
}

func TestControlFaultsAndCalls(t *testing.T) {
	s := awstest.New(t)
	equal(t, mustAsk[map[string]int](t, s, "POST faults", `{"service":"s3","status":503,"delay":"1ms"}`)["id"], 1)
	equal(t, mustAsk[map[string]int](t, s, "POST faults", `{"service":"imds","hang":true}`)["id"], 2)
	answer, err := http.Get(s.URL() + "/releases/k")
	check(t, err)
	check(t, answer.Body.Close())
	equal(t, answer.StatusCode, 503)
	equal(t, mustAsk[[]faults.State](t, s, "GET faults", "")[0].Hits, 1)
	equal(t, len(mustAsk[[]faults.Call](t, s, "GET calls?service=s3&operation=GetObject", "")), 1)
	equal(t, len(mustAsk[[]faults.Call](t, s, "GET calls", "")), 1)
	equal(t, len(mustAsk[[]faults.Call](t, s, "GET calls?service=sts", "")), 0)
	mustAsk[struct{}](t, s, "DELETE calls", "")
	equal(t, len(s.Calls().All()), 0)
	mustAsk[struct{}](t, s, "DELETE faults/1", "")
	equal(t, s.Faults().List()[0].ID, 2)
	mustAsk[struct{}](t, s, "DELETE faults", "")
	equal(t, len(s.Faults().List()), 0)
}

func TestControlRefuses(t *testing.T) {
	s := awstest.New(t)
	tests := []struct {
		request, content string
		status           int
		text             string
	}{
		{"POST groups", `{"name":"web"} {}`, 400, "JSON"},
		{"POST groups", `{"Name":"web"}`, 400, "Name"},
		{"POST groups", `{"name":"web","name":"web"}`, 400, "duplicate"},
		{"POST groups", `{"name":"web","color":1}`, 400, "color"},
		{"POST groups", `{}`, 400, "AutoScalingGroupName is required"},
		{"POST groups", `{"name":"w","hooks":[{"name":"h","transition":"sideways"}]}`, 400, "sideways"},
		{"POST groups", `{"name":"w","hooks":[{"name":"h","transition":"launching","heartbeat_timeout":60}]}`, 400, "heartbeat_timeout"},
		{"POST groups", `{"name":"w","hooks":[{"name":"h","transition":"launching","heartbeat_timeout":"-1s"}]}`, 400, "negative"},
		{"POST groups", `{"name":"` + strings.Repeat("a", 1<<20) + `"}`, 400, "too large"},
		{"POST instances", `{"group":"nope"}`, 400, "name not found"},
		{"POST instances", ``, 400, "JSON"},
		{"GET instances/i-none", ``, 404, "i-none"},
		{"DELETE instances/i-none", ``, 404, "i-none"},
		{"PUT instances/i-none/tags/k", `"v"`, 404, "i-none"},
		{"DELETE faults/7", ``, 404, "no fault 7"},
		{"DELETE faults/x", ``, 400, `fault id`},
		{"POST faults", `{"statuz":503}`, 400, "statuz"},
		{"GET nothing", ``, 404, "not found"},
	}
	for _, test := range tests {
		status, answer := ask(t, s, test.request, test.content)
		if status != test.status || !strings.Contains(answer, test.text) {
			t.Errorf("%s %.80s: got %d %s, want %d %q", test.request, test.content, status, answer, test.status, test.text)
		}
	}
	equal(t, len(s.Instances()), 0)
}

func TestControlWaitsNoLongerThanAsked(t *testing.T) {
	s := awstest.New(t)
	check(t, s.CreateGroup(autoscaling.Group{Name: "web", Hooks: []autoscaling.Hook{{Name: "up", Transition: autoscaling.OnLaunch}}}))
	i, err := s.Launch(autoscaling.LaunchOptions{Group: "web"})
	check(t, err)
	status, answer := ask(t, s, "GET instances/"+i.ID()+"?state=InService&timeout=1ms", "")
	equal(t, status, 400)
	equal(t, strings.Contains(answer, `still \"Pending:Wait\"`), true)
}
