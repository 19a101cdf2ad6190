package guard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/group"
)

// The model is one group with one process, a holder, one or two who repair, and a
// stranger with two calls. It explores every order of their steps, with a death after
// each step of holder and repairers, calls whose answer is lost, Describe that answers
// what was up to 30 s ago, in any order, and time that passes between any two steps: a
// second, or more than a minute. The rules are the real ones.

// subject is the process of the model.
const subject = group.AZRebalance

// rules are what the model explores: those of the package, or a mutant.
type rules struct {
	missing   func(Record, group.Group) []group.Process
	intend    func(Record, group.Group) Record
	recognise func(Record, group.Group) (Record, bool)
	undo      func(Record, group.Group, bool) ([]group.Process, []Left, bool)
}

func realRules() rules { return rules{Record.Missing, Record.Intend, Record.Recognise, Record.Undo} }

// Who has suspended the process last.
type owner int

const (
	none owner = iota
	guarded
	stranger
	onTop // the stranger, while it was suspended by the guard
)

// truth is what is, at some time.
type truth struct {
	since int // seconds, when the value began
	at    int // the time in the reason
	by    owner
}

// The steps of holder and repairers.
type step int

const (
	look      step = iota // at the group, for before and T
	intending             // write the intent
	calling               // Suspend
	looking               // again, for the reasons
	keeping               // write the reasons
	running
	undoing   // look at the group, to undo
	resuming  // Resume
	releasing // write
	done
	takingOver
	dead
)

func (s step) String() string {
	return [...]string{"look", "intend", "Suspend", "look again", "keep", "run", "undo", "Resume", "release", "done", "take over", "dead"}[s]
}

// node is one state of the model.
type node struct {
	now             int
	seconds, leaps  int // that may still pass
	history         []truth
	record          Record
	intended        int // the time of the last intent
	calls           int // of the stranger
	step            step
	repairs, deaths int
	seen            int  // the time in the reason that was looked at
	seenAt          int  // when
	open, answered  bool // of the undo, and of Suspend
	mistaken        bool // the reason that was kept is of a stranger's suspension
}

func (n node) truth() truth { return n.history[len(n.history)-1] }

func (n node) key(lag int) string {
	var b strings.Builder
	fmt.Fprint(&b, n.now, n.seconds, n.leaps, n.intended, n.calls, n.step, n.repairs, n.deaths, n.seen, n.seenAt, n.open, n.answered, n.mistaken, n.record.State, n.record.Fence, n.record.Until.Unix())
	for i, t := range n.history { // those that Describe may answer, without order
		if i == len(n.history)-1 || lag > 0 && n.history[i+1].since >= n.now-lag {
			fmt.Fprint(&b, " ", t.since, t.at, t.by)
		}
	}
	fmt.Fprint(&b, n.record.Before, n.record.Ours)
	return b.String()
}

// lagging is how old an answer of Describe may be, in seconds.
const lagging = 30

// free is the time in the reason of what is not suspended.
const free = -1000

var epoch = time.Date(2026, 4, 12, 21, 57, 0, 0, time.UTC)

func clockAt(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func reasonOf(at int) string { return "User suspended at " + clockAt(at).Format(time.RFC3339) }

// group is what was looked at.
func (n node) group() group.Group {
	g := group.Group{Name: "web", At: clockAt(n.seenAt), Suspended: map[group.Process]string{}}
	if n.seen != free {
		g.Suspended[subject] = reasonOf(n.seen)
	}
	return g
}

func (n node) set(t truth) node {
	t.since = n.now
	if last := n.truth(); last.by == t.by && last.at == t.at {
		return n
	}
	n.history = append(slices.Clone(n.history), t)
	return n
}

// explorer walks all states once.
type explorer struct {
	rules
	renews bool   // a second Suspend renews the reason
	lag    int    // how old an answer of Describe may be
	until  string // the fault that ends it; "" = explore everything
	states map[string]bool
	ends   int

	// excused are ends in which something of the guard's stays since a stranger has
	// suspended and resumed between the guard's look and its Suspend, which Describe
	// showed only afterwards.
	excused int
	faults  map[string]int
	path    []node            // to the state that is looked at
	how     map[string]string // the first path to each fault
}

func (e *explorer) fault(what string) {
	if e.faults[what]++; e.faults[what] > 1 {
		return
	}
	var b strings.Builder
	for _, n := range e.path {
		fmt.Fprintf(&b, "\n%4d %-10s seen %d, truth %v, ours %v, before %v", n.now, n.step, n.seen, n.truth(), n.record.Ours, n.record.Before)
	}
	e.how[what] = b.String()
}

func (e *explorer) walk(n node) {
	e.path = append(e.path, n)
	defer func() { e.path = e.path[:len(e.path)-1] }()
	key := n.key(e.lag)
	if e.states[key] || e.faults[e.until] > 0 {
		return
	}
	e.states[key] = true
	next := e.after(n)
	if n.step == done && n.calls == 0 {
		e.ends++
		switch {
		case n.truth().by == guarded && n.mistaken && e.lag > 0:
			e.excused++
		case n.truth().by == guarded:
			e.fault("something of the guard's stays")
		}
	}
	for _, m := range next {
		e.walk(m)
	}
}

// after are the states that can follow.
func (e *explorer) after(n node) (next []node) {
	if n.seconds > 0 {
		m := n
		m.now, m.seconds = m.now+1, m.seconds-1
		next = append(next, m)
	}
	if n.leaps > 0 {
		m := n
		m.now, m.leaps = m.now+61, m.leaps-1
		next = append(next, m)
	}
	if n.calls > 0 {
		next = append(next, e.stranger(n)...)
	}
	if n.step == dead {
		return append(next, e.repair(n)...)
	}
	if n.step == done {
		return next
	}
	if n.deaths > 0 && n.step != look {
		m := n
		m.step, m.deaths = dead, m.deaths-1
		next = append(next, m)
	}
	return append(next, e.act(n)...)
}

func (e *explorer) stranger(n node) []node {
	n.calls--
	t := n.truth()
	if t.by == none {
		return []node{n.set(truth{at: n.now, by: stranger}), n}
	}
	by, at := t.by, t.at
	if by == guarded {
		by = onTop
	}
	if e.renews {
		at = n.now
	}
	return []node{n.set(truth{at: at, by: by}), n.set(truth{at: free, by: none}), n}
}

// looks are the answers of Describe that are possible now.
func (e *explorer) looks(n node) (all []node) {
	for i, t := range n.history {
		if current := i == len(n.history)-1; !current && (e.lag == 0 || n.history[i+1].since < n.now-e.lag) {
			continue
		}
		m := n
		m.seenAt, m.seen = n.now, t.at
		if n.step == looking {
			m.mistaken = t.by == stranger
		}
		all = append(all, m)
	}
	return all
}

// write is a record that is stored, with a lease that ends at once: to repair, a minute
// has to pass.
func (n node) write(r Record) node {
	r.Until = clockAt(n.now)
	n.record = r
	return n
}

func (e *explorer) act(n node) (next []node) {
	at := func(s step, all ...node) {
		for _, m := range all {
			m.step = s
			next = append(next, m)
		}
	}
	switch n.step {
	case look:
		at(intending, e.looks(n)...)
	case intending:
		if len(e.missing(n.record, n.group())) == 0 {
			at(running, n)
			break
		}
		m := n.write(e.intend(n.record, n.group()))
		m.intended, m.answered = n.seenAt, false
		at(calling, m)
	case calling:
		m := n
		switch t := n.truth(); {
		case n.now > n.intended+int((Horizon-10*time.Second)/time.Second): // the call is given up sooner
			at(undoing, n)
			return next
		case t.by == none:
			m = n.set(truth{at: n.now, by: guarded})
		case e.renews:
			m = n.set(truth{at: n.now, by: t.by})
		}
		at(undoing, m) // the answer is lost
		at(undoing, n) // the call was
		m.answered = true
		at(looking, m)
	case looking:
		for _, m := range e.looks(n) {
			if _, settled := e.recognise(m.record, m.group()); settled {
				at(keeping, m)
			} else if m.now > n.intended {
				at(undoing, m) // interrupted meanwhile; else it looks again, which is a state that was seen
			}
		}
	case keeping:
		r, _ := e.recognise(n.record, n.group())
		at(running, n.write(r))
	case running:
		at(undoing, n)
	case undoing:
		for _, m := range e.looks(n) {
			_, _, m.open = e.undo(m.record, m.group(), m.answered)
			at(resuming, m)
		}
	case resuming:
		m := n
		if resume, _, _ := e.undo(n.record, n.group(), n.answered); len(resume) > 0 {
			e.check(n)
			m = n.set(truth{at: free, by: none})
		}
		if m.open {
			at(undoing, m)
			break
		}
		at(releasing, m)
	case releasing:
		at(done, n.write(n.record.Release()))
	case takingOver:
		r, err := n.record.TakeOver("repair", 0, false, clockAt(n.now))
		if err == nil {
			m := n.write(r)
			m.answered = false
			at(undoing, m)
		}
	}
	return next
}

// check is whether the guard may resume what is suspended: a stranger's suspension only
// where it came within the minute, on top of the guard's, or after what was looked at.
func (e *explorer) check(n node) {
	t := n.truth()
	within := t.at >= n.intended && t.at <= n.intended+int(Horizon/time.Second)
	unseen := t.at != n.seen
	if t.by == stranger && !within && !unseen {
		e.fault("a stranger's suspension is resumed")
	}
}

func (e *explorer) repair(n node) []node {
	if n.record.State == Released || n.repairs == 0 {
		return nil
	}
	n.repairs--
	n.step = takingOver
	return []node{n}
}

// explore walks everything from both beginnings.
func explore(r rules, renews bool, lag int, until string) *explorer {
	e := &explorer{rules: r, until: until, renews: renews, lag: lag, states: map[string]bool{}, faults: map[string]int{}, how: map[string]string{}}
	for _, before := range []truth{{at: free, by: none}, {at: -100, by: stranger}} {
		before.since = -100
		e.walk(node{
			seconds: 1, leaps: 2, history: []truth{before}, calls: 2, repairs: 1, deaths: 1, seen: free,
			record: Record{Group: "web", Fence: 1, State: Held, Want: []group.Process{subject}, Until: clockAt(0)},
		})
	}
	return e
}

// variants are what AWS leaves open.
var variants = []struct {
	renews bool
	lag    int
}{{false, 0}, {true, 0}, {false, lagging}, {true, lagging}}

func TestModel(t *testing.T) {
	for _, v := range variants {
		renews := v.renews
		e := explore(realRules(), v.renews, v.lag, "")
		t.Logf("Describe lags by %d s, a second Suspend renews the reason: %v: %d states, %d ends, %d excused", v.lag, renews, len(e.states), e.ends, e.excused)
		for what, n := range e.faults {
			t.Errorf("renews %v: %s in %d states, first:%s", renews, what, n, e.how[what])
		}
		if len(e.states) < 5000 || e.ends == 0 {
			t.Errorf("renews %v: only %d states, %d ends", renews, len(e.states), e.ends)
		}
	}
}

// Each rule is needed: without it the model finds what it is for.
func TestModelNoticesWhatIsMissing(t *testing.T) {
	for name, mutant := range map[string]struct {
		rules
		want string
	}{
		"no intent": {rules{
			Record.Missing,
			func(r Record, seen group.Group) Record {
				next := r.Intend(seen)
				next.Ours = r.clone().Ours
				return next
			},
			func(r Record, seen group.Group) (Record, bool) {
				reason, is := seen.Suspended[subject]
				next := r.clone()
				if is && r.Before[subject] == "" {
					next.Ours[subject] = Claim(reason)
				}
				return next, is
			}, Record.Undo,
		}, "something of the guard's stays"},
		"no before": {rules{
			func(r Record, _ group.Group) []group.Process { return r.Want },
			func(r Record, seen group.Group) Record {
				next := r.clone()
				next.Ours[subject] = Intent(seen.At)
				return next
			},
			func(r Record, seen group.Group) (Record, bool) {
				next := r.clone()
				if reason, is := seen.Suspended[subject]; is {
					next.Ours[subject] = Claim(reason)
				}
				return next, true
			}, Record.Undo,
		}, "a stranger's suspension is resumed"},
		"no check of the reason": {rules{Record.Missing, Record.Intend, Record.Recognise, func(r Record, seen group.Group, answered bool) ([]group.Process, []Left, bool) {
			_, left, open := r.Undo(seen, answered)
			var resume []group.Process
			for _, p := range slices.Sorted(maps.Keys(r.Ours)) {
				if _, is := seen.Suspended[p]; is {
					resume = append(resume, p)
				}
			}
			return resume, left, open
		}}, "a stranger's suspension is resumed"},
		"an intent that AWS does not show yet is dropped": {rules{Record.Missing, Record.Intend, Record.Recognise, func(r Record, seen group.Group, answered bool) ([]group.Process, []Left, bool) {
			resume, left, _ := r.Undo(seen, answered)
			resume = slices.DeleteFunc(resume, func(p group.Process) bool { _, is := seen.Suspended[p]; return !is })
			return resume, left, false
		}}, "something of the guard's stays"},
	} {
		found := map[string]int{}
		states := 0
		for _, v := range variants {
			e := explore(mutant.rules, v.renews, v.lag, mutant.want)
			maps.Copy(found, e.faults)
			states += len(e.states)
		}
		t.Logf("%s: %d states, %v", name, states, found)
		if found[mutant.want] == 0 {
			t.Errorf("%s: the model finds %v, want %q", name, found, mutant.want)
		}
	}
}
