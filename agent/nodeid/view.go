package nodeid

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/agent/config"
	"koboshi/agent/lease"
	"koboshi/agent/report"
	"koboshi/artifacts/durable"
)

// View is the lease of this machine for people: the output of node-id show --json. What
// only root may read is zero for others.
type View struct {
	NodeID   int    `json:"node_id"`
	WorkerID int    `json:"worker_id"`
	Name     string `json:"name,omitzero"`
	report.Node
	NotBefore time.Time   `json:"not_before,omitzero"` // zero where no one has had the id before
	Phase     lease.Phase `json:"phase,omitzero"`      // held while the app may use it, stopped else
	Stop      time.Time   `json:"stop,omitzero"`       // when systemd stops the app, unless the lease is renewed
	Renewed   time.Time   `json:"renewed,omitzero"`    // or claimed
	Here      bool        `json:"configured"`          // its scope and table are those of the configuration
}

// Left is how long the app may use the id, at most 0 where the lease is over.
func (v View) Left(now time.Time) time.Duration { return v.ValidUntil.Sub(now) }

// Look reads the lease that an instance holds in a boot, from its state directory, or where
// only root may read that, from the file of the app in the run directory. It changes
// nothing. A directory that is nil does not exist. Errors are ErrNodeID: with ErrNone
// there is no lease.
func Look(c config.NodeID, instance, boot string, state, run *os.Root) (View, error) {
	r, warning, err := loadFrom(state)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return lookAtFile(c, run, err)
	case err != nil:
		return View{}, failed(err)
	case warning != nil:
		return View{}, failed(fmt.Errorf("%w that is known: %w", ErrNone, warning))
	}
	if err := r.none(instance, boot); err != nil {
		return View{}, failed(err)
	}
	return r.view(c), nil
}

// none is why an instance does not hold the lease of a record, nil where it does.
func (r Record) none(instance, boot string) error {
	switch {
	case r.Instance == "":
		return ErrNone
	case r.Instance != instance:
		return fmt.Errorf("%w: what is on its disk is of %s", ErrNone, r.Instance)
	case r.Phase == lease.Releasing:
		return fmt.Errorf("%w: id %d of %s was released", ErrNone, r.ID, r.Scope)
	case r.Phase == lease.Holding && r.Boot != boot:
		return fmt.Errorf("%w: id %d of %s was held before this start of the machine, and its app was not stopped in order", ErrNone, r.ID, r.Scope)
	}
	return nil
}

func loadFrom(dir *os.Root) (Record, error, error) {
	if dir == nil {
		return Record{}, nil, nil
	}
	return Load(dir)
}

// view is the record for people.
func (r Record) view(c config.NodeID) View {
	n := Node{Config: c}
	bounds := r.Tenure().Bounds(n.unit(), n.slack())
	v := viewOf(c, r.ID, r.Scope, r.Gen, bounds)
	v.Table, v.Failed, v.Failure = r.Table, r.Failures, r.Failure
	v.Phase, v.Renewed, v.Here = r.Phase, r.Renewed, n.here(r)
	if r.Stop != 0 && r.Phase == lease.Holding {
		v.Stop = at(r.Stop)
	}
	return v
}

func viewOf(c config.NodeID, id int, scope string, gen int64, bounds lease.Bounds) View {
	datacenter, worker := c.SplitID(id)
	return View{
		NodeID: id, WorkerID: worker, Name: c.Name(id), NotBefore: at(bounds.NotBefore),
		Node: report.Node{Scope: scope, Gen: gen, DatacenterID: datacenter, ValidUntil: at(bounds.ValidUntil)},
	}
}

// at is a moment of an item; zero where it is before all that there are.
func at(ms lease.Millis) time.Time {
	if ms < 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// lookAtFile reads what the app is told. Where it is told nothing there may be a lease all
// the same, of which only root may know.
func lookAtFile(c config.NodeID, run *os.Root, denied error) (View, error) {
	if run == nil {
		return View{}, failed(denied)
	}
	data, err := durable.ReadFile(run, AppFile, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return View{}, failed(denied)
	}
	var t told
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	if err != nil {
		return View{}, failed(fmt.Errorf("%s: %w", AppFile, err))
	}
	v := viewOf(c, t.NodeID, t.Scope, t.Gen, lease.Bounds{NotBefore: t.NotBefore, ValidUntil: t.ValidUntil})
	v.Here = t.Scope == c.Scope
	return v, nil
}

// Describe puts the lease that this machine holds into a report.
func (n *Node) Describe(rep *report.Report) {
	r, _, err := n.load()
	if err != nil || r.none(n.Instance.ID, n.Clock.Boot) != nil {
		return
	}
	v := r.view(n.Config)
	rep.NodeID, rep.Node = &v.NodeID, &v.Node
}
