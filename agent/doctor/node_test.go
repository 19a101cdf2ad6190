package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/nodeid"
	"koboshi/artifacts/bucket"
)

// nodeTable is a table of node ids that answers as a test wants.
type nodeTable struct {
	found    []lease.Stored
	listErr  error
	laterErr error // of the shards after the first
	probeErr error
}

func (n *nodeTable) table() lease.Table {
	if n == nil {
		return nil
	}
	return n
}

func (n *nodeTable) String() string { return "s3://acme/apps/web" }
func (n *nodeTable) ShardSize() int { return 2048 } // all at once

func (n *nodeTable) List(_ context.Context, shard int) ([]lease.Stored, error) {
	if shard > 0 {
		return nil, n.laterErr
	}
	return slices.Clone(n.found), n.listErr
}

func (n *nodeTable) PutProbe(_ context.Context, stale bool) error {
	if !stale {
		return errors.New("doctor has written something")
	}
	return n.probeErr
}

func (n *nodeTable) GetProbe(context.Context) (time.Time, error) {
	return time.Time{}, errors.New("doctor has read something")
}

// Get and Swap would be a read for each id, and a write.
func (n *nodeTable) Get(context.Context, int) (lease.Stored, error) {
	return lease.Stored{}, errors.New("doctor has read an id")
}

func (n *nodeTable) Swap(context.Context, lease.Stored, lease.Item) (lease.Stored, error) {
	return lease.Stored{}, errors.New("doctor has written an id")
}

// numbered is a world with a node id that is held and a scope of ten ids.
func numbered(lines ...string) func(*world) {
	return func(w *world) {
		if !strings.Contains(strings.Join(lines, ""), "node_id.range") {
			lines = append(lines, "node_id.range = [0, 9]")
		}
		w.settings = strings.Join(append([]string{"node_id.scope = \"web\""}, lines...), "\n") + "\n"
		w.nodes = &nodeTable{found: ids(7), probeErr: lease.ErrChanged}
		end := now.Add(50 * time.Minute)
		w.lease = Lease{Boot: "a-boot", Watched: true, Record: nodeid.Record{
			Schema: 1, Instance: me, Boot: "a-boot", Scope: "web", Table: "s3://acme/apps/web", ID: 7, Gen: 13,
			Floor: now.Add(-time.Hour).UnixMilli(), Until: end.UnixMilli(), Slack: (5 * time.Minute).Milliseconds(), Phase: lease.Holding,
			Renewed: now.Add(-10 * time.Minute),
		}}
		w.armed = end.Add(-25 * time.Second)
	}
}

// ids are that many held ones, as a list shows them.
func ids(n int) (found []lease.Stored) {
	for id := range n {
		found = append(found, lease.Stored{ID: id, Exists: true, State: lease.Held, Modified: now.Add(-time.Minute), Date: now.Add(-time.Second)})
	}
	return found
}

func TestNodeFindings(t *testing.T) {
	const byZone = "node_id.split = [1, 3]\nnode_id.datacenter = { eu-central-1a = 0, eu-central-1b = 1 }"
	for _, test := range []struct {
		name  string
		lines string
		spoil func(*world)
		check string
		level Level
		text  string
	}{
		{"a table", "", nil, "node-table", OK, "s3://acme/apps/web can be read, and refuses a write whose condition does not hold"},
		{"a table that is denied", "", func(w *world) { w.nodes.listErr = errDenied }, "node-table", Fail, "s3://acme/apps/web: list: access denied"},
		{"a table that may only be read", "", func(w *world) { w.nodes.probeErr = errDenied }, "node-table", Fail, "a write under a condition: access denied"},
		{"a table without conditions", "", func(w *world) { w.nodes.probeErr = nil }, "node-table", Fail, "in spite of the condition"},
		{"a table with other keys", "", func(w *world) { w.nodes.listErr = lease.ErrKeys }, "node-table", Fail, "the table has other keys"},
		{"a table that is away", "", func(w *world) { w.nodes.listErr = errAway }, "node-table", Fail, "list: connection refused"},
		{"a bucket that is missing", "", func(w *world) { w.nodes.probeErr = bucket.ErrNotFound }, "node-table", Fail, "no such object"},
		{"a table that is not connected", "", func(w *world) { w.connectErr = errAway }, "node-table", Warn, "not checked: no connection to AWS: connection refused"},
		{"a table that is very large", "node_id.range = [0, 4095]\nnode_id.split = [0, 12]", func(w *world) { w.nodes.laterErr = errAway }, "node-table", OK, "can be read"},
		{"a table that is too large to count", "node_id.range = [0, 4095]\nnode_id.split = [0, 12]", func(w *world) { w.nodes.laterErr = errAway }, "node-capacity", Warn, "not checked: connection refused"},
		{"garbage in the table", "", func(w *world) { w.nodes.found[3].Bad = lease.ErrItem }, "node-table", Warn, "1 ids are never given, since what is stored is not an item of koboshi's; the first is 3: not an item"},

		{"room", "", nil, "node-capacity", OK, "7 of the 10 ids are in use"},
		{"hardly room", "", func(w *world) { w.nodes.found = ids(8) }, "node-capacity", Warn, "8 of the 10 ids are in use"},
		{"no room", "", func(w *world) { w.nodes.found = ids(10) }, "node-capacity", Fail, "10 of the 10 ids are in use, or locked after a crash: the next instance gets none"},
		{"reserved ids", "node_id.reserved = [0, 9]", func(w *world) { w.nodes.found = ids(9) }, "node-capacity", Fail, "8 of the 8 ids"},
		{"ids that were given back", "", func(w *world) {
			w.nodes.found = ids(10)
			w.nodes.found[2].State, w.nodes.found[4].Modified = lease.Free, now.Add(-66*time.Minute)
		}, "node-capacity", Warn, "8 of the 10"},
		{"locked until the quarantine is over", "", func(w *world) {
			w.nodes.found = ids(8)
			w.nodes.found[4].Modified = now.Add(-64 * time.Minute)
		}, "node-capacity", Warn, "8 of the 10"},
		{"no quarantine of an app that looks", "node_id.aware = true", func(w *world) {
			w.nodes.found = ids(8)
			w.nodes.found[4].Modified = now.Add(-64 * time.Minute)
		}, "node-capacity", OK, "7 of the 10"},
		{"a zone with room", byZone, func(w *world) { w.nodes.found = ids(8) }, "node-capacity", OK, "0 of the 2 ids of eu-central-1b"},
		{"a zone without room", byZone, func(w *world) { w.nodes.found = ids(8) }, "node-capacity", Fail, "8 of the 8 ids of eu-central-1a"},
		{"who knows how much room", "", func(w *world) { w.nodes.listErr = errAway }, "node-capacity", Warn, "not checked: connection refused"},

		{"a clock", "", nil, "node-clock", OK, "agrees with the table's"},
		{"a clock ahead", "", func(w *world) { w.nodes.found[0].Date = now.Add(-2*time.Minute - 1); w.nodes.found = w.nodes.found[:1] }, "node-clock", Fail, "2 min 00 s ahead of the table's: no id is claimed"},
		{"a clock behind", "", func(w *world) { w.nodes.found[0].Date = now.Add(3 * time.Minute) }, "node-clock", Fail, "3 min 00 s behind the table's"},
		{"a clock, and an empty table", "", func(w *world) { w.nodes.found, w.ahead = nil, 3*time.Minute }, "node-clock", Fail, "3 min 00 s ahead"},
		{"no time anywhere", "", func(w *world) { w.nodes.found, w.timeless = nil, true }, "node-clock", Warn, "not checked: no answer had a time"},
		{"a clock, and no table", "", func(w *world) { w.nodes.found, w.nodes.listErr = nil, errAway }, "node-clock", Warn, "not checked: connection refused"},

		{"an id", "", nil, "node-id", OK, "id 7 of web, generation 13: the lease ends in 50 min 00 s, and was renewed 10 min 00 s ago"},
		{"one failed renewal", "", func(w *world) { w.lease.Record.Failures = 1 }, "node-id", OK, "id 7 of web"},
		{"two failed renewals", "", func(w *world) { w.lease.Record.Failures, w.lease.Record.Failure = 2, "connection refused" }, "node-id", Warn, "the last 2 renewals have failed, and the lease ends in 50 min 00 s: connection refused"},
		{"a lease that has ended", "", func(w *world) { w.lease.Record.Until = now.Add(-time.Minute).UnixMilli() }, "node-id", Fail, "the lease ended 1 min 00 s ago"},
		{"a lease with too little quarantine", "node_id.quarantine = \"60m\"", nil, "node-id", Fail, "the lease ended 5 min 00 s ago"},
		{"no quarantine of a lease of an app that looks", "node_id.aware = true", func(w *world) { w.lease.Record.Slack = 0 }, "node-id", OK, "the lease ends in 50 min 00 s"},
		{"an app that is down", "", func(w *world) { w.lease.Record.Phase = lease.Stopped }, "node-id", OK, "is held; the app is not running"},
		{"an app that waits", "", func(w *world) { w.lease.Wanted = true }, "node-id", Fail, "the app is down for want of a node id"},
		{"no id", "", func(w *world) { w.lease.Record = nodeid.Record{} }, "node-id", Warn, "no id is held"},
		{"an image", "", func(w *world) { w.lease.Record.Instance = "i-0f" }, "node-id", Warn, "what is recorded is of i-0f, and came with the image"},
		{"a power cut", "", func(w *world) { w.lease.Record.Boot = "another" }, "node-id", Warn, "how far id 7 of web was used before this boot is not known"},
		{"given back", "", func(w *world) { w.lease.Record.Phase = lease.Releasing }, "node-id", Warn, "id 7 of web was given back"},
		{"another scope", "", func(w *world) { w.lease.Record.Scope = "blue" }, "node-id", Warn, "id 7 is held in scope blue"},
		{"another table", "", func(w *world) { w.lease.Record.Table = "dynamodb://ids" }, "node-id", Warn, "of dynamodb://ids, which is not the configured one"},
		{"a damaged record", "", func(w *world) { w.lease.Damage = errors.New("node-id.json is damaged") }, "node-id", Warn, "cannot be used: node-id.json is damaged"},
		{"a record of root's", "", func(w *world) { w.leaseErr = errRoot }, "node-id", Warn, "permission denied"},
		{"whose id?", "", func(w *world) { w.whoErr = errAway }, "node-id", Warn, "unknown without metadata"},

		{"armed", "", nil, "node-stop", OK, "systemd begins to stop the app at 2026-11-21T12:49:35Z, 25.0 s before its lease ends"},
		{"not armed", "", func(w *world) { w.armed = time.Time{} }, "node-stop", Fail, "nothing is armed"},
		{"armed too late", "", func(w *world) { w.armed = now.Add(50 * time.Minute) }, "node-stop", Fail, "after its lease has ended"},
		{"who knows what is armed", "", func(w *world) { w.armedErr = errAway }, "node-stop", Warn, "not checked: connection refused"},
		{"an app that looks", "node_id.aware = true", func(w *world) { w.armed = time.Time{} }, "node-stop", OK, "keeps the bounds of its lease itself"},
		{"nothing to stop", "", func(w *world) { w.lease.Record.Phase, w.armed = lease.Stopped, time.Time{} }, "node-stop", OK, "no app is running under a lease"},

		{"no watch", "", func(w *world) { w.watch.Active, w.watch.Sub = "inactive", "dead" }, "watch-unit", Fail, "koboshi-watch.service is inactive (dead): no node id is claimed, no lease is renewed, and"},
		{"no watch at the next start", "", func(w *world) { w.watch.Enabled = "disabled" }, "watch-unit", Fail, "is disabled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			numbered(test.lines)(w)
			if test.spoil != nil {
				test.spoil(w)
			}
			findings := w.machine().Examine(t.Context())
			if !slices.ContainsFunc(findings, func(f Finding) bool {
				return f.Check == test.check && f.Level == test.level && strings.Contains(f.Text, test.text)
			}) {
				t.Errorf("no finding %s %s %q among\n%s", test.level, test.check, test.text, listing(findings, test.check))
			}
			checkHints(t, findings)
		})
	}
}

// Without a unit only the watch itself can be looked for.
func TestNodeWithoutUnitOrWatch(t *testing.T) {
	w := newWorld(t)
	numbered("node_id.aware = true", "service.unit = \"\"", "service.restart = [\"x\"]", "service.stop = [\"y\"]")(w)
	w.lease.Watched = false
	if got := listing(w.machine().Examine(t.Context()), "node-id"); got != "fail koboshi watch does not run: no node id is claimed, and no lease is renewed" {
		t.Errorf("node-id: %s", got)
	}
}

// Where there are no node ids, nothing is asked and nothing found.
func TestNoNodeFindings(t *testing.T) {
	w := newWorld(t)
	w.leaseErr, w.armedErr = errAway, errAway
	for _, f := range w.machine().Examine(t.Context()) {
		if strings.HasPrefix(f.Check, "node-") {
			t.Errorf("%+v", f)
		}
	}
}
