package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/query"
	"koboshi/agent/awstest/s3"
)

// fleetCloud is the mock's S3 and Auto Scaling for a fleet that lives in one
// process and in the test's own time: without a network, and with token buckets
// as AWS has them.
type fleetCloud struct {
	begun   time.Time
	objects *s3.Store
	model   *autoscaling.Model
	api     *query.API
	outage  func(service string, at time.Duration) bool

	mu      sync.Mutex
	buckets map[string]*faults.TokenBucket // by service
	tallies map[string]*tally              // by operation
}

// tally is the outcome of the calls of one operation.
type tally struct{ calls, throttled, failed int }

// newFleetCloud has a share of AWS's own limits: all of it is 100 calls of Auto
// Scaling and 20 a second, and 5,500 GETs and 3,500 PUTs a second. The group "web" has a launch
// hook that waits for an hour.
func newFleetCloud(objects *s3.Store, share float64) (*fleetCloud, error) {
	model := autoscaling.New(time.Now, func(*autoscaling.Instance, autoscaling.LaunchOptions) error { return nil })
	c := &fleetCloud{
		begun: time.Now(), objects: objects, model: model, api: autoscaling.NewAPI(model),
		outage: func(string, time.Duration) bool { return false },
		buckets: map[string]*faults.TokenBucket{
			"s3 put":      {Burst: int(3500 * share), PerSecond: 3500 * share},
			"s3":          {Burst: int(5500 * share), PerSecond: 5500 * share},
			"autoscaling": {Burst: int(100 * share), PerSecond: 20 * share},
		},
		tallies: map[string]*tally{},
	}
	return c, model.CreateGroup(autoscaling.Group{Name: "web", Hooks: []autoscaling.Hook{
		{Name: "koboshi-launching", Transition: autoscaling.OnLaunch, HeartbeatTimeout: time.Hour},
	}})
}

// Do implements aws.HTTPClient.
func (c *fleetCloud) Do(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	switch r.Method {
	case http.MethodGet:
		c.storage(w, r, "s3", "GetObject "+kindOfKey(r.URL.Path))
	case http.MethodPut:
		c.storage(w, r, "s3 put", "PutObject")
	default:
		c.scaling(w, r)
	}
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

func (c *fleetCloud) storage(w http.ResponseWriter, r *http.Request, service, operation string) {
	switch c.admit(service, operation) {
	case http.StatusServiceUnavailable:
		s3.WriteError(w, r, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	case http.StatusInternalServerError:
		s3.WriteError(w, r, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	default:
		c.objects.ServeHTTP(w, r)
	}
}

func (c *fleetCloud) scaling(w http.ResponseWriter, r *http.Request) {
	if err := query.ParseForm(w, r); err != nil {
		c.api.Fail(w, r, http.StatusBadRequest, "MalformedQueryString", err.Error())
		return
	}
	switch c.admit("autoscaling", r.PostForm.Get("Action")) {
	case http.StatusServiceUnavailable:
		c.api.Fail(w, r, http.StatusBadRequest, "Throttling", "Rate exceeded")
	case http.StatusInternalServerError:
		c.api.Fail(w, r, http.StatusInternalServerError, "InternalFailure", "The request processing has failed because of an unknown error")
	default:
		c.api.ServeHTTP(w, r)
	}
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

// admit counts a call and returns the status of its refusal, or 200.
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
	case !c.buckets[service].Take(now):
		t.throttled++
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// settle waits until the lifecycle action of a launch has ended, by its timeout if
// nothing else ends it.
func settle(i *autoscaling.Instance) autoscaling.Action {
	if action := i.Actions()[0]; action.Ending == "" {
		pass(time.Until(action.Deadline) + time.Second)
	}
	return i.Actions()[0]
}
