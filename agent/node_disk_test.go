package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/agent/nodeid"
	"koboshi/agent/report"
)

// Whatever is in the place of the record, no id is used twice: what is not known to be this
// machine's lease in this boot is none.
func TestNodeIDStateFile(t *testing.T) {
	for name, c := range map[string]struct {
		change func(text string) string
		want   string
	}{
		"empty":   {func(string) string { return "" }, "id 1, generation 1, held"},
		"garbage": {func(string) string { return "{\"schema\":" }, "id 1, generation 1, held"},
		"zeros":   {func(text string) string { return strings.Repeat("\x00", len(text)) }, "id 1, generation 1, held"},
		"of another instance": {func(text string) string {
			return strings.ReplaceAll(text, "i-0123456789abcdef0", "i-0123456789abcdef9")
		}, "id 1, generation 1, held"},
		"of another boot": {func(text string) string { return strings.ReplaceAll(text, `"one"`, `"another"`) }, "id 1, generation 1, held"},
		"as it was":       {func(text string) string { return text }, "id 0, generation 1, held"},
	} {
		t.Run(name, func(t *testing.T) {
			shared(t, 2, func(t *testing.T, n *numbers) {
				a := n.all[0]
				a.launched()
				n.pass(time.Minute)
				a.end()
				a.bootID = "one"
				path := filepath.Join(a.dir, "state", nodeid.RecordFile)
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(c.change(string(text))), 0o600); err != nil {
					t.Fatal(err)
				}
				a.watch()
				a.release("2")
				rep, _ := a.sync()
				a.stands(rep, 0, c.want+", running 2, signals [CONTINUE]")
				n.pass(2 * time.Hour)
				a.stands(rep, 0, c.want+", running 2, signals [CONTINUE]")
			})
		})
	}
}

// An image that was made of a machine with a lease has that machine's record.
func TestNodeIDBakedRecord(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		a.launched()
		text, err := os.ReadFile(filepath.Join(a.dir, "state", nodeid.RecordFile))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.dir, "state", nodeid.RecordFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		b.stands(boot(b), 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
		a.stands(report.Report{}, 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
		n.pass(2 * time.Hour)
		n.tableHas(0, 1, lease.Held, a)
		n.tableHas(1, 1, lease.Held, b)
	})
}

// A record that is lost while the app runs: the watch has it started anew with an id that
// the machine knows to hold, and the app never runs on beyond its time.
func TestNodeIDStateFileLostWhileLive(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a := n.all[0]
		a.launched()
		n.pass(time.Minute)
		if err := os.WriteFile(filepath.Join(a.dir, "state", nodeid.RecordFile), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		n.pass(10 * time.Second)
		if a.relaunchs != 1 || a.running != "1" {
			t.Fatalf("%d boots, running %q; warnings %q", a.relaunchs, a.running, a.warnings)
		}
		a.stands(boot(a), 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
		n.pass(2 * time.Hour)
		if a.relaunchs != 1 || a.restarts != 2 {
			t.Errorf("%d boots, %d starts", a.relaunchs, a.restarts)
		}
		n.tableHas(0, 1, lease.Held, a) // frees itself
	})
}

// A scope that is renamed while the app runs: its watch has to be started anew, the new id
// is held before the app is stopped, and the old one is given back with its mark.
func TestNodeIDScopeRenamed(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a := n.all[0]
		a.launched()
		n.pass(time.Minute)
		a.renamed, a.nodes = "api", leasetest.NewMemory(leasetest.Objects, "api")
		a.release("2")
		rep, _ := a.sync() // the watch renews those of web
		a.stands(rep, 22, "id 0, generation 1, held, running 1, signals [CONTINUE]")
		n.tableHas(0, 1, lease.Held, a)
		a.end()
		a.watch()
		n.table.Watch(func(_ int, _, is *lease.Item) {
			if is.State == lease.Free && a.nodes.Items()[0].State != lease.Held {
				t.Error("the old id was given back before the new one was held")
			}
		})
		used := time.Now().UnixMilli()
		n.pass(10 * time.Second)
		if a.relaunchs == 0 {
			t.Errorf("the boot was not started again; warnings %q", a.warnings)
		}
		n.used = map[int][]usage{} // ids of another scope are other ids
		rep, _ = a.sync()
		a.stands(rep, 0, "id 0, generation 1, held, running 2, signals [CONTINUE]")
		if old := n.tableHas(0, 1, lease.Free, a); old.HW < used || a.tenure().Scope != "api" || a.nodes.Items()[0].Owner != a.id {
			t.Errorf("old %+v, used up to %d; record %+v; new %+v", old, used, a.tenure(), a.nodes.Items())
		}
		n.pass(2 * time.Hour)
		a.stands(rep, 0, "id 0, generation 1, held, running 2, signals [CONTINUE]")
	})
}
