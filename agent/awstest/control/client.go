package control

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
)

// Client drives a mock in another process by its control endpoint.
type Client struct {
	URL string // of the server
}

// Do sends one request, such as POST of a Group to groups, and reads the
// answer into out unless that is nil. In may be nil, too. The paths and what
// goes in and out are:
//
//	POST   groups                     Group in
//	PUT    groups/{name}/desired      int in
//	PUT    groups/{name}/pool         Pool in
//	DELETE groups/{name}/pool
//	GET    groups/{name}/suspended    {"Launch":"User suspended at …"} out
//	POST   groups/{name}/suspended    []Process in, and [] means all of them
//	DELETE groups/{name}/suspended    []Process in, and [] means all of them
//	POST   groups/{name}/trigger      Trigger in, {"acted":true} out
//	PUT    groups/{name}/refreshes    []autoscaling.Refresh in, the newest first, which are only shown
//	PUT    alarms/{name}              bool in: whether it is in ALARM, which fails refreshes that name it
//	PUT    lag                        duration in: Describe answers what was so long ago
//	PUT    deployments/{app}/{group}  []codedeploy.Deployment in, the newest first
//	POST   targetgroups               elb.Group in, {"arn":"…"} out
//	GET    targetgroups/{name}        []elb.Health out
//	POST   instances                  LaunchOptions in, Status out
//	GET    instances                  []Status out
//	GET    instances/{id}             Status out; with ?state=S&timeout=D once it is in that state
//	DELETE instances/{id}             scale-in
//	POST   instances/{id}/move/{to}   to is one of autoscaling.Moves
//	POST   instances/{id}/spot        Interruption in
//	DELETE instances/{id}/spot        withdraws it
//	POST   instances/{id}/rebalance   recommends it
//	DELETE instances/{id}/rebalance
//	PUT    instances/{id}/tags/{key}  string in
//	DELETE instances/{id}/tags/{key}
//	PUT    instances/{id}/imds        Switches in, all of them
//	DELETE instances/{id}/imds/tokens expires them
//	POST   faults                     Fault in, {"id":1} out
//	GET    faults                     []FaultState out
//	DELETE faults
//	DELETE faults/{id}
//	GET    calls                      []Call out; ?service=, ?operation= and ?instance= choose
//	DELETE calls
//	POST   buckets/{name}
//	POST   tables                     Table in
func (c Client) Do(ctx context.Context, method, path string, in, out any) error {
	var content []byte
	if in != nil {
		var err error
		if content, err = json.Marshal(in, jsonOptions()); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+root+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("asking the mock: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return refusal(answer)
	}
	if out == nil {
		return nil
	}
	return json.UnmarshalRead(answer.Body, out, jsonOptions())
}

// refusal is the error that the control endpoint answered with.
func refusal(answer *http.Response) error {
	content, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("reading the mock's answer: %w", err)
	}
	var answered struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(content, &answered); err != nil || answered.Error == "" {
		return fmt.Errorf("the mock answered %s", answer.Status)
	}
	return fmt.Errorf("%s", answered.Error)
}
