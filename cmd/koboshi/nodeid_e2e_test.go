//go:build e2e

package main

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/lease"
	"koboshi/agent/nodeid"
)

// numbered is an instance whose app gets a node id and keeps its bounds itself. The lease
// is renewed at every look of a watch.
func (l *lab) numbered() *box {
	l.Helper()
	b := l.launch(autoscaling.LaunchOptions{})
	b.override("20-node", fmt.Sprintf(`[service]
stop = ["env", "GORACE=atexit_sleep_ms=0", "testapp", "stop", %q, %q]
[lifecycle]
terminate_hook = "koboshi-terminating"
[node_id]
scope = "web"
aware = true
renew = "1s"
`, b.addr, b.pid))
	return b
}

// watched runs a command while a watch runs, which is killed afterwards.
func (b *box) watched(run func()) {
	b.Helper()
	w := b.start("watch")
	run()
	must(b.T, w.cmd.Process.Kill())
	w.wait()
}

// record is what the machine knows of its lease.
func (b *box) record() nodeid.Record {
	b.Helper()
	dir, err := os.OpenRoot(b.path("state"))
	must(b.T, err)
	defer func() { _ = dir.Close() }()
	r, warning, err := nodeid.Load(dir)
	if warning != nil || err != nil {
		b.Errorf("the record: %v, %v", warning, err)
	}
	return r
}

// items are those of the table that the instance wrote last, by id.
func (b *box) items() map[int]lease.Item {
	b.Helper()
	items := map[int]lease.Item{}
	for _, key := range b.lab.aws.S3().Keys("releases") {
		id, err := strconv.Atoi(strings.TrimSuffix(path.Base(key), ".json"))
		if err != nil || !strings.Contains(key, "/nodes/web/") {
			continue
		}
		data, _ := b.lab.aws.S3().Object("releases", key)
		i, err := lease.Parse(data, "web", id, time.Now().UnixMilli())
		if err != nil {
			b.Errorf("%s: %v", key, err)
		}
		if i.Owner == b.instance.ID() {
			items[id] = i
		}
	}
	return items
}

// holds asserts that the machine's lease is in the table as the machine has it.
func (b *box) holds(m mutation) nodeid.Record {
	b.Helper()
	r := b.record()
	i, found := b.items()[r.ID]
	if !found || r.Instance != b.instance.ID() || r.Phase != lease.Holding || i.State != lease.Held || i.Gen != r.Gen || i.Nonce != r.Nonce || i.HW < r.Until {
		b.Errorf("killed before %s: record %+v, item %+v", m, r, i)
	}
	return r
}

// nodeSteps are the mutations from the first to the last one of the node id's files, by
// their number.
func nodeSteps(all []mutation) (first, last int) {
	ofNode := func(m mutation) bool { return strings.Contains(m.path, "node-id") }
	first = slices.IndexFunc(all, ofNode)
	for i, m := range all {
		if ofNode(m) {
			last = i
		}
	}
	return first, last
}

// TestE2EKilledClaim kills a boot with SIGKILL before each of its mutating system calls
// from the claim of a node id to the start of the app. The next boot has an id, and the
// instance comes into service.
func TestE2EKilledClaim(t *testing.T) {
	l := newLab(t)
	l.release("1", 0)
	var all []mutation
	probe := l.numbered()
	probe.watched(func() { all = probe.mutations("boot") })
	first, last := nodeSteps(all)
	t.Logf("%d mutating calls from %s to %s", last-first+1, all[first], all[last])
	if first < 0 {
		t.Fatal("a boot claims nothing")
	}
	for n := first; n <= last; n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			b := l.on(t).numbered()
			b.watched(func() {
				b.killAt(n, "boot")
				b.exits(0, "boot")
				b.holds(all[n])
			})
			b.told("CONTINUE")
			b.serves("1")
			if items := b.items(); len(items) > 2 {
				t.Errorf("%d ids after two boots: %+v", len(items), items)
			}
		})
	}
}

// renewals traces a watch until its first renewal is in the app's file, or kills it before its nth
// mutation.
func (b *box) renewals(n int) (all []mutation) {
	b.Helper()
	told := func() string {
		text, err := os.ReadFile(b.path("run", nodeid.AppFile))
		must(b.T, err)
		return string(text)
	}
	before := told()
	r, err := trace(b.T, b.env(), append([]string{b.koboshi}, b.args("watch")...), func(m mutation) bool {
		all = append(all, m)
		return len(all)-1 != n && told() == before
	})
	must(b.T, err)
	if !r.killed {
		b.Fatalf("the watch was not killed: exit %d\n%s", r.code, r.output)
	}
	return all
}

// TestE2EKilledRenewal kills a watch with SIGKILL before each of its mutating system calls
// until a renewal is in the app's file. The app runs on, and the next watch renews the same lease.
func TestE2EKilledRenewal(t *testing.T) {
	l := newLab(t)
	l.release("1", 0)
	live := func(t *testing.T) *box {
		b := l.on(t).numbered()
		b.watched(func() { b.exits(0, "boot") })
		return b
	}
	all := live(t).renewals(-1)
	first, _ := nodeSteps(all)
	t.Logf("%d mutating calls from %s on", len(all)-first, all[first])
	for n := first; n < len(all); n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			b := live(t)
			before := b.holds(mutation{})
			b.renewals(n)
			w := b.start("watch")
			for end := time.Now().Add(patience); b.record().Until <= before.Until && time.Now().Before(end); {
				pass(100 * time.Millisecond)
			}
			must(t, w.cmd.Process.Signal(syscall.SIGTERM))
			w.wait()
			if now := b.holds(all[n]); now.ID != before.ID || now.Gen != before.Gen || now.Until <= before.Until {
				t.Errorf("killed before %s: before %+v, now %+v", all[n], before, now)
			}
			b.serves("1")
		})
	}
}

// TestE2EKilledRelease kills a drain with SIGKILL before each of its mutating system calls
// in which it records what the app has used and gives the node id back. The next watch
// goes on: the lease is over, the id is free above what was used or frees itself, and the
// lifecycle action is completed.
func TestE2EKilledRelease(t *testing.T) {
	l := newLab(t)
	l.release("1", 0)
	must(t, l.aws.PutHook("web", autoscaling.Hook{Name: "koboshi-terminating", Transition: autoscaling.OnTerminate}))
	leaving := func(t *testing.T) *box {
		b := l.on(t).numbered()
		b.watched(func() { b.exits(0, "boot") })
		must(t, b.lab.aws.Terminate(b.instance.ID()))
		return b
	}
	all := leaving(t).mutations("drain")
	first, last := nodeSteps(all)
	t.Logf("%d mutating calls from %s to %s", last-first+1, all[first], all[last])
	if first < 0 {
		t.Fatal("a drain gives nothing back")
	}
	for n := first; n <= last; n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			b := leaving(t)
			before := b.record()
			b.killAt(n, "drain")
			b.watchesToTheEnd()
			i, r := b.items()[before.ID], b.record()
			freed := i.State == lease.Free && i.HW >= before.Started
			frees := i.State == lease.Held && i.HW == before.Until && (r == (nodeid.Record{}) || r.Phase == lease.Releasing)
			if len(b.items()) != 1 || i.Gen != before.Gen || !freed && !frees || r.Phase == lease.Holding {
				t.Errorf("killed before %s: before %+v, record %+v, item %+v", all[n], before, r, i)
			}
			b.serves("")
		})
	}
}
