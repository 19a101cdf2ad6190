package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// ErrorWriter answers one request with an error in a service's own format.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, status int, code, message string)

// Script is the ordered list of faults. Every request is compared with each
// fault in the order in which they were added; those that act combine, up to and
// including the first that replaces the answer. So two faults with Times 1 and a
// Status make two requests in a row fail, and a lasting Delay added before them
// slows both.
type Script struct {
	now   func() time.Time
	calls *Calls

	mu     sync.Mutex
	lastID int
	script []*scripted

	handled int           // requests that are being handled, also after their client has gone
	waiting int           // of these, that are held or late and have come in as a whole
	changed chan struct{} // closed when one of these changes; nil while none waits for that
}

// State is a fault in the script and how often it acted.
type State struct {
	ID int `json:"id"`
	Fault
	Matches int `json:"matches"` // requests the selectors picked
	Hits    int `json:"hits"`    // requests it acted on
}

// scripted is a fault under Script.mu.
type scripted struct {
	State
	rand   *rand.Rand
	gone   chan struct{} // closed once the fault is removed
	bucket TokenBucket
}

// New returns an empty script whose Wrap records every request in calls,
// stamped by now.
func New(now func() time.Time, calls *Calls) *Script {
	return &Script{now: now, calls: calls}
}

// Add appends a fault to the script and returns the id it has there.
func (f *Script) Add(fault Fault) (id int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastID++
	f.script = append(f.script, &scripted{
		State:  State{ID: f.lastID, Fault: fault},
		rand:   rand.New(rand.NewPCG(0, uint64(f.lastID))),
		gone:   make(chan struct{}),
		bucket: TokenBucket{Burst: fault.Burst, PerSecond: fault.PerSecond},
	})
	return f.lastID
}

// Remove takes a fault out of the script and releases the requests that it
// delays or holds. It reports whether there was such a fault.
func (f *Script) Remove(id int) bool {
	return f.remove(func(s *scripted) bool { return s.ID == id }) > 0
}

// Clear empties the script and releases the requests that it delays or holds.
func (f *Script) Clear() {
	f.remove(func(*scripted) bool { return true })
}

func (f *Script) remove(which func(*scripted) bool) (removed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = slices.DeleteFunc(f.script, func(s *scripted) bool {
		if !which(s) {
			return false
		}
		close(s.gone)
		removed++
		return true
	})
	return removed
}

// Settle returns once no request is being handled: those that were held or late, whose
// clients may have gone, have taken effect. Its error is that of ctx, such as where a
// fault that was not removed still holds one.
func (f *Script) Settle(ctx context.Context) error {
	return f.await(ctx, "requests to take effect", func() bool { return f.handled == 0 })
}

// Holds returns once n requests are held or late: they will take effect, even if their
// clients go now. Its error is that of ctx.
func (f *Script) Holds(ctx context.Context, n int) error {
	return f.await(ctx, "requests to be held", func() bool { return f.waiting >= n })
}

func (f *Script) await(ctx context.Context, what string, reached func() bool) error {
	for {
		f.mu.Lock()
		if reached() {
			f.mu.Unlock()
			return nil
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// count adds to the numbers of requests.
func (f *Script) count(handled, waiting int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handled += handled
	f.waiting += waiting
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// List returns the script in order.
func (f *Script) List() []State {
	f.mu.Lock()
	defer f.mu.Unlock()
	states := make([]State, len(f.script))
	for i, s := range f.script {
		states[i] = s.State
	}
	return states
}

// Wrap puts the script and the call log between clients and one service, whose answers
// it dates by the script's clock.
// Describe returns a request's operation and the instance it comes from, empty
// where unknown; fail writes that service's errors.
func (f *Script) Wrap(service string, describe func(*http.Request) (operation, instance string), fail ErrorWriter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := &Call{
			Time: f.now(), Service: service,
			Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Range: r.Header.Get("Range"),
		}
		call.Operation, call.Instance = describe(r)
		handler := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stamp(w, f.now())
			next.ServeHTTP(w, r)
		}))
		acting := f.acting(call)
		defer f.count(-1, 0)
		for _, a := range slices.Backward(acting) {
			handler = a.around(handler, fail)
		}
		handler.ServeHTTP(f.calls.record(w, call), r)
	})
}

// acting returns the faults that act on a call, and counts them. The call counts as
// handled until the caller takes that back.
func (f *Script) acting(c *Call) (acting []*action) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handled++
	for _, s := range f.script {
		if !s.due(c) {
			continue
		}
		acting = append(acting, s.act(f))
		if s.replaces() {
			break
		}
	}
	return acting
}

// due counts a match and reports whether it is this fault's turn.
func (s *scripted) due(c *Call) bool {
	if !s.matches(c) {
		return false
	}
	s.Matches++
	switch {
	case s.Matches <= s.Skip:
	case s.Times > 0 && s.Hits >= s.Times:
	case s.Percent > 0 && s.rand.IntN(100) >= s.Percent:
	case (s.Burst > 0 || s.PerSecond > 0) && s.bucket.Take(c.Time):
	default:
		s.Hits++
		return true
	}
	return false
}

// act determines what the fault does to one request.
func (s *scripted) act(script *Script) *action {
	a := &action{Fault: s.Fault, gone: s.gone, script: script}
	if s.Jitter > 0 {
		a.Delay += Duration(s.rand.Int64N(int64(s.Jitter)))
	}
	return a
}
