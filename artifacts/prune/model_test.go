package prune

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts/retire"
)

// The model is one release in one channel, and all that may happen to it at once: a
// promotion to it, another one that moves the channel away, a publish of the same version
// with other bytes that has found the version free, an operator who keeps it and takes
// that back, and two prunes with several runs each. It explores every order of their
// calls, with a death after each of them, writes that take effect later than they were
// sent, and time that passes between any two calls. The rules are the real ones.

// tick is the unit of time in the model.
const tick = 30 * time.Minute

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(ticks int8) time.Time { return epoch.Add(time.Duration(ticks) * tick) }

// flight is how long a write is on its way at most.
const flight = int8(time.Hour / tick)

// object is a mark in the store, in few bytes.
type object struct {
	code  int8 // of the state
	fence int8
	at    int8
}

var states = []retire.State{"", retire.Unmarked, retire.Marked, retire.Sweeping, retire.Gone, retire.Kept}

func (o object) state() retire.State { return states[o.code] }

func (o object) found() retire.Found {
	if o.state() == "" {
		return retire.Found{}
	}
	return retire.Found{Mark: retire.Mark{State: o.state(), Fence: int64(o.fence)}, Modified: at(o.at)}
}

// proc is a process: where it is, and what it has read.
type proc struct {
	step  int8
	left  int8 // runs that may still follow
	mark  object
	seq   int8 // of the pointer
	bytes int8 // of the manifest
	asked int8
	named bool
}

// request is a write that was sent; the zero request is none.
type request struct {
	kind  int8 // toPointer or toManifest
	until int8
	seq   int8
	bytes int8
}

const (
	toPointer int8 = iota + 1
	toManifest
)

// The processes.
const (
	promoter = iota
	publisher
	operator
	pruneA
	pruneB
	procs
)

// state is the whole world.
type state struct {
	now      int8
	mark     object
	channel  int8 // the bytes of the manifest that it points to; 0 = another release
	seq      int8
	blob     bool
	manifest int8 // whose bytes; 0 = none
	moves    int8 // of the channel, away from the release
	deaths   int8
	procs    [procs]proc
	requests [2]request
}

// steps of the processes; each is one call.
const (
	begin int8 = iota
	ask
	check
	send
	look
	write
	deleteBlob
	deleteManifest
	finish
	over
)

// laws are what the model explores: the real ones, or a mutant.
type laws struct {
	refuses    func(retire.State) bool
	ended      func(asked, now time.Time) bool
	due        func(r *Release, named bool, now time.Time) Action
	keep       func(retire.Mark) (retire.Mark, error)
	swaps      bool // the mark is swapped to sweeping
	judgesLate bool // its age is judged after the channels were read
	keepSwaps  bool // the operator's write has a condition
	asksAgain  bool // the publisher, before it writes the manifest
}

func realLaws() laws {
	rules := Options{App: "web", Grace: retire.MinGrace}
	return laws{
		refuses: retire.State.Refuses, ended: retire.Ended,
		due: func(r *Release, named bool, now time.Time) Action {
			var points map[string]string
			if named {
				points = map[string]string{r.Version: "a channel points to it"}
			}
			rules.decide([]*Release{r}, points, now)
			return r.Action
		},
		keep:  func(m retire.Mark) (retire.Mark, error) { return m.To(retire.Kept, "web", "1.0", "", epoch) },
		swaps: true, keepSwaps: true, asksAgain: true,
	}
}

// bounds are how large a world is.
type bounds struct {
	last, moves, deaths int8
	runs, others        int8 // of the two prunes
	keeps, promotions   int8
	publishes           bool
}

type explorer struct {
	laws
	bounds
	seen   map[state]bool
	faults map[string][]string // what went wrong, and the first way to it
	until  bool                // ends at the first fault
	path   []string
}

func (e *explorer) fault(what string) {
	if e.faults[what] == nil {
		e.faults[what] = slices.Clone(e.path)
	}
}

func (e *explorer) walk(s state, how string) {
	if e.seen[s] || e.until && len(e.faults) > 0 {
		return
	}
	e.seen[s] = true
	e.path = append(e.path, how)
	defer func() { e.path = e.path[:len(e.path)-1] }()
	switch {
	case s.channel != 0 && (!s.blob || s.manifest != s.channel):
		e.fault("the channel points to what is gone")
		return
	case s.mark.state() == retire.Gone && s.manifest != 0:
		e.fault("a version that is gone is published again")
		return
	}
	if s.now < e.last {
		t := s
		t.now++
		for i, q := range t.requests {
			if q.kind != 0 && q.until < t.now {
				t.requests[i] = request{}
			}
		}
		e.walk(t, "time")
	}
	if s.moves > 0 {
		t := s
		t.moves--
		t.channel, t.seq = 0, t.seq+1
		e.walk(t, "the channel is moved away")
	}
	for i := range s.requests {
		e.apply(s, i)
	}
	for i := range procs {
		p := s.procs[i]
		if p.step == over {
			continue
		}
		if s.deaths > 0 && p.step != begin {
			t := s
			t.deaths--
			t.procs[i] = rest(p)
			e.walk(t, fmt.Sprintf("%s dies", who(i)))
		}
		e.act(s, i)
	}
}

func who(i int) string { return [...]string{"promote", "publish", "keep", "prune A", "prune B"}[i] }

// rest is a process whose run is over.
func rest(p proc) proc {
	if p.left == 0 {
		return proc{step: over}
	}
	return proc{step: begin, left: p.left - 1}
}

// apply is a write that takes effect, once, or is refused.
func (e *explorer) apply(s state, i int) {
	q := s.requests[i]
	if q.kind == 0 {
		return
	}
	s.requests[i] = request{}
	switch {
	case q.kind == toPointer && q.seq == s.seq:
		s.channel, s.seq = q.bytes, s.seq+1
	case q.kind == toManifest && s.manifest == 0:
		s.manifest = q.bytes
	}
	e.walk(s, "a write takes effect")
}

// send puts a write on its way.
func (s *state) send(q request) {
	q.until = s.now + flight
	for i := range s.requests {
		if s.requests[i].kind == 0 {
			s.requests[i] = q
			return
		}
	}
}

// swap is a write of a mark under the condition of what was read.
func (s *state) swap(was object, to retire.State, conditional bool) bool {
	if conditional && was != s.mark {
		return false
	}
	s.mark = object{int8(slices.Index(states, to)), was.fence + 1, s.now}
	return true
}

func (e *explorer) act(s state, i int) {
	switch i {
	case promoter:
		e.promote(s)
	case publisher:
		e.publish(s)
	case operator:
		e.operate(s)
	default:
		e.prune(s, i)
	}
}

// promote reads the pointer, the mark and the release, and writes the pointer.
func (e *explorer) promote(s state) {
	p := &s.procs[promoter]
	how := "promote: "
	switch p.step {
	case begin:
		how += "reads the pointer"
		p.step, p.seq = ask, s.seq
	case ask:
		how += "asks"
		p.step, p.asked = check, s.now
		if e.refuses(s.mark.state()) {
			*p = rest(*p)
		}
	case check:
		how += "looks at the release"
		p.step, p.bytes = send, s.manifest
		if s.manifest == 0 || !s.blob {
			*p = rest(*p)
		}
	case send:
		how += "sends the pointer"
		if !e.ended(at(p.asked), at(s.now)) {
			s.send(request{kind: toPointer, seq: p.seq, bytes: p.bytes})
		}
		*p = rest(*p)
	}
	e.walk(s, how)
}

// publish has found the version free and has uploaded its artifacts.
func (e *explorer) publish(s state) {
	p := &s.procs[publisher]
	how := "publish: "
	switch p.step {
	case begin:
		how += "asks"
		p.step, p.asked = send, s.now
		if e.asksAgain && e.refuses(s.mark.state()) {
			*p = rest(*p)
		}
	case send:
		how += "sends the manifest"
		if !e.asksAgain || !e.ended(at(p.asked), at(s.now)) {
			s.send(request{kind: toManifest, bytes: 2})
		}
		*p = rest(*p)
	}
	e.walk(s, how)
}

// operate keeps the release, and takes that back.
func (e *explorer) operate(s state) {
	p := &s.procs[operator]
	if p.step == begin {
		p.step, p.mark = write, s.mark
		e.walk(s, "keep: reads the mark")
		return
	}
	was := p.mark.found().Mark
	next, err := e.keep(was)
	if was.State == retire.Kept {
		next, err = was.To(retire.Unmarked, "web", "1.0", "", epoch)
	}
	if err == nil {
		s.swap(p.mark, next.State, e.keepSwaps)
	}
	*p = rest(*p)
	e.walk(s, fmt.Sprintf("keep: writes %s, %v", next.State, err))
}

// prune is a run: it looks at channel and mark, and does what the rules say.
func (e *explorer) prune(s state, i int) {
	p := &s.procs[i]
	how := who(i) + ": "
	change := func(to retire.State, then int8) {
		how += "writes " + string(to)
		if !s.swap(p.mark, to, true) {
			how += ", in vain"
			*p = rest(*p)
			return
		}
		if p.mark = s.mark; then == over {
			*p = rest(*p)
			return
		}
		p.step = then
	}
	switch p.step {
	case begin:
		how += "reads the mark"
		p.step, p.mark, p.asked = look, s.mark, s.now
		if s.mark.state() == retire.Gone {
			*p = rest(*p)
		}
	case look:
		how += "reads the channel"
		p.step, p.named = write, s.channel != 0
	case write:
		r := &Release{Version: "1.0", State: p.mark.state(), manifest: true, found: p.mark.found(), Objects: 1, Created: epoch.Add(-time.Hour)}
		now := p.asked
		if e.judgesLate {
			now = s.now
		}
		switch action := e.due(r, p.named, at(now)); {
		case action == Mark:
			change(retire.Marked, over)
		case action == Unmark:
			change(retire.Unmarked, over)
		case action == Sweep && (!e.swaps || p.mark.state() == retire.Sweeping):
			how += "goes on"
			p.step = deleteBlob
		case action == Sweep:
			change(retire.Sweeping, deleteBlob)
		default:
			how += string(action)
			*p = rest(*p)
		}
	case deleteBlob:
		how += "deletes the artifact"
		s.blob, p.step = false, deleteManifest
	case deleteManifest:
		how += "deletes the manifest"
		s.manifest, p.step = 0, finish
	case finish:
		if p.mark.state() != retire.Sweeping {
			*p = rest(*p) // without a swap there is none to gone
			break
		}
		change(retire.Gone, over)
	}
	e.walk(s, how)
}

func explore(l laws, b bounds, until bool) *explorer {
	e := &explorer{laws: l, bounds: b, until: until, seen: map[state]bool{}, faults: map[string][]string{}}
	s := state{blob: true, manifest: 1, moves: b.moves, deaths: b.deaths}
	for i, left := range []int8{b.promotions, 0, b.keeps, b.runs, b.others} {
		s.procs[i] = rest(proc{left: left})
	}
	if b.publishes {
		s.procs[publisher] = proc{step: begin}
	}
	e.walk(s, "")
	return e
}

// quick are the worlds that every test run explores whole.
var quick = []bounds{
	{last: 4, runs: 2, others: 1, promotions: 1, keeps: 1},
	{last: 5, runs: 3, promotions: 1, moves: 1, deaths: 1},
	{last: 5, runs: 2, others: 1, publishes: true, deaths: 1},
}

func TestModel(t *testing.T) { holds(t, quick, 80_000) }

// holds explores worlds whole.
func holds(t *testing.T, worlds []bounds, least int) {
	t.Helper()
	all := 0
	for _, b := range worlds {
		e := explore(realLaws(), b, false)
		t.Logf("%+v: %d states", b, len(e.seen))
		for what, way := range e.faults {
			t.Errorf("%+v: %s:\n%s", b, what, strings.Join(way, "\n"))
		}
		all += len(e.seen)
	}
	t.Logf("%d states in all", all)
	if all < least {
		t.Errorf("%d states, want %d", all, least)
	}
}

// mutants are the laws without one of them, each with a world in which that is found.
var mutants = map[string]struct {
	mutate func(*laws)
	in     bounds
}{
	"promotions do not look at the mark": {func(l *laws) { l.refuses = func(retire.State) bool { return false } }, bounds{last: 4, runs: 2, promotions: 1}},
	"a promotion may last":               {func(l *laws) { l.ended = func(_, _ time.Time) bool { return false } }, bounds{last: 4, runs: 2, promotions: 1}},
	"no grace": {func(l *laws) {
		with := l.due
		l.due = func(r *Release, named bool, now time.Time) Action {
			r.found.Modified = now.Add(-24 * time.Hour)
			return with(r, named, now)
		}
	}, bounds{last: 4, runs: 2, promotions: 1}},
	"no swap to sweeping": {func(l *laws) { l.swaps = false }, bounds{last: 4, runs: 2, promotions: 1, keeps: 1}},
	"keep during a sweep": {func(l *laws) {
		with := l.keep
		l.keep = func(m retire.Mark) (retire.Mark, error) {
			if m.State == retire.Sweeping {
				m.State = retire.Marked
			}
			return with(m)
		}
	}, bounds{last: 4, runs: 2, promotions: 1, keeps: 1}},
	"a keep without a condition":       {func(l *laws) { l.keepSwaps = false }, bounds{last: 4, runs: 2, promotions: 1, keeps: 1}},
	"the age is judged too late":       {func(l *laws) { l.judgesLate = true }, bounds{last: 5, runs: 2, promotions: 1}},
	"a publish asks only at its begin": {func(l *laws) { l.asksAgain = false }, bounds{last: 4, runs: 2, publishes: true}},
}

// Each law is needed.
func TestModelNoticesWhatIsMissing(t *testing.T) {
	found := 0
	for name, m := range mutants {
		l := realLaws()
		m.mutate(&l)
		e := explore(l, m.in, true)
		t.Logf("%s: %d states, %d faults", name, len(e.seen), len(e.faults))
		if len(e.faults) > 0 {
			found++
			continue
		}
		t.Errorf("%s: nothing is found in %d states of %+v", name, len(e.seen), m.in)
	}
	t.Logf("%d of %d mutants are found", found, len(mutants))
}
