package nodeid

import (
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

func (n *Node) kept() string { return n.Config.Scope + " in " + n.Config.Table.String() + "\n" }

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
