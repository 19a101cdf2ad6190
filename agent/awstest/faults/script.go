package faults

import (
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
// delays. It reports whether there was such a fault.
func (f *Script) Remove(id int) bool {
	return f.remove(func(s *scripted) bool { return s.ID == id }) > 0
}

// Clear empties the script and releases the requests that it delays.
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

// Wrap puts the script and the call log between clients and one service.
// Describe returns a request's operation and the instance it comes from, empty
// where unknown; fail writes that service's errors.
func (f *Script) Wrap(service string, describe func(*http.Request) (operation, instance string), fail ErrorWriter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := &Call{
			Time: f.now(), Service: service,
			Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Range: r.Header.Get("Range"),
		}
		call.Operation, call.Instance = describe(r)
		handler := next
		for _, a := range slices.Backward(f.acting(call)) {
			handler = a.around(handler, fail)
		}
		handler.ServeHTTP(f.calls.record(w, call), r)
	})
}

// acting returns the faults that act on a call, and counts them.
func (f *Script) acting(c *Call) []*action {
	f.mu.Lock()
	defer f.mu.Unlock()
	var acting []*action
	for _, s := range f.script {
		if !s.due(c) {
			continue
		}
		acting = append(acting, s.act())
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
func (s *scripted) act() *action {
	a := &action{Fault: s.Fault, gone: s.gone}
	if s.Jitter > 0 {
		a.Delay += Duration(s.rand.Int64N(int64(s.Jitter)))
	}
	return a
}
