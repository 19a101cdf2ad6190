package awstest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// put asks for a token; an empty ttl is none.
func put(ctx context.Context, i *Instance, ttl string, header ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, i.IMDSURL()+tokenPath, nil)
	if err != nil {
		return nil, err
	}
	if ttl != "" {
		r.Header.Set(ttlHeader, ttl)
	}
	for _, name := range header {
		r.Header.Set(name, "10.0.0.1")
	}
	return http.DefaultClient.Do(r)
}

func token(t *testing.T, i *Instance) string {
	t.Helper()
	answer, err := put(t.Context(), i, "60")
	check(t, err)
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

func get(t *testing.T, i *Instance, path, token string) (status int, content string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.IMDSURL()+path, nil)
	check(t, err)
	if token != "" {
		r.Header.Set(tokenHeader, token)
	}
	answer, err := http.DefaultClient.Do(r)
	check(t, err)
	return answer.StatusCode, body(t, answer)
}

func TestTokenRules(t *testing.T) {
	_, i := web(t, LaunchOptions{})
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
			answer, err := put(t.Context(), i, test.ttl, test.header...)
			check(t, err)
			equal(t, answer.StatusCode, test.want)
			content := body(t, answer)
			equal(t, strings.Contains(content, "<html"), test.want != 200)
		})
	}
}

func TestTokenIsNeeded(t *testing.T) {
	_, i := web(t, LaunchOptions{})
	good := token(t, i)
	for path, want := range map[string]int{"/": 200, "/latest/meta-data/instance-id": 200, "/latest/meta-data/public-keys/": 404, "/1999-01-01/meta-data/": 404} {
		status, _ := get(t, i, path, good)
		equal(t, status, want)
		status, _ = get(t, i, path, "")
		equal(t, status, 401)
		status, _ = get(t, i, path, "of-another-instance")
		equal(t, status, 401)
	}
	i.ExpireTokens()
	status, _ := get(t, i, "/", good)
	equal(t, status, 401)
	i.SetIMDS(func(s *Switches) { s.Disabled = true })
	answer, err := put(t.Context(), i, "60")
	check(t, err)
	check(t, answer.Body.Close())
	equal(t, answer.StatusCode, 403)
}

func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := fleet(t).mustLaunch(t, LaunchOptions{})
		i.tokens["a"] = time.Now().Add(time.Minute)
		m := &metadataService{i}
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
	_, i := web(t, LaunchOptions{AZ: "ap-southeast-2c", UserData: []byte("#!/bin/sh\n\x00"), Tags: map[string]string{
		"Name": "n", "koboshi:channel": "stable", "not/visible": "x", "nor this": "x",
	}})
	good := token(t, i)
	tests := []struct {
		path, want string
		status     int
	}{
		{"/latest/", "dynamic\nmeta-data\nuser-data", 200},
		{"/latest", "dynamic\nmeta-data\nuser-data", 200},
		{"/2009-04-04/meta-data/instance-id", i.ID(), 200},
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
		status, content := get(t, i, test.path, good)
		if status != test.status || (status == 200 && content != test.want) {
			t.Errorf("%s: got %d %q, want %d %q", test.path, status, content, test.status, test.want)
		}
	}
	_, listing := get(t, i, "/latest/meta-data/", good)
	for _, name := range []string{"ami-id", "iam/", "instance-id", "network/", "placement/", "tags/", "autoscaling/"} {
		if !strings.Contains("\n"+listing+"\n", "\n"+name+"\n") {
			t.Errorf("%s is not in the listing of meta-data:\n%s", name, listing)
		}
	}
}

// leaf is what a path shows now, "" where it is 404.
func leaf(i *Instance, path string) (content string) {
	i.scaling.do(func(now time.Time) { content = i.metadata(now)["meta-data/"+path] })
	return content
}

func TestWhatComesAndGoes(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		name    string
		options LaunchOptions
		change  func(*scaling, *Instance)
		path    string
		want    string
	}{
		{"a tag is added", LaunchOptions{}, func(_ *scaling, i *Instance) { i.SetTag("k", "v") }, "tags/instance/k", "v"},
		{"a tag is removed", LaunchOptions{Tags: map[string]string{"k": "v"}}, func(_ *scaling, i *Instance) { i.RemoveTag("k") }, "tags/instance/k", ""},
		{"tags are off", LaunchOptions{Tags: map[string]string{"k": "v"}, TagsOff: true}, nil, "tags/instance/k", ""},
		{"waiting at launch", LaunchOptions{Group: "web"}, nil, "autoscaling/target-lifecycle-state", "InService"},
		{"not in a group", LaunchOptions{}, nil, "autoscaling/target-lifecycle-state", ""},
		{"terminating, before the wait", LaunchOptions{Group: "web", TerminatingFor: time.Hour}, (*scaling).scaleIn, "autoscaling/target-lifecycle-state", "Terminated"},
		{"warm", LaunchOptions{Group: "web", IMDS: Switches{TargetState: WarmedStopped}}, nil, "autoscaling/target-lifecycle-state", "Warmed:Stopped"},
		{"spot", LaunchOptions{IMDS: Switches{SpotAction: "terminate", SpotTime: at}}, nil, "spot/instance-action", `{"action":"terminate","time":"2026-11-21T10:00:00Z"}`},
		{"rebalance", LaunchOptions{IMDS: Switches{Rebalance: at}}, nil, "events/recommendations/rebalance", `{"noticeTime":"2026-11-21T10:00:00Z"}`},
		{"no role", LaunchOptions{IMDS: Switches{NoRole: true}}, nil, "iam/info", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := fleet(t, Group{Name: "web", Hooks: []Hook{launching("up", time.Hour, "")}})
			i := s.mustLaunch(t, test.options)
			if test.change != nil {
				test.change(s, i)
			}
			equal(t, leaf(i, test.path), test.want)
		})
	}
}

func TestCredentialsComeLateAndExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := fleet(t).mustLaunch(t, LaunchOptions{IMDS: Switches{CredentialsAfter: 30 * time.Second, CredentialsFor: time.Minute}})
		const path = "iam/security-credentials/koboshi-instance"
		elapse(30*time.Second - 1)
		equal(t, leaf(i, path), "")
		elapse(1)
		var keys struct{ Code, AccessKeyID, Expiration string }
		check(t, json.Unmarshal([]byte(leaf(i, path)), &keys))
		equal(t, keys.Code, "Success")
		equal(t, keys.AccessKeyID, "ASIAA5C0DE0000000001")
		equal(t, keys.Expiration, stamp(time.Now().Add(time.Minute)))
		i.SetIMDS(func(s *Switches) { s.CredentialsCode = "AssumeRoleUnauthorizedAccess" })
		keys.AccessKeyID = ""
		check(t, json.Unmarshal([]byte(leaf(i, path)), &keys))
		equal(t, keys.Code, "AssumeRoleUnauthorizedAccess")
		equal(t, keys.AccessKeyID, "")
	})
}

// TestSDK reads through the SDK's own client, which never falls back to v1 here.
func TestSDK(t *testing.T) {
	s, i := web(t, LaunchOptions{AZ: "eu-west-1a"})
	cfg := on(t, i)
	cfg.Retryer = func() aws.Retryer { // it takes one retry to get a new token
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	}
	client := imds.NewFromConfig(cfg, func(o *imds.Options) { o.EnableFallback = aws.FalseTernary })
	doc, err := client.GetInstanceIdentityDocument(t.Context(), nil)
	check(t, err)
	equal(t, doc.InstanceID, i.ID())
	equal(t, doc.Region, "eu-west-1")
	equal(t, doc.AccountID, "123456789012")
	role, err := client.GetIAMInfo(t.Context(), nil)
	check(t, err)
	equal(t, role.InstanceProfileArn, "arn:aws:iam::123456789012:instance-profile/koboshi-instance")
	_, err = client.GetMetadata(t.Context(), &imds.GetMetadataInput{Path: "spot/instance-action"})
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v, want a 404", err)
	}
	i.ExpireTokens()
	_, err = client.GetRegion(t.Context(), nil)
	check(t, err)
	equal(t, s.Calls().Count("imds", "PUT /latest/api/token") >= 2, true)

	loaded, err := config.LoadDefaultConfig(t.Context())
	check(t, err)
	keys, err := loaded.Credentials.Retrieve(t.Context())
	check(t, err)
	equal(t, keys.AccessKeyID, i.accessKey())
	equal(t, keys.Source, "EC2RoleProvider")
}
