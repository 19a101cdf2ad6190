package notice

import (
	"time"

	"koboshi/agent/lifecycle"
)

// Reason is why an instance is drained.
type Reason string

// The reasons for a drain.
const (
	Terminated Reason = "terminated"  // scale-in, an instance refresh, a failed health check
	Spot       Reason = "spot"        // an interruption: terminate, stop or hibernate
	Replaced   Reason = "root-volume" // the root volume is replaced
	Pooled     Reason = "warm-pool"   // out of service, back into a warm pool
	Rebalance  Reason = "rebalance"   // recommended
	Operator   Reason = "operator"    // koboshi drain
	Shutdown   Reason = "shutdown"    // the machine goes down, and nothing was announced
)

// ByGroup reports whether the group itself takes the instance out of service: its load
// balancers know already, and its lifecycle hook will wait.
func (r Reason) ByGroup() bool { return r == Terminated || r == Replaced || r == Pooled }

// Notice is one reason to leave. The zero Notice is none.
type Notice struct {
	Reason Reason
	// ID tells this notice from another one of the same reason: what was drained for
	// it is not drained for it again.
	ID string
	// Until is when the machine ends whatever happens, zero where nothing says so.
	Until time.Time
	// Returns is set where this same instance comes back: it keeps its node id.
	Returns bool
}

// Policy is which notices count.
type Policy struct {
	Spot      bool
	Rebalance bool
	Pooled    bool // the instance is in its group's warm pool already, and not in service
}

// spotMargin is how long before a Spot interruption everything has to be over.
const spotMargin = 10 * time.Second

// Notice is the most pressing of the notices that count. What the group has decided
// comes before what EC2 may do, and that before what it recommends.
func (l Levels) Notice(p Policy) Notice {
	for _, n := range l.all(p) {
		if n != (Notice{}) {
			return n
		}
	}
	return Notice{}
}

// Until is the soonest moment at which any notice that counts ends the machine,
// zero where there is none.
func (l Levels) Until(p Policy) (soonest time.Time) {
	for _, n := range l.all(p) {
		if !n.Until.IsZero() && (soonest.IsZero() || n.Until.Before(soonest)) {
			soonest = n.Until
		}
	}
	return soonest
}

func (l Levels) all(p Policy) [3]Notice {
	return [3]Notice{l.group(p), l.spot(p), l.rebalance(p)}
}

func (l Levels) group(p Policy) Notice {
	switch lifecycle.TargetOf(l.Target) {
	case lifecycle.Leave:
		return Notice{Reason: Terminated, ID: string(Terminated)}
	case lifecycle.Replace:
		return Notice{Reason: Replaced, ID: string(Replaced), Returns: true}
	case lifecycle.Warm:
		if !p.Pooled {
			return Notice{Reason: Pooled, ID: string(Pooled)}
		}
	}
	return Notice{}
}

func (l Levels) spot(p Policy) Notice {
	if !p.Spot || l.Spot.Action == "" {
		return Notice{}
	}
	return Notice{
		Reason: Spot, ID: string(Spot) + " " + stamp(l.Spot.Time),
		Until: l.Spot.Time.Add(-spotMargin), Returns: l.Spot.Action != "terminate",
	}
}

func (l Levels) rebalance(p Policy) Notice {
	if !p.Rebalance || l.Rebalance.IsZero() {
		return Notice{}
	}
	return Notice{Reason: Rebalance, ID: string(Rebalance) + " " + stamp(l.Rebalance)}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
