package awstest

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
)

// FuzzQuery sends forms that no SDK makes: every answer is XML, and the server keeps running.
func FuzzQuery(f *testing.F) {
	f.Add("Action=DescribeAutoScalingInstances&InstanceIds.member.1=i-1")
	f.Add("Action=PutLifecycleHook&AutoScalingGroupName=web&LifecycleHookName=up&HeartbeatTimeout=x")
	f.Add("Action=CreateAutoScalingGroup&AutoScalingGroupName=w&MinSize=-1&MaxSize=1")
	f.Add("Action=GetCallerIdentity")
	f.Add("Action=SignalResource&StackName=web&LogicalResourceId=Group&UniqueId=i-1&Status=SUCCESS")
	f.Add("Action=%3Cb%3E&Version=%00")
	f.Add("%zz")
	s := New(f)
	if err := s.CreateGroup(autoscaling.Group{Name: "web", Max: 1}); err != nil {
		f.Fatal(err)
	}
	handler := s.handler()
	f.Fuzz(func(t *testing.T, form string) {
		if values, err := url.ParseQuery(form); err == nil && (len(values.Get("MinSize"))+len(values.Get("DesiredCapacity"))) > 2 {
			return // large fleets take ports and time
		}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=ASIAA5C0DE0000000001/20261121/us-east-1/autoscaling/aws4_request")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 {
			t.Errorf("%q: status %d", form, w.Code)
		}
		if err := xml.Unmarshal(w.Body.Bytes(), new(struct{ XMLName xml.Name })); err != nil {
			t.Errorf("%q: %v in %s", form, err, w.Body)
		}
	})
}
