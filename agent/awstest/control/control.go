// Package control drives a mock from another process: its Go methods as JSON over
// HTTP.
package control

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/codedeploy"
	"koboshi/agent/awstest/dynamodb"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/elb"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/imds"
	"koboshi/agent/awstest/s3"
)

// root is a path that no bucket can have: names do not begin with an underscore.
const root = "/_mock/"

// Is reports whether a request is for the control endpoint.
func Is(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, root) }

type endpoint struct {
	*ec2.Fleet
	elb     *elb.Balancer
	s3      *s3.Store
	tables  *dynamodb.Store
	deploys *codedeploy.Store
	faults  *faults.Script
	calls   *faults.Calls
}

// Services are those of a mock that are driven from outside, besides its fleet.
type Services struct {
	Balancer    *elb.Balancer
	Objects     *s3.Store
	Tables      *dynamodb.Store
	Deployments *codedeploy.Store
}

// New is the control endpoint, without credentials: for loopback only.
func New(fleet *ec2.Fleet, s Services, script *faults.Script, calls *faults.Calls) http.Handler {
	c := endpoint{fleet, s.Balancer, s.Objects, s.Tables, s.Deployments, script, calls}
	mux := http.NewServeMux()
	for pattern, run := range map[string]func(*http.Request) (any, error){
		"POST /_mock/groups":                       c.createGroup,
		"PUT /_mock/groups/{name}/desired":         c.scale,
		"PUT /_mock/groups/{name}/pool":            c.putPool,
		"DELETE /_mock/groups/{name}/pool":         c.deletePool,
		"GET /_mock/groups/{name}/suspended":       c.suspended,
		"POST /_mock/groups/{name}/suspended":      c.suspend,
		"DELETE /_mock/groups/{name}/suspended":    c.resume,
		"POST /_mock/groups/{name}/trigger":        c.trigger,
		"PUT /_mock/groups/{name}/refreshes":       c.setRefreshes,
		"PUT /_mock/alarms/{name}":                 c.setAlarm,
		"PUT /_mock/lag":                           c.setLag,
		"PUT /_mock/deployments/{app}/{group}":     c.setDeployments,
		"POST /_mock/targetgroups":                 c.createTargetGroup,
		"GET /_mock/targetgroups/{name}":           c.targetHealth,
		"POST /_mock/instances/{id}/move/{to}":     c.move,
		"POST /_mock/instances/{id}/spot":          c.interrupt,
		"DELETE /_mock/instances/{id}/spot":        c.withdraw,
		"POST /_mock/instances/{id}/rebalance":     c.rebalance,
		"DELETE /_mock/instances/{id}/rebalance":   c.rebalance,
		"POST /_mock/instances":                    c.launch,
		"GET /_mock/instances":                     c.instances,
		"GET /_mock/instances/{id}":                c.instance,
		"DELETE /_mock/instances/{id}":             c.terminate,
		"PUT /_mock/instances/{id}/tags/{key}":     c.setTag,
		"DELETE /_mock/instances/{id}/tags/{key}":  c.removeTag,
		"PUT /_mock/instances/{id}/imds":           c.setIMDS,
		"DELETE /_mock/instances/{id}/imds/tokens": c.expireTokens,
		"POST /_mock/faults":                       c.addFault,
		"GET /_mock/faults":                        c.listFaults,
		"DELETE /_mock/faults":                     c.clearFaults,
		"DELETE /_mock/faults/{id}":                c.removeFault,
		"GET /_mock/calls":                         c.listCalls,
		"DELETE /_mock/calls":                      c.resetCalls,
		"POST /_mock/buckets/{name}":               c.createBucket,
		"POST /_mock/tables":                       c.createTable,
	} {
		mux.Handle(pattern, c.handler(run))
	}
	return mux
}

// done is the answer without content.
type done struct{}

func (endpoint) handler(run func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		result, err := run(r)
		if err != nil {
			writeJSON(w, controlStatus(err), map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, result)
	})
}

// notFound is an error that answers 404; any other answers 400.
type notFound struct{ error }

func controlStatus(err error) int {
	if _, ok := errors.AsType[notFound](err); ok {
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

func (c endpoint) createGroup(r *http.Request) (any, error) {
	g, err := readJSON[autoscaling.Group](r)
	if err != nil {
		return nil, err
	}
	return done{}, c.CreateGroup(g)
}

func (c endpoint) launch(r *http.Request) (any, error) {
	o, err := readJSON[autoscaling.LaunchOptions](r)
	if err != nil {
		return nil, err
	}
	i, err := c.Launch(o)
	if err != nil {
		return nil, err
	}
	return statusOf(i), nil
}

func (c endpoint) instances(*http.Request) (any, error) {
	all := []Status{}
	for _, i := range c.Instances() {
		all = append(all, statusOf(i))
	}
	return all, nil
}

// instance waits for ?state= first if the query has it, at most ?timeout= long.
func (c endpoint) instance(r *http.Request) (any, error) {
	i, err := c.find(r)
	if err != nil {
		return nil, err
	}
	if want := r.FormValue("state"); want != "" {
		if err := await(r, i, autoscaling.State(want)); err != nil {
			return nil, err
		}
	}
	return statusOf(i), nil
}

func (c endpoint) find(r *http.Request) (*ec2.Instance, error) {
	i, err := c.Instance(r.PathValue("id"))
	if err != nil {
		return nil, notFound{err}
	}
	return i, nil
}

// on runs a change of one instance.
func (c endpoint) on(r *http.Request, change func(*ec2.Instance) error) (any, error) {
	i, err := c.find(r)
	if err != nil {
		return nil, err
	}
	return done{}, change(i)
}

func (c endpoint) terminate(r *http.Request) (any, error) {
	return c.on(r, func(i *ec2.Instance) error { return c.Terminate(i.ID()) })
}

// setTag takes the value as the JSON string in the body.
func (c endpoint) setTag(r *http.Request) (any, error) {
	return c.on(r, func(i *ec2.Instance) error {
		value, err := readJSON[string](r)
		if err == nil {
			i.SetTag(r.PathValue("key"), value)
		}
		return err
	})
}

func (c endpoint) removeTag(r *http.Request) (any, error) {
	return c.on(r, func(i *ec2.Instance) error {
		i.RemoveTag(r.PathValue("key"))
		return nil
	})
}

// setIMDS replaces all switches.
func (c endpoint) setIMDS(r *http.Request) (any, error) {
	return c.on(r, func(i *ec2.Instance) error {
		switches, err := readJSON[imds.Switches](r)
		if err == nil {
			i.SetIMDS(func(s *imds.Switches) { *s = switches })
		}
		return err
	})
}

func (c endpoint) expireTokens(r *http.Request) (any, error) {
	return c.on(r, func(i *ec2.Instance) error {
		i.ExpireTokens()
		return nil
	})
}

func (c endpoint) addFault(r *http.Request) (any, error) {
	f, err := readJSON[faults.Fault](r)
	if err == nil {
		err = f.Check()
	}
	if err != nil {
		return nil, err
	}
	return map[string]int{"id": c.faults.Add(f)}, nil
}

func (c endpoint) listFaults(*http.Request) (any, error) { return c.faults.List(), nil }

func (c endpoint) clearFaults(*http.Request) (any, error) {
	c.faults.Clear()
	return done{}, nil
}

func (c endpoint) removeFault(r *http.Request) (any, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return nil, fmt.Errorf("fault id %q: %w", r.PathValue("id"), err)
	}
	if !c.faults.Remove(id) {
		return nil, notFound{fmt.Errorf("no fault %d", id)}
	}
	return done{}, nil
}

// listCalls filters by ?service=, ?operation= and ?instance=.
func (c endpoint) listCalls(r *http.Request) (any, error) {
	is := func(key, value string) bool { return r.FormValue(key) == "" || r.FormValue(key) == value }
	calls := c.calls.Filter(func(call faults.Call) bool {
		return is("service", call.Service) && is("operation", call.Operation) && is("instance", call.Instance)
	})
	return append([]faults.Call{}, calls...), nil
}

func (c endpoint) resetCalls(*http.Request) (any, error) {
	c.calls.Reset()
	return done{}, nil
}

func (c endpoint) createBucket(r *http.Request) (any, error) {
	if err := s3.CheckBucketName(r.PathValue("name")); err != nil {
		return nil, err
	}
	c.s3.CreateBucket(r.PathValue("name"))
	return done{}, nil
}

// Table is a table of DynamoDB that is to be created.
type Table struct {
	Region    string       `json:"region"`
	Name      string       `json:"name"`
	Partition dynamodb.Key `json:"partition"`
	Sort      dynamodb.Key `json:"sort"` // no name: there is none
}

func (c endpoint) createTable(r *http.Request) (any, error) {
	t, err := readJSON[Table](r)
	if err != nil {
		return nil, err
	}
	return done{}, c.tables.CreateTable(t.Region, t.Name, t.Partition, t.Sort)
}
