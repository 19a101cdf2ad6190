package nodeid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/agent/state"
	"koboshi/artifacts/pace"
)

// ErrNodeID is the sentinel of everything that keeps this machine from having its node
// id. What it joins says what it was.
var ErrNodeID = errors.New("no node id")

// Errors beneath ErrNodeID, beside those of package lease.
var (
	ErrNoWatch  = errors.New("koboshi watch does not run: nothing would renew the lease")
	ErrOtherIDs = errors.New("koboshi watch runs with another configuration: it would not renew this lease")
	ErrTooShort = errors.New("the lease is too short")
	ErrRestarts = errors.New("systemd would start the app again within one unit of time")
	ErrNone     = errors.New("this machine holds none")
)

// App is the app's service on this machine, with what systemd does for it.
type App interface {
	Running(ctx context.Context) (bool, error)
	Stop(ctx context.Context) error
	// Limits are how long the app may take to stop, and how soon systemd starts it again
	// after it has failed; the longest time there is = it does not.
	Limits(ctx context.Context) (stop, restart time.Duration, err error)
	// Arm has PID 1 begin to stop the app at that moment, whatever becomes of the agent,
	// in place of the moment that was armed before.
	Arm(ctx context.Context, at time.Time) error
	Disarm(ctx context.Context) error
}

// Node is the node id of one app on one machine, as one process sees it. Its maker sets
// every exported field; Instance and Tables may be set later than the others.
type Node struct {
	Config   config.NodeID
	Instance instance.Identity
	Tables   func(scope string) (lease.Table, error) // nil = not connected yet: only what is on the disk counts
	Nonce    lease.Nonce                             // drawn once by the process
	Clock    state.Clock
	Now      func() time.Time
	State    *os.Root
	Run      *os.Root
	App      App
	Warn     func(format string, args ...any)

	// Patient has a claim repeated until its context ends, where the table does not
	// answer or every id is held: nothing runs that could go on.
	Patient bool

	claims   *lease.Holder // of one table, for all of this process
	failedAt lease.Millis  // the last renewal that failed in this process
}

// watchTime is how long koboshi watch is waited for: systemd starts it beside the boot.
const watchTime = 15 * time.Second

// Env are the app's variables by the lease that is held. Those of its bounds are of the
// moment at which the app was started. Without a lease there are none.
func (n *Node) Env() []string {
	r, _, err := n.load()
	if err != nil || !n.mine(r) {
		return nil
	}
	return n.variables(r)
}

// mine reports whether the record is of a lease that this instance holds in the scope.
func (n *Node) mine(r Record) bool {
	_, next := n.resume(r)
	return next != lease.ClaimAnew
}

// here reports whether a record is of the scope, and the table, that are configured.
func (n *Node) here(r Record) bool {
	return r.Scope == n.Config.Scope && r.Table == n.Config.Table.String()
}

// given reports whether an id is one that this instance may have, by the configuration as
// it is now. Which zone this is may not be known yet.
func (n *Node) given(id int) bool {
	if slices.Contains(n.Config.Reserved, id) {
		return false
	}
	if len(n.Config.Datacenter) > 0 && n.Instance.AZ == "" {
		return true
	}
	first, last, err := n.Config.Within(n.Instance.AZ)
	return err == nil && first <= id && id <= last
}

// resume is how the lease of a record goes on in this boot.
func (n *Node) resume(r Record) (lease.Tenure, lease.Next) {
	if !n.here(r) || !n.given(r.ID) {
		return lease.Tenure{}, lease.ClaimAnew
	}
	return r.resume(n.Instance.ID, n.Clock.Boot, n.Config.Scope)
}

// Serves reports whether the app was started under the lease that this machine holds.
func (n *Node) Serves() bool {
	r, _, err := n.load()
	return err == nil && n.mine(r) && r.Phase == lease.Holding
}

// Holds reports whether this machine has a lease, by its disk.
func (n *Node) Holds() bool {
	r, _, err := n.load()
	return err == nil && n.mine(r)
}

// Hold has an id held that leaves the app time to run: the one that was held, as the disk
// has it, or one that is claimed. A lease that is lost while the app may run stops it.
// Errors are ErrNodeID.
func (n *Node) Hold(ctx context.Context) (note string, err error) {
	unlock, err := n.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	r, warning, err := n.load()
	if err != nil {
		return "", failed(err)
	}
	if warning != nil {
		n.Warn("the lease that was held is not known, and another id is claimed: %v", warning)
	}
	need, err := n.need(ctx)
	if err != nil {
		return "", failed(err)
	}
	t, next := n.resume(r)
	if next != lease.ClaimAnew {
		if err := n.awaitWatch(ctx, n.renewedOtherwise); err != nil {
			return "", failed(err)
		}
		held, err := n.goOn(ctx, &r, t, need)
		if held || err != nil {
			return describe(r), failed(err)
		}
	}
	if err := n.claim(ctx, &r, need); err != nil {
		return "", failed(err)
	}
	return describe(r), nil
}

func failed(err error) error {
	if err == nil || errors.Is(err, ErrNodeID) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNodeID, err)
}

func describe(r Record) string { return fmt.Sprintf("%d of %s", r.ID, r.Scope) }

// need is how long before its end a lease is no good for a start any more: PID 1 would
// stop the app at once.
func (n *Node) need(ctx context.Context) (time.Duration, error) {
	if n.Config.Aware {
		return 0, nil
	}
	stop, restart, err := n.App.Limits(ctx)
	if err != nil {
		return 0, err
	}
	if unit := time.Duration(n.Config.Unit); restart < unit {
		return 0, fmt.Errorf("%w: RestartSec= is %s, node_id.unit is %s", ErrRestarts, restart, unit)
	}
	before := stop + time.Duration(n.Config.Margin+n.Config.Ahead)
	if whole := time.Duration(n.Config.Lease - n.Config.Renew); before >= whole {
		return 0, fmt.Errorf("%w: the app is stopped %s before its end, which is not less than lease - renew, %s", ErrTooShort, before, whole)
	}
	return before, nil
}

// goOn keeps the lease that is held. It asks the table only where too little is left of
// the lease; held is false where that is lost, or the clock is far behind its mark.
func (n *Node) goOn(ctx context.Context, r *Record, t lease.Tenure, need time.Duration) (held bool, err error) {
	now := n.Now()
	bounds := t.Bounds(n.unit(), n.slack())
	behind := bounds.NotBefore - now.UnixMilli()
	if r.Phase == lease.Stopped && behind > time.Duration(n.Config.Wait).Milliseconds() {
		n.Warn("this machine's clock is %s behind the last moment that id %d was used at: another one is claimed", time.Duration(behind)*time.Millisecond, r.ID)
		return false, n.giveUp(ctx, r)
	}
	if bounds.ValidUntil-need.Milliseconds() > now.UnixMilli() {
		return true, r.save(n.State) // a disk that takes no record is found out before the app is stopped
	}
	holder, err := n.holder(r.Scope)
	if err != nil {
		return false, err
	}
	renewed, err := holder.Renew(ctx, t)
	if errors.Is(err, lease.ErrLost) {
		n.Warn("the lease of id %d is lost: %v", r.ID, err)
		return false, n.standDown(ctx, r)
	}
	if err != nil {
		return false, err
	}
	r.set(renewed)
	n.noteRenewed(r)
	return true, r.save(n.State)
}

var errNotConnected = errors.New("the table cannot be asked before this machine knows itself")

// giveUp releases a lease whose app has ended. While the table cannot be asked at all it
// is kept: a clock that was far ahead may have had the app go beyond the mark that the
// table has.
func (n *Node) giveUp(ctx context.Context, r *Record) error {
	holder, err := n.holder(r.Scope)
	if err != nil {
		return err
	}
	r.Phase = lease.Releasing
	if err := r.save(n.State); err != nil {
		return err
	}
	if err := holder.Release(ctx, r.Tenure(), r.Mark); err != nil {
		n.Warn("id %d of %s could not be released, and frees itself: %v", r.ID, r.Scope, err)
	}
	return nil
}

// standDown stops an app whose lease is lost.
func (n *Node) standDown(ctx context.Context, r *Record) error {
	if r.Phase != lease.Holding {
		return nil
	}
	if err := n.App.Stop(ctx); err != nil {
		return fmt.Errorf("the app could not be stopped: %w", err)
	}
	return n.markDown(r)
}

// claim takes an id. The lease under which the app may still run is kept until the app is
// started under the new one.
func (n *Node) claim(ctx context.Context, r *Record, need time.Duration) error {
	holder, err := n.holder(n.Config.Scope)
	if err != nil {
		return err
	}
	if err := n.awaitWatch(ctx, n.watched); err != nil {
		return err
	}
	var avoid []int
	if r.Instance == n.Instance.ID && n.here(*r) {
		avoid = append(avoid, r.ID)
	}
	t, err := n.tryClaims(ctx, holder, avoid)
	if err != nil {
		return err
	}
	claimed := Record{
		Instance: n.Instance.ID, Boot: n.Clock.Boot, Scope: n.Config.Scope, Table: n.Config.Table.String(),
		Phase: lease.Stopped, Mark: t.Floor, Before: n.earlier(*r), // nothing is used before the app is started
	}
	claimed.set(t)
	n.noteRenewed(&claimed)
	*r = claimed
	if until := t.Bounds(n.unit(), n.slack()).ValidUntil; until-need.Milliseconds() <= n.Now().UnixMilli() {
		err = fmt.Errorf("%w: to claim it has taken too long", ErrTooShort)
	} else {
		err = r.save(n.State)
	}
	if err != nil && n.unknown(t) { // each attempt would lock another id away
		err = errors.Join(err, holder.Release(ctx, t, t.Floor))
	}
	return err
}

// unknown reports whether the disk has nothing of a tenure, so that no process can go on
// with it. A record may be in place although to write it has failed.
func (n *Node) unknown(t lease.Tenure) bool {
	r, _, err := n.load()
	return err == nil && (r.Gen != t.Gen || r.Nonce != t.Nonce || r.ID != t.ID)
}

// earlier is the lease that the app may still run under, of another scope or table, or an
// id that is not given any more; nil where there is none.
func (n *Node) earlier(r Record) *Record {
	switch {
	case r.Instance != n.Instance.ID:
		return nil
	case r.Before != nil:
		return r.Before
	case r.Phase == lease.Releasing || n.here(r) && n.given(r.ID):
		return nil
	}
	return &r
}

// tryClaims claims until an id is had. Where something runs that can go on, it is tried
// once.
func (n *Node) tryClaims(ctx context.Context, holder *lease.Holder, avoid []int) (lease.Tenure, error) {
	pauses := pace.Backoff{First: 2 * time.Second, Most: 30 * time.Second}
	for try := 1; ; try++ {
		t, err := holder.Claim(ctx, avoid...)
		if err == nil || !n.Patient || errors.Is(err, lease.ErrClock) {
			return t, err
		}
		if pace.Sleep(ctx, pauses.Pause(try, pace.Share(n.Instance.ID, try))) != nil {
			return t, err
		}
	}
}

// awaitWatch waits until nothing is wrong with the watch.
func (n *Node) awaitWatch(ctx context.Context, problem func() error) error {
	ctx, cancel := context.WithTimeout(ctx, watchTime)
	defer cancel()
	for {
		err := problem()
		if err == nil || pace.Sleep(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// holder is what asks the table of a scope. It is the same one for all of this process.
func (n *Node) holder(scope string) (*lease.Holder, error) {
	if n.claims != nil && n.claims.Scope == scope {
		return n.claims, nil
	}
	if n.Tables == nil {
		return nil, errNotConnected
	}
	first, last, err := n.Config.Within(n.Instance.AZ)
	if err != nil {
		return nil, err
	}
	table, err := n.Tables(scope)
	if err != nil {
		return nil, err
	}
	n.claims = &lease.Holder{
		Table: table, Scope: scope, Claimant: lease.Claimant{Owner: n.Instance.ID, Nonce: n.Nonce},
		Terms: lease.Terms{Lease: ms(n.Config.Lease), Slack: n.slack()},
		IDs:   lease.IDs{First: first, Last: last, Reserved: n.Config.Reserved, Lowest: n.Config.Order == config.OrderLowest},
		Wait:  time.Duration(n.Config.Wait), Now: n.Now,
	}
	return n.claims, nil
}

// slack is what an app that does not look may overrun its lease by.
func (n *Node) slack() lease.Millis {
	if n.Config.Aware {
		return 0
	}
	return ms(n.Config.Quarantine)
}

func (n *Node) unit() lease.Millis { return ms(n.Config.Unit) }

func ms(d config.Duration) lease.Millis { return time.Duration(d).Milliseconds() }

func (n *Node) lock(ctx context.Context) (unlock func(), err error) {
	if n.State == nil || n.Run == nil {
		return nil, failed(fmt.Errorf("%w: there is no place for its record", state.ErrDisk))
	}
	unlock, err = state.LockNodeID(ctx, n.Run)
	return unlock, failed(err)
}

func (n *Node) load() (Record, error, error) {
	if n.State == nil {
		return Record{}, nil, state.ErrDisk
	}
	return Load(n.State)
}

func (n *Node) noteRenewed(r *Record) {
	r.Renewed, r.Failures, r.Failure = n.Now().UTC().Truncate(time.Second), 0, ""
}
