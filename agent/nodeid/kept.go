package nodeid

import (
	"fmt"

	"koboshi/agent/state"
	"koboshi/artifacts/durable"
)

// keptFile, in the run directory, says which ids the watch that runs renews.
const keptFile = "node-id.kept"

const maxKept = 4 << 10

// Keep says for a watch which ids it renews. Errors are ErrNodeID.
func (n *Node) Keep() error {
	return failed(durable.WriteFile(n.Run, keptFile, []byte(n.kept()), 0o644))
}

// KeepNone says for a watch that it renews none.
func KeepNone(run durable.Dir) error { return failed(durable.Remove(run, keptFile)) }

// kept is which ids those are, and everything that a renewal goes by: what the app is told,
// and when it is stopped.
func (n *Node) kept() string {
	c := n.Config
	return fmt.Sprintf("%s in %s, lease %v, renew %v, quarantine %v, unit %v, ahead %v, margin %v, aware %t, split %v, name %q\n",
		c.Scope, c.Table, c.Lease, c.Renew, c.Quarantine, c.Unit, c.Ahead, c.Margin, c.Aware, c.Split, c.NameOf)
}

// renewedOtherwise is ErrOtherIDs where a watch has said that it renews by another
// configuration. While none has said anything, as after a start of the machine, it is nil.
func (n *Node) renewedOtherwise() error {
	kept, err := durable.ReadFile(n.Run, keptFile, maxKept)
	if err == nil && string(kept) != n.kept() {
		return ErrOtherIDs
	}
	return nil
}

// watched is why a lease would not be renewed, nil where it would.
func (n *Node) watched() error {
	if !state.Watched(n.Run) {
		return ErrNoWatch
	}
	if kept, err := durable.ReadFile(n.Run, keptFile, maxKept); err != nil || string(kept) != n.kept() {
		return ErrOtherIDs
	}
	return nil
}
