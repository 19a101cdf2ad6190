package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/lease"
	"koboshi/agent/report"
	"koboshi/artifacts/bucket"
)

const (
	allowNodes = "koboshi iam-policy prints what the role needs, and koboshi iam-policy --bucket-policy the bucket's own policy"
	moreNodes  = "widen node_id.range, or shorten node_id.lease: koboshi node-id plan"
)

// nearlyFull is the share of its ids, in percent, from which a scope has hardly room for
// more instances.
const nearlyFull = 80

// nodesFacts are what was asked of the table of node ids.
type nodesFacts struct {
	name   string
	shard  fact[[]lease.Stored] // the first one
	listed fact[[]lease.Stored] // all, which may take long where there are very many
	probe  fact[struct{}]       // errNoConditions where it stores what it should not
}

func (f *facts) askNodes(ctx context.Context, table lease.Table) {
	if table == nil {
		return
	}
	f.nodes.name = table.String()
	n := f.config.NodeID
	together(
		func() {
			f.nodes.shard = ask(ctx, func(ctx context.Context) ([]lease.Stored, error) {
				return table.List(ctx, n.Range[0]/table.ShardSize())
			})
		},
		func() {
			f.nodes.listed = ask(ctx, func(ctx context.Context) ([]lease.Stored, error) {
				return lease.Listed(ctx, table, n.Range[0], n.Range[1])
			})
		},
		func() {
			if tried, ok := table.(lease.Prober); ok {
				f.nodes.probe = ask0(ctx, func(ctx context.Context) error { return probe(ctx, tried) })
			}
		},
	)
}

var errNoConditions = errors.New("it stores what is written in spite of the condition that goes with it")

// probe tries one write, next to the ids, that a table stores only where it ignores
// conditions.
func probe(ctx context.Context, table lease.Prober) error {
	switch err := table.PutProbe(ctx, true); {
	case err == nil:
		return errNoConditions
	case errors.Is(err, lease.ErrChanged):
		return nil
	default:
		return err
	}
}

// checkNodeTable is about the table of node ids: it is read, and a write is tried whose
// condition does not hold.
func checkNodeTable(f *facts) []Finding {
	if !f.config.NodeID.On() {
		return nil
	}
	var found []Finding
	for _, tried := range []struct {
		what string
		err  error
	}{{"list", f.nodes.shard.err}, {"a write under a condition", f.nodes.probe.err}} {
		switch err := tried.err; {
		case err == nil:
		case f.nodes.name == "":
			return unknown(err)
		case errors.Is(err, bucket.ErrDenied):
			found = append(found, failure(allowNodes, "%s: %s: %v", f.nodes.name, tried.what, err)...)
		case errors.Is(err, errNoConditions):
			found = append(found, failure("use a store that has conditional writes, such as S3 or DynamoDB: node_id.table", "%s: %v", f.nodes.name, err)...)
		case errors.Is(err, lease.ErrKeys):
			found = append(found, failure("create it as in koboshi help node-ids", "%v", err)...)
		default:
			found = append(found, failure("check node_id.table, route, VPC endpoint and proxy", "%s: %s: %v", f.nodes.name, tried.what, err)...)
		}
	}
	if bad := f.badNodes(); len(found) == 0 && bad != "" {
		return warning("koboshi node-id list shows them; give them to node_id.reserved, or repair them", "%s: %s", f.nodes.name, bad)
	}
	if len(found) > 0 {
		return found
	}
	return fine("%s can be read, and refuses a write whose condition does not hold", f.nodes.name)
}

// badNodes is what a list shows that is no item.
func (f *facts) badNodes() string {
	bad := slices.DeleteFunc(slices.Clone(f.nodes.listed.value), func(s lease.Stored) bool { return s.Bad == nil })
	if len(bad) == 0 {
		return ""
	}
	return fmt.Sprintf("%d ids are never given, since what is stored is not an item of koboshi's; the first is %d: %v", len(bad), bad[0].ID, bad[0].Bad)
}

// checkNodeCapacity is about how many ids are left, in each zone that has its own.
func checkNodeCapacity(f *facts) []Finding {
	n := f.config.NodeID
	switch {
	case !n.On():
		return nil
	case f.nodes.listed.err != nil:
		return unknown(f.nodes.listed.err)
	case len(n.Datacenter) == 0:
		return f.capacity("", n.Range[0], n.Range[1])
	}
	var found []Finding
	for _, zone := range slices.Sorted(maps.Keys(n.Datacenter)) {
		first, last, err := n.Within(zone)
		if err != nil {
			return unknown(err)
		}
		found = append(found, f.capacity(" of "+zone, first, last)...)
	}
	return found
}

func (f *facts) capacity(of string, first, last int) []Finding {
	n := f.config.NodeID
	ids := lease.IDs{First: first, Last: last, Reserved: n.Reserved}
	all, used := ids.Count(), 0
	for _, s := range f.nodes.listed.value {
		if s.ID >= first && s.ID <= last && !slices.Contains(n.Reserved, s.ID) && s.Occupied(locked(n), f.Now) {
			used++
		}
	}
	text := fmt.Sprintf("%d of the %d ids%s are in use, or locked after a crash", used, all, of)
	switch {
	case used >= all:
		return failure(moreNodes, "%s: the next instance gets none", text)
	case 100*used >= nearlyFull*all:
		return warning(moreNodes, "%s", text)
	}
	return fine("%s", text)
}

// locked is for how long an id is locked after its instance has crashed.
func locked(n config.NodeID) time.Duration {
	if n.Aware { // its app uses nothing after the end
		return time.Duration(n.Lease)
	}
	return time.Duration(n.Lease + n.Quarantine)
}

// checkNodeClock is about this machine's clock and the table's. What is far off claims
// nothing: a mark from a wrong clock would lock an id for hours.
func checkNodeClock(f *facts) []Finding {
	if !f.config.NodeID.On() {
		return nil
	}
	ahead, err := f.aheadOfNodes()
	const hint = "chronyc tracking; a time server such as 169.254.169.123 sets it"
	switch {
	case err != nil:
		return unknown(err)
	case ahead > lease.MaxApart:
		return failure(hint, "the clock is %s ahead of the table's: no id is claimed, and no lease renewed", report.Duration(ahead))
	case ahead < -lease.MaxApart:
		return failure(hint, "the clock is %s behind the table's: no id is claimed, and no lease renewed", report.Duration(-ahead))
	}
	return fine("the clock agrees with the table's")
}

// aheadOfNodes is how far this machine's clock is ahead of the table's, or where the
// table has shown nothing, of AWS.
func (f *facts) aheadOfNodes() (time.Duration, error) {
	var there time.Time
	for _, s := range f.nodes.shard.value {
		if s.Date.After(there) {
			there = s.Date
		}
	}
	if !there.IsZero() {
		return f.Now.Sub(there), nil
	}
	if f.nodes.shard.err != nil {
		return 0, f.nodes.shard.err
	}
	return f.clock.value, f.clock.err
}
