package awstest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// controlRoot is a path that no bucket can have: names do not begin with an underscore.
const controlRoot = "/_mock/"

// control is how another process drives the server: what the Go methods do, as
// JSON over HTTP, without credentials. For loopback only.
type control struct{ *Server }

func newControl(s *Server) http.Handler {
	c := control{s}
	mux := http.NewServeMux()
	for pattern, run := range map[string]func(*http.Request) (any, error){
		"POST /_mock/groups":                       c.createGroup,
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
	} {
		mux.Handle(pattern, c.handler(run))
	}
	return mux
}

// done is the answer of what has nothing to tell.
type done struct{}

func (control) handler(run func(*http.Request) (any, error)) http.Handler {
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

func (c control) createGroup(r *http.Request) (any, error) {
	g, err := readJSON[Group](r)
	if err != nil {
		return nil, err
	}
	return done{}, c.CreateGroup(g)
}

func (c control) launch(r *http.Request) (any, error) {
	o, err := readJSON[LaunchOptions](r)
	if err != nil {
		return nil, err
	}
	i, err := c.Launch(o)
	if err != nil {
		return nil, err
	}
	return i.Status(), nil
}

func (c control) instances(*http.Request) (any, error) {
	all := []Status{}
	for _, i := range c.Instances() {
		all = append(all, i.Status())
	}
	return all, nil
}

// instance waits for ?state= first if the query has it, at most ?timeout= long.
func (c control) instance(r *http.Request) (any, error) {
	i, err := c.find(r)
	if err != nil {
		return nil, err
	}
	if want := r.FormValue("state"); want != "" {
		if err := await(r, i, State(want)); err != nil {
			return nil, err
		}
	}
	return i.Status(), nil
}

func (c control) find(r *http.Request) (*Instance, error) {
	i, err := c.Instance(r.PathValue("id"))
	if err != nil {
		return nil, notFound{err}
	}
	return i, nil
}

// on runs a change of one instance.
func (c control) on(r *http.Request, change func(*Instance) error) (any, error) {
	i, err := c.find(r)
	if err != nil {
		return nil, err
	}
	return done{}, change(i)
}

func (c control) terminate(r *http.Request) (any, error) {
	return c.on(r, func(i *Instance) error { return c.Terminate(i.ID()) })
}

// setTag takes the value as the JSON string in the body.
func (c control) setTag(r *http.Request) (any, error) {
	return c.on(r, func(i *Instance) error {
		value, err := readJSON[string](r)
		if err == nil {
			i.SetTag(r.PathValue("key"), value)
		}
		return err
	})
}

func (c control) removeTag(r *http.Request) (any, error) {
	return c.on(r, func(i *Instance) error {
		i.RemoveTag(r.PathValue("key"))
		return nil
	})
}

// setIMDS replaces all switches.
func (c control) setIMDS(r *http.Request) (any, error) {
	return c.on(r, func(i *Instance) error {
		switches, err := readJSON[Switches](r)
		if err == nil {
			i.SetIMDS(func(s *Switches) { *s = switches })
		}
		return err
	})
}

func (c control) expireTokens(r *http.Request) (any, error) {
	return c.on(r, func(i *Instance) error {
		i.ExpireTokens()
		return nil
	})
}

func (c control) addFault(r *http.Request) (any, error) {
	f, err := readJSON[Fault](r)
	if err != nil {
		return nil, err
	}
	return map[string]int{"id": c.Faults().Add(f)}, nil
}

func (c control) listFaults(*http.Request) (any, error) { return c.Faults().List(), nil }

func (c control) clearFaults(*http.Request) (any, error) {
	c.Faults().Clear()
	return done{}, nil
}

func (c control) removeFault(r *http.Request) (any, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return nil, fmt.Errorf("fault id %q: %w", r.PathValue("id"), err)
	}
	if !c.Faults().Remove(id) {
		return nil, notFound{fmt.Errorf("no fault %d", id)}
	}
	return done{}, nil
}

// listCalls filters by ?service=, ?operation= and ?instance=.
func (c control) listCalls(r *http.Request) (any, error) {
	is := func(key, value string) bool { return r.FormValue(key) == "" || r.FormValue(key) == value }
	calls := c.Calls().Filter(func(call Call) bool {
		return is("service", call.Service) && is("operation", call.Operation) && is("instance", call.Instance)
	})
	return append([]Call{}, calls...), nil
}

func (c control) resetCalls(*http.Request) (any, error) {
	c.Calls().Reset()
	return done{}, nil
}

func (c control) createBucket(r *http.Request) (any, error) {
	c.S3().CreateBucket(r.PathValue("name"))
	return done{}, nil
}
