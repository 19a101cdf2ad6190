package faults

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Call is one request to a service, as changed by faults.
type Call struct {
	Time      time.Time `json:"time"`
	Service   string    `json:"service"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	Path      string    `json:"path"` // decoded
	Query     string    `json:"query,omitempty"`
	Range     string    `json:"range,omitempty"`
	Instance  string    `json:"instance,omitempty"`
	Status    int       `json:"status"` // as the client saw it; 0 when it saw none, or none yet
	Bytes     int64     `json:"bytes"`  // of the response body, so far
}

// Calls is the log of all requests in the order they came in. The zero value
// is ready for use.
type Calls struct {
	mu      sync.Mutex
	log     []*Call
	changed chan struct{} // closed when the log grows; nil while no Await waits
}

// All returns a copy of the log.
func (c *Calls) All() []Call {
	return c.Filter(func(Call) bool { return true })
}

// Filter returns the calls for which keep returns true.
func (c *Calls) Filter(keep func(Call) bool) []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var kept []Call
	for _, call := range c.log {
		if keep(*call) {
			kept = append(kept, *call)
		}
	}
	return kept
}

// Count returns how many calls there were of an operation. An empty service or
// operation stands for all of them.
func (c *Calls) Count(service, operation string) int {
	n, _ := c.count(service, operation)
	return n
}

// Await returns once there have been n calls of an operation, answered or not.
// Its error is that of ctx.
func (c *Calls) Await(ctx context.Context, service, operation string, n int) error {
	for {
		seen, changed := c.count(service, operation)
		if seen >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("await %d calls of %s %s, seen %d: %w", n, service, operation, seen, ctx.Err())
		}
	}
}

// Reset empties the log.
func (c *Calls) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = nil
}

// count also returns a channel that is closed when the log grows.
func (c *Calls) count(service, operation string) (n int, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range c.log {
		if (service == "" || call.Service == service) && (operation == "" || call.Operation == operation) {
			n++
		}
	}
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return n, c.changed
}

// record logs a call and returns a writer that adds the answer to it.
func (c *Calls) record(w http.ResponseWriter, call *Call) http.ResponseWriter {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, call)
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	return &callWriter{ResponseWriter: w, calls: c, call: call}
}

// update changes a logged call.
func (c *Calls) update(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// callWriter notes status and size of an answer in its call.
type callWriter struct {
	http.ResponseWriter
	calls *Calls
	call  *Call
}

// Unwrap is for http.ResponseController.
func (w *callWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *callWriter) WriteHeader(status int) {
	w.calls.update(func() { w.call.Status = status })
	w.ResponseWriter.WriteHeader(status)
}

func (w *callWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.calls.update(func() {
		w.call.Bytes += int64(n)
		if w.call.Status == 0 {
			w.call.Status = http.StatusOK
		}
	})
	return n, err
}

// Flush sends what is buffered.
func (w *callWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }
