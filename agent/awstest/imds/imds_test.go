package imds

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// example is an instance in a group, whose launch hook waits.
func example() Instance {
	return Instance{
		ID: "i-0a5c0de0000000001", IP: netip.MustParseAddr("10.0.0.1"), Launched: time.Now(), AZ: "us-east-1a", AMI: "ami-0123456789abcdef0",
		Type: "m7i.large", Role: "koboshi-instance", TargetState: "InService", Tags: map[string]string{"aws:autoscaling:groupName": "web"},
	}
}

func newService(i Instance, switches Switches) *Service {
	return New(time.Now, switches, func() Instance { return i })
}

// serve also returns the URL of the service.
func serve(t *testing.T, i Instance) (*Service, string) {
	t.Helper()
	s := newService(i, Switches{})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// elapse lets time pass in a synctest bubble.
func elapse(d time.Duration) { <-time.After(d) }

// put asks for a token; an empty ttl is none.
func put(t *testing.T, url, ttl string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+tokenPath, nil)
	check(t, err)
	if ttl != "" {
		r.Header.Set(ttlHeader, ttl)
	}
	for _, name := range header {
		r.Header.Set(name, "10.0.0.1")
	}
	answer, err := http.DefaultClient.Do(r)
	check(t, err)
	return answer
}

func token(t *testing.T, url string) string {
	t.Helper()
	answer := put(t, url, "60")
	equal(t, answer.StatusCode, http.StatusOK)
	return body(t, answer)
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	check(t, err)
	check(t, r.Body.Close())
	return string(b)
}

func get(t *testing.T, url, path, token string) (status int, content string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
	check(t, err)
	if token != "" {
		r.Header.Set(tokenHeader, token)
	}
	answer, err := http.DefaultClient.Do(r)
	check(t, err)
	return answer.StatusCode, body(t, answer)
}

func TestTokenRules(t *testing.T) {
	_, url := serve(t, example())
	tests := []struct {
		name, ttl string
		header    []string
		want      int
	}{
		{"shortest", "1", nil, 200},
		{"longest", "21600", nil, 200},
		{"no ttl", "", nil, 400},
		{"zero", "0", nil, 400},
		{"too long", "21601", nil, 400},
		{"no number", "6h", nil, 400},
		{"through a proxy", "60", []string{"X-Forwarded-For"}, 403},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := put(t, url, test.ttl, test.header...)
			equal(t, answer.StatusCode, test.want)
			content := body(t, answer)
			equal(t, strings.Contains(content, "<html"), test.want != 200)
		})
	}
}

func TestTokenIsNeeded(t *testing.T) {
	s, url := serve(t, example())
	good := token(t, url)
	for path, want := range map[string]int{"/": 200, "/latest/meta-data/instance-id": 200, "/latest/meta-data/public-keys/": 404, "/1999-01-01/meta-data/": 404} {
		status, _ := get(t, url, path, good)
		equal(t, status, want)
		status, _ = get(t, url, path, "")
		equal(t, status, 401)
		status, _ = get(t, url, path, "of-another-instance")
		equal(t, status, 401)
	}
	s.ExpireTokens()
	status, _ := get(t, url, "/", good)
	equal(t, status, 401)
	s.Set(func(s *Switches) { s.Disabled = true })
	answer := put(t, url, "60")
	check(t, answer.Body.Close())
	equal(t, answer.StatusCode, 403)
}

func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newService(example(), Switches{})
		m.keepToken("a", time.Minute)
		elapse(time.Minute - time.Second)
		left, ok := m.tokenLeft("a")
		equal(t, left, time.Second)
		equal(t, ok, true)
		elapse(time.Second)
		_, ok = m.tokenLeft("a")
		equal(t, ok, false)
	})
}

func TestPaths(t *testing.T) {
	i := example()
	i.AZ, i.UserData = "ap-southeast-2c", []byte("#!/bin/sh\n\x00")
	i.Tags = map[string]string{"Name": "n", "aws:autoscaling:groupName": "web", "koboshi:channel": "stable", "not/visible": "x", "nor this": "x"}
	_, url := serve(t, i)
	good := token(t, url)
	tests := []struct {
		path, want string
		status     int
	}{
		{"/latest/", "dynamic\nmeta-data\nuser-data", 200},
		{"/latest", "dynamic\nmeta-data\nuser-data", 200},
		{"/2009-04-04/meta-data/instance-id", i.ID, 200},
		{"/2021-03-23/meta-data/local-ipv4", "10.0.0.1", 200},
		{"/latest/meta-data/instance-id/", "", 404},
		{"/latest/meta-data/placement/", "availability-zone\navailability-zone-id\nregion", 200},
		{"/latest/meta-data/placement", "availability-zone\navailability-zone-id\nregion", 200},
		{"/latest/meta-data/placement/availability-zone-id", "apse2-az3", 200},
		{"/latest/meta-data/placement/region", "ap-southeast-2", 200},
		{"/latest/meta-data/hostname", "ip-10-0-0-1.ap-southeast-2.compute.internal", 200},
		{"/latest/meta-data/mac", "02:00:0a:00:00:01", 200},
		{"/latest/meta-data/network/interfaces/macs/", "02:00:0a:00:00:01/", 200},
		{"/latest/meta-data/network/interfaces/macs/02:00:0a:00:00:01/local-ipv4s", "10.0.0.1", 200},
		{"/latest/meta-data/iam/security-credentials/", "koboshi-instance", 200},
		{"/latest/meta-data/tags/instance/", "Name\naws:autoscaling:groupName\nkoboshi:channel", 200},
		{"/latest/meta-data/tags/instance/koboshi:channel", "stable", 200},
		{"/latest/meta-data/tags/instance/aws:autoscaling:groupName", "web", 200},
		{"/latest/meta-data/tags/instance/absent", "", 404},
		{"/latest/meta-data/autoscaling/target-lifecycle-state", "InService", 200},
		{"/latest/meta-data/spot/instance-action", "", 404},
		{"/latest/meta-data/events/recommendations/rebalance", "", 404},
		{"/latest/user-data", "#!/bin/sh\n\x00", 200},
	}
	for _, test := range tests {
		status, content := get(t, url, test.path, good)
		if status != test.status || (status == 200 && content != test.want) {
			t.Errorf("%s: got %d %q, want %d %q", test.path, status, content, test.status, test.want)
		}
	}
	_, listing := get(t, url, "/latest/meta-data/", good)
	for _, name := range []string{"ami-id", "iam/", "instance-id", "network/", "placement/", "tags/", "autoscaling/"} {
		if !strings.Contains("\n"+listing+"\n", "\n"+name+"\n") {
			t.Errorf("%s is not in the listing of meta-data:\n%s", name, listing)
		}
	}
}

// leaf is what a path shows now, "" where it is 404.
func leaf(s *Service, path string) string { return s.tree()["meta-data/"+path] }

func TestWhatComesAndGoes(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		name     string
		change   func(*Instance)
		switches Switches
		path     string
		want     string
	}{
		{"a tag", func(i *Instance) { i.Tags["k"] = "v" }, Switches{}, "tags/instance/k", "v"},
		{"no such tag", nil, Switches{}, "tags/instance/k", ""},
		{"tags are off", func(i *Instance) { i.Tags = nil }, Switches{}, "tags/instance/aws:autoscaling:groupName", ""},
		{"in a group", nil, Switches{}, "autoscaling/target-lifecycle-state", "InService"},
		{"not in a group", func(i *Instance) { i.TargetState = "" }, Switches{}, "autoscaling/target-lifecycle-state", ""},
		{"warm", nil, Switches{TargetState: "Warmed:Stopped"}, "autoscaling/target-lifecycle-state", "Warmed:Stopped"},
		{"spot", nil, Switches{SpotAction: "terminate", SpotTime: at}, "spot/instance-action", `{"action":"terminate","time":"2026-11-21T10:00:00Z"}`},
		{"rebalance", nil, Switches{Rebalance: at}, "events/recommendations/rebalance", `{"noticeTime":"2026-11-21T10:00:00Z"}`},
		{"no role", nil, Switches{NoRole: true}, "iam/info", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i := example()
			if test.change != nil {
				test.change(&i)
			}
			equal(t, leaf(newService(i, test.switches), test.path), test.want)
		})
	}
}

func TestCredentialsComeLateAndExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newService(example(), Switches{CredentialsAfter: 30 * time.Second, CredentialsFor: time.Minute})
		const path = "iam/security-credentials/koboshi-instance"
		elapse(30*time.Second - 1)
		equal(t, leaf(i, path), "")
		elapse(1)
		var keys struct{ Code, AccessKeyID, Expiration string }
		check(t, json.Unmarshal([]byte(leaf(i, path)), &keys))
		equal(t, keys.Code, "Success")
		equal(t, keys.AccessKeyID, "ASIAA5C0DE0000000001")
		equal(t, keys.Expiration, stamp(time.Now().Add(time.Minute)))
		i.Set(func(s *Switches) { s.CredentialsCode = "AssumeRoleUnauthorizedAccess" })
		keys.AccessKeyID = ""
		check(t, json.Unmarshal([]byte(leaf(i, path)), &keys))
		equal(t, keys.Code, "AssumeRoleUnauthorizedAccess")
		equal(t, keys.AccessKeyID, "")
	})
}
