package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"koboshi/artifacts"
)

// fleetCloud is S3 and Auto Scaling for a fleet that lives in one process and
// in the test's own time: answers as agent/awstest gives them, without a
// network, and token buckets as AWS has them.
type fleetCloud struct {
	begun   time.Time
	objects map[string][]byte // by path
	timeout time.Duration     // the hook's
	outage  func(service string, at time.Duration) bool

	mu      sync.Mutex
	buckets map[string]*tokens // by service
	tallies map[string]*tally  // by operation
	members map[string]*member
}

// tokens is a token bucket.
type tokens struct {
	burst, rate float64 // rate a second
	left        float64
	at          time.Time
}

func (b *tokens) take(now time.Time) bool {
	b.left = min(b.burst, b.left+b.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// tally is what came of the calls of one operation.
type tally struct{ calls, throttled, failed int }

// member is one instance of the group.
type member struct {
	launched, deadline, ready time.Time
	result                    string // of the hook: "" = it waits
	timedOut                  bool
}

// newFleetCloud has a share of AWS's own limits: all of it is 100 calls of Auto
// Scaling and 20 a second, and 5,500 GETs a second.
func newFleetCloud(objects map[string][]byte, share float64) *fleetCloud {
	now := time.Now()
	return &fleetCloud{
		begun: now, objects: objects, timeout: time.Hour,
		outage: func(string, time.Duration) bool { return false },
		buckets: map[string]*tokens{
			"s3":          {burst: 5500 * share, rate: 5500 * share, left: 5500 * share, at: now},
			"autoscaling": {burst: 100 * share, rate: 20 * share, left: 100 * share, at: now},
		},
		tallies: map[string]*tally{}, members: map[string]*member{},
	}
}

// launch makes an instance that waits in the hook.
func (c *fleetCloud) launch(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members[id] = &member{launched: time.Now(), deadline: time.Now().Add(c.timeout)}
}

// Do implements aws.HTTPClient.
func (c *fleetCloud) Do(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if r.Method == http.MethodGet {
		return c.storage(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	return c.scaling(r, string(body))
}

func (c *fleetCloud) storage(r *http.Request) (*http.Response, error) {
	switch c.admit("s3", "GetObject "+kindOfKey(r.URL.Path)) {
	case http.StatusServiceUnavailable:
		return answerXML(r, http.StatusServiceUnavailable, `<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`), nil
	case http.StatusInternalServerError:
		return answerXML(r, http.StatusInternalServerError, `<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>`), nil
	}
	data, ok := c.objects[r.URL.Path]
	if !ok {
		return answerXML(r, http.StatusNotFound, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`), nil
	}
	w := newAnswer(r, http.StatusOK, data)
	var first, last int
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); n == 2 && first <= last && last < len(data) {
		w = newAnswer(r, http.StatusPartialContent, data[first:last+1])
		w.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(data)))
	}
	w.Header.Set("ETag", `"`+artifacts.Sum(data).String()+`"`)
	return w, nil
}

func kindOfKey(path string) string {
	switch {
	case strings.Contains(path, "/channels/"):
		return "pointer"
	case strings.HasSuffix(path, "manifest.json"):
		return "manifest"
	case strings.Contains(path, "index"):
		return "index"
	}
	return "artifact"
}

// admit counts a call and tells how it is refused, if it is.
func (c *fleetCloud) admit(service, operation string) (status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tallies[operation]
	if t == nil {
		t = &tally{}
		c.tallies[operation] = t
	}
	t.calls++
	switch now := time.Now(); {
	case c.outage(service, now.Sub(c.begun)):
		t.failed++
		return http.StatusInternalServerError
	case !c.buckets[service].take(now):
		t.throttled++
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

func (c *fleetCloud) scaling(r *http.Request, form string) (*http.Response, error) {
	values := parseForm(form)
	action := values["Action"]
	switch c.admit("autoscaling", action) {
	case http.StatusServiceUnavailable:
		return refuseAction(r, http.StatusBadRequest, "Throttling", "Rate exceeded"), nil
	case http.StatusInternalServerError:
		return refuseAction(r, http.StatusInternalServerError, "InternalFailure", "The request processing has failed because of an unknown error"), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch action {
	case "DescribeLifecycleHooks":
		return acceptAction(r, action, fmt.Sprintf(`<LifecycleHooks><member><LifecycleHookName>koboshi-launching</LifecycleHookName><AutoScalingGroupName>web</AutoScalingGroupName>`+
			`<LifecycleTransition>autoscaling:EC2_INSTANCE_LAUNCHING</LifecycleTransition><HeartbeatTimeout>%d</HeartbeatTimeout></member></LifecycleHooks>`, c.timeout/time.Second)), nil
	case "DescribeAutoScalingInstances":
		id := values["InstanceIds.member.1"]
		return acceptAction(r, action, `<AutoScalingInstances><member><InstanceId>`+id+`</InstanceId><AutoScalingGroupName>web</AutoScalingGroupName><LifecycleState>`+
			c.state(id)+`</LifecycleState></member></AutoScalingInstances>`), nil
	}
	id := values["InstanceId"]
	if c.state(id) != "Pending:Wait" {
		return refuseAction(r, http.StatusBadRequest, "ValidationError", "No active Lifecycle Action found with instance ID "+id), nil
	}
	m := c.members[id]
	m.deadline = time.Now().Add(c.timeout)
	if action == "CompleteLifecycleAction" {
		m.result, m.ready = values["LifecycleActionResult"], time.Now()
	}
	return acceptAction(r, action, ""), nil
}

// state is called under the lock. A hook that has waited for too long abandons.
func (c *fleetCloud) state(id string) string {
	m := c.members[id]
	if m.result == "" && time.Now().After(m.deadline) {
		m.result, m.timedOut = "ABANDON", true
	}
	return map[string]string{"": "Pending:Wait", "CONTINUE": "InService", "ABANDON": "Terminated"}[m.result]
}

// parseForm reads names and values that need no unescaping.
func parseForm(form string) map[string]string {
	values := map[string]string{}
	for pair := range strings.SplitSeq(form, "&") {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	return values
}

func acceptAction(r *http.Request, action, result string) *http.Response {
	return answerXML(r, http.StatusOK, fmt.Sprintf(`<%[1]sResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>`, action, result))
}

func refuseAction(r *http.Request, status int, code, message string) *http.Response {
	return answerXML(r, status, `<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><Error><Type>Sender</Type><Code>`+code+`</Code><Message>`+message+`</Message></Error></ErrorResponse>`)
}

func answerXML(r *http.Request, status int, text string) *http.Response {
	w := newAnswer(r, status, []byte(text))
	w.Header.Set("Content-Type", "text/xml")
	return w
}

func newAnswer(r *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Length": {fmt.Sprint(len(body))}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
}
