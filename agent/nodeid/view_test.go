package nodeid

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/agent/report"
	"koboshi/agent/state"
)

const self = "i-0123456789abcdef0"

var began = time.Date(2026, 11, 28, 13, 0, 0, 0, time.UTC)

// looked is a machine whose lease is looked at.
type looked struct {
	config     config.NodeID
	state, run *os.Root
}

func newLooked(t *testing.T) *looked {
	t.Helper()
	l := &looked{}
	for name, dir := range map[string]**os.Root{"state": &l.state, "run": &l.run} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = root.Close() })
		*dir = root
	}
	c, err := config.Parse(config.File{Name: "test", Data: []byte(`
		app = "web"
		source = "s3://releases/apps"
		trust.keys = ["/etc/koboshi/keys/release.pub"]
		service.unit = "web.service"
		health.url = "http://127.0.0.1:8080/healthz"
		[node_id]
		scope = "web"
		unit = "10ms"
		quarantine = "0s"
		name = "web-%02d"`)})
	if err != nil {
		t.Fatal(err)
	}
	l.config = c.NodeID
	return l
}

// record is a lease of id 39 for an hour, under which the app runs.
func (l *looked) record() Record {
	return Record{
		Instance: self, Boot: "one", Scope: "web", Table: l.config.Table.String(), ID: 39, Gen: 13,
		Floor: began.UnixMilli(), Until: began.Add(time.Hour).UnixMilli(), Phase: lease.Holding,
		Stop: began.Add(59 * time.Minute).UnixMilli(), Renewed: began,
	}
}

func (l *looked) look() (View, error) { return Look(l.config, self, "one", l.state, l.run) }

func TestLook(t *testing.T) {
	l := newLooked(t)
	r := l.record()
	r.Failures, r.Failure = 2, "the table is away"
	if err := r.save(l.state); err != nil {
		t.Fatal(err)
	}
	want := View{
		NodeID: 39, WorkerID: 7, Name: "web-39", NotBefore: began.Add(9 * time.Millisecond), Phase: lease.Holding, Stop: began.Add(59 * time.Minute), Renewed: began, Here: true,
		Node: report.Node{Scope: "web", Gen: 13, DatacenterID: 1, ValidUntil: began.Add(time.Hour - time.Millisecond), Table: "s3://releases/apps/web", Failed: 2, Failure: "the table is away"},
	}
	if got, err := l.look(); err != nil || got != want {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
	if left := want.Left(began.Add(time.Hour)); left != -time.Millisecond {
		t.Errorf("%s left", left)
	}
	r.Phase, r.Scope = lease.Stopped, "old"
	if err := r.save(l.state); err != nil {
		t.Fatal(err)
	}
	if got, err := l.look(); err != nil || !got.Stop.IsZero() || got.Here {
		t.Errorf("of an app that has ended, and another scope: %+v, %v", got, err)
	}
}

// What is on the disk is no lease of this machine's.
func TestLookFindsNone(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Record)
		says   string
	}{
		"another instance": {func(r *Record) { r.Instance = "i-1" }, "this machine holds none: what is on its disk is of i-1"},
		"released":         {func(r *Record) { r.Phase = lease.Releasing }, "this machine holds none: id 39 of web was released"},
		"a power cut":      {func(r *Record) { r.Boot = "zero" }, "id 39 of web was held before this start of the machine"},
	} {
		l := newLooked(t)
		r := l.record()
		tt.change(&r)
		if err := r.save(l.state); err != nil {
			t.Fatal(err)
		}
		if _, err := l.look(); !errors.Is(err, ErrNodeID) || !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
		var rep report.Report
		(&Node{Config: l.config, Instance: instance.Identity{ID: self}, Clock: state.Clock{Boot: "one"}, State: l.state}).Describe(&rep)
		if rep.NodeID != nil || rep.Node != nil {
			t.Errorf("%s: the report has %d, %+v", name, *rep.NodeID, rep.Node)
		}
	}
	l := newLooked(t)
	if _, err := l.look(); !errors.Is(err, ErrNone) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := Look(l.config, self, "one", nil, nil); !errors.Is(err, ErrNone) {
		t.Errorf("no directories: %v", err)
	}
	if err := l.state.WriteFile(RecordFile, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.look(); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "holds none that is known: node-id.json is damaged") {
		t.Errorf("garbage: %v", err)
	}
}

// What a report has of the lease.
func TestDescribe(t *testing.T) {
	l := newLooked(t)
	if err := l.record().save(l.state); err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	n := &Node{Config: l.config, Instance: instance.Identity{ID: self}, Clock: state.Clock{Boot: "one"}, State: l.state}
	n.Describe(&rep)
	want := report.Node{Scope: "web", Gen: 13, DatacenterID: 1, ValidUntil: began.Add(time.Hour - time.Millisecond), Table: "s3://releases/apps/web"}
	if rep.NodeID == nil || *rep.NodeID != 39 || rep.Node == nil || *rep.Node != want {
		t.Errorf("the report has %v, %+v", rep.NodeID, rep.Node)
	}
}

// What the app is told is all that there is for those who may not read the record.
func TestLookAtFileOfTheApp(t *testing.T) {
	l := newLooked(t)
	n := &Node{Config: l.config, Run: l.run}
	bounds := lease.Bounds{NotBefore: began.UnixMilli(), ValidUntil: began.Add(time.Hour).UnixMilli()}
	for _, run := range []*os.Root{nil, l.run} {
		if _, err := lookAtFile(l.config, run, os.ErrPermission); !errors.Is(err, ErrNodeID) || !errors.Is(err, os.ErrPermission) {
			t.Errorf("no file: %v", err)
		}
	}
	if err := n.tell(l.record(), bounds); err != nil {
		t.Fatal(err)
	}
	want := View{NodeID: 39, WorkerID: 7, Name: "web-39", NotBefore: began, Here: true, Node: report.Node{Scope: "web", Gen: 13, DatacenterID: 1, ValidUntil: began.Add(time.Hour)}}
	if got, err := lookAtFile(l.config, l.run, os.ErrPermission); err != nil || got != want {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
	if err := l.run.WriteFile(AppFile, []byte("garbage"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := lookAtFile(l.config, l.run, os.ErrPermission); !errors.Is(err, ErrNodeID) || errors.Is(err, ErrNone) {
		t.Errorf("garbage: %v", err)
	}
}
