package doctor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"sync"
	"testing"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/flush"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/format"
	"koboshi/systemd"
	"koboshi/systemd/install"
)

const me = "i-0123456789abcdef0"

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world is a machine in best order, with a switch for whatever may be wrong.
type world struct {
	t         *testing.T
	settings  string // a drop-in
	agent     string
	arch      string
	keys      []artifacts.PrivateKey // trusted
	signers   []artifacts.PrivateKey
	promoters []artifacts.PrivateKey // trusted to move a channel; none = keys
	movers    []artifacts.PrivateKey // that have signed the pointer; none = signers
	pointer   artifacts.Pointer
	manifest  artifacts.Manifest
	stranger  bool // the manifest in the bucket is not the one that the pointer names

	report      report.Report
	reportErr   error
	state       state.State
	stateErr    error
	current     *Tree
	currentErr  error
	previous    *Tree
	previousErr error
	spaceErr    error
	place       Place // every one
	placeErr    error
	others      []config.Neighbour
	sick        error
	answers     error

	hookUser         string
	hookUserErr      error
	unit, boot       systemd.State
	later            systemd.State // of the units after the first
	unitErr, bootErr error
	watch            systemd.State
	watchErr         error
	order            install.Order
	unordered        bool
	orderErr         error
	through          string // with the state of
	target           systemd.State

	who        instance.Identity
	whoErr     error
	tags       map[string]string
	tagsErr    error
	connectErr error

	credentials    Credentials
	credentialsErr error
	ahead          time.Duration
	timeless       bool

	lost    map[string]error // by key; "" is the list
	group   string
	groupOf error
	timeout time.Duration
	swapped bool // both lifecycle hooks are for the other transition
	hookErr error
	beatErr error

	ending    time.Duration // of the terminating hook
	endingErr error
	health    []string // of the target groups
	healthErr error
	shippers  []flusher

	lease    Lease
	leaseErr error
	armed    time.Time
	armedErr error
	nodes    *nodeTable // nil = there is none
	records  *buckettest.Memory

	cannot      map[string]error // formats that are not mounted, and why
	tried       bool             // that was tried
	unsealed    error            // why images are not sealed
	enforced    bool             // SELinux is enforcing
	enforcedErr error

	mu    sync.Mutex
	asked []string // keys that were read, heartbeats that were sent
}

func (w *world) Try(_ context.Context, kind format.Image) (bool, error) {
	return w.tried, w.cannot[string(kind.Info().Name)]
}

func (w *world) TrySeal(context.Context) error { return w.unsealed }

func (w *world) Labels() (bool, error) { return w.enforced, w.enforcedErr }

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := artifacts.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	sum := artifacts.Sum([]byte("0123456789"))
	w := &world{
		t: t, agent: "0.1.0", arch: "amd64",
		keys: []artifacts.PrivateKey{key}, signers: []artifacts.PrivateKey{key},
		pointer: artifacts.Pointer{Schema: 1, App: "web", Channel: "stable", Sequence: 7, Version: "1.4.2", Issued: now.Add(-time.Hour)},
		manifest: artifacts.Manifest{Schema: 1, App: "web", Version: "1.4.2", Created: now.Add(-2 * time.Hour), Hooks: artifacts.Hooks{PreStart: []string{"bin/migrate"}}, Artifacts: []artifacts.Artifact{{
			OS: "linux", Arch: "amd64", Format: artifacts.TarZst, Size: 10, SHA256: sum, UnpackedBytes: 1000, Entries: 12,
			Key: artifacts.ArtifactKey("web", "1.4.2", "linux", "amd64", sum, artifacts.TarZst),
		}}},
		who:         instance.Identity{ID: me, Region: "eu-central-1", AZ: "eu-central-1a"},
		tags:        map[string]string{},
		credentials: Credentials{From: "EC2RoleProvider", Expires: now.Add(6 * time.Hour)},
		group:       "web", timeout: 5 * time.Minute, beatErr: lifecycle.ErrNoAction,
		ending: 2 * time.Minute, health: []string{"healthy"},
		hookUser: "web",
		others:   []config.Neighbour{{File: "/etc/koboshi/api.toml"}},
		unit:     systemd.State{Active: "active", Sub: "running", Enabled: "disabled", Loaded: "loaded"},
		later:    systemd.State{Active: "active", Sub: "running", Enabled: "disabled", Loaded: "loaded"},
		watch:    systemd.State{Active: "active", Sub: "running", Enabled: "enabled"},
		order:    install.Order{Before: []string{"web.service"}, After: []string{"rsyslog.service"}},
		boot:     systemd.State{Active: "active", Sub: "exited", Enabled: "enabled"},
		lost:     map[string]error{}, records: buckettest.NewMemory(),
	}
	w.previous = &Tree{Version: "1.4.1"}
	w.current = &Tree{Version: "1.4.2", HealthyOn: func(id string) bool { return id == me }}
	w.report = report.Report{Command: "boot", App: "web", Verdict: report.Fresh, Started: now.Add(-time.Hour), MS: 2000,
		Release: &report.Release{Version: "1.4.2"}, Instance: report.Instance{ID: me}}
	w.state = state.State{Instance: me, Signalled: &state.Signal{Result: "CONTINUE", At: now.Add(-time.Hour)}}
	return w
}

// machine is the world as Examine takes it.
func (w *world) machine() Machine {
	w.t.Helper()
	cfg, err := config.Parse(config.File{Name: "koboshi.toml", Data: []byte(`
app = "web"
source = "s3://acme/apps"
channels = ["stable", "canary"]
[trust]
keys = ["/etc/koboshi/keys/release.pub"]
[service]
unit = "web.service"
[health]
tcp = "127.0.0.1:8080"
`)}, config.File{Name: "koboshi.d/test.toml", Data: []byte(w.settings)})
	if err != nil {
		w.t.Fatal(err)
	}
	m := Machine{Config: cfg, Others: w.others, BootUnit: systemd.BootUnit, Agent: w.agent, OS: "linux", Arch: w.arch, Now: now,
		Past: w, Disk: w, Places: w, Mounts: w, App: w, Units: machineUnits{w}, Node: w, Metadata: w, Flushers: w.shippers, Connect: w.connect}
	for _, k := range w.keys {
		m.Keys = append(m.Keys, k.Public())
	}
	cfg.Trust.Threshold = min(cfg.Trust.Threshold, len(m.Keys))
	if m.Trust, err = artifacts.NewTrust(w.agent, cfg.Trust.Threshold, m.Keys...); err != nil {
		w.t.Fatal(err)
	}
	for _, k := range w.promoters {
		m.Promoters = append(m.Promoters, k.Public())
		if m.Trust, err = m.Trust.WithPromoters(1, m.Promoters...); err != nil {
			w.t.Fatal(err)
		}
	}
	return m
}

func (w *world) connect(context.Context, instance.Identity) (Cloud, error) {
	return Cloud{Records: w.records, Sources: []Source{{Name: "s3://acme/apps", Bucket: w}}, Account: w, Hooks: w, Balancer: w, Nodes: w.nodes.table(), Clock: w}, w.connectErr
}

func (w *world) Lease() (Lease, error) { return w.lease, w.leaseErr }

func (w *world) Report() (report.Report, error)      { return w.report, w.reportErr }
func (w *world) State() (state.State, error)         { return w.state, w.stateErr }
func (w *world) Previous() (*Tree, error)            { return w.previous, w.previousErr }
func (w *world) CheckSpace(artifacts.Artifact) error { return w.spaceErr }
func (w *world) Place(string) (Place, error)         { return w.place, w.placeErr }
func (w *world) Probe(context.Context) error         { return w.sick }
func (w *world) CheckListener(context.Context) error { return w.answers }
func (w *world) HookUser(context.Context) (string, error) {
	return w.hookUser, w.hookUserErr
}
func (w *world) Ahead() (time.Duration, bool) { return w.ahead, !w.timeless }

// Current is the release that the channel names, unless a test put another.
func (w *world) Current() (*Tree, error) {
	if w.current != nil && w.current.Version == w.pointer.Version {
		w.current.ManifestSHA256 = artifacts.Sum(w.envelope())
	}
	return w.current, w.currentErr
}

func (w *world) Credentials(context.Context) (Credentials, error) {
	return w.credentials, w.credentialsErr
}

func (w *world) Identity(context.Context) (instance.Identity, error) { return w.who, w.whoErr }

func (w *world) Tags(context.Context, ...string) (map[string]string, error) {
	return w.tags, w.tagsErr
}

func (w *world) OrderedAfter(context.Context, string, string) (string, error) {
	return w.through, w.unitErr
}

func (w *world) Group(context.Context, string) (group, state string, err error) {
	if w.group == "" {
		return "", "", w.groupOf
	}
	return w.group, "InService", w.groupOf
}

func (w *world) Describe(_ context.Context, _, hook string) (lifecycle.Description, error) {
	if hook == "koboshi-terminating" {
		return lifecycle.Description{Terminating: !w.swapped, Timeout: w.ending}, w.endingErr
	}
	return lifecycle.Description{Terminating: w.swapped, Timeout: w.timeout}, w.hookErr
}

func (w *world) Health(context.Context, string, string) ([]string, error) {
	return w.health, w.healthErr
}

// shipper is a log shipper with one answer.
type shipper struct {
	kind   string
	answer flush.Answer
}

func (s shipper) Name() string                      { return "app" }
func (s shipper) Kind() string                      { return s.kind }
func (s shipper) Look(context.Context) flush.Answer { return s.answer }

func (w *world) Heartbeat(_ context.Context, hook lifecycle.Action) error {
	w.note("heartbeat " + hook.String() + " " + hook.Instance)
	return w.beatErr
}

func (w *world) Get(_ context.Context, key string, _ bucket.Range) (io.ReadCloser, bucket.Object, error) {
	w.note(key)
	if err := w.lost[key]; err != nil {
		return nil, bucket.Object{}, err
	}
	return io.NopCloser(bytes.NewReader(w.document(key))), bucket.Object{Key: key}, nil
}

func (w *world) Put(context.Context, string, io.ReaderAt, int64, bucket.Condition) (bucket.Object, error) {
	w.t.Error("an examination writes to the bucket")
	return bucket.Object{}, nil
}

func (w *world) Delete(context.Context, string) error {
	w.t.Error("an examination deletes from the bucket")
	return nil
}

func (w *world) List(context.Context, string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) { yield(bucket.Object{}, w.lost[""]) }
}

func (w *world) document(key string) []byte {
	if key == "releases/1.4.2/manifest.json" {
		return w.envelope()
	}
	w.pointer.ManifestSHA256 = artifacts.Sum(w.envelope())
	if w.stranger {
		w.pointer.ManifestSHA256 = artifacts.Sum(nil)
	}
	if len(w.movers) > 0 {
		return w.must(w.pointer.Sign(w.movers...))
	}
	return w.must(w.pointer.Sign(w.signers...))
}

func (w *world) envelope() []byte { return w.must(w.manifest.Sign(w.signers...)) }

func (w *world) must(data []byte, err error) []byte {
	if err != nil {
		w.t.Error(err)
	}
	return data
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, what)
}

// machineUnits lets State of systemd and State of the past live side by side.
type machineUnits struct{ *world }

func (u machineUnits) State(_ context.Context, unit string) (systemd.State, error) {
	switch unit {
	case systemd.BootUnit:
		return u.boot, u.bootErr
	case systemd.WatchUnit:
		return u.watch, u.watchErr
	case u.through:
		return u.target, nil
	case "worker.service":
		return u.later, nil
	}
	return u.unit, u.unitErr
}

func (u machineUnits) StopArmed(_ context.Context, name string) (time.Time, bool, error) {
	if name != "web" {
		u.t.Errorf("asked for the stop of %q", name)
	}
	return u.armed, !u.armed.IsZero(), u.armedErr
}

func (u machineUnits) WatchOrder(string, *config.Config) (install.Order, bool, error) {
	return u.order, !u.unordered, u.orderErr
}

var (
	errRefused = errors.Join(lifecycle.ErrDenied, errors.New("user arn:aws:sts::111122223333:role is not authorized"))
	errDenied  = errors.Join(bucket.ErrDenied, errors.New("user arn:aws:sts::111122223333:role is not authorized"))
	errAway    = errors.New("connection refused")
	errAbsent  = &fs.PathError{Op: "open", Path: "/opt/koboshi/web", Err: fs.ErrNotExist}
	errRoot    = &fs.PathError{Op: "open", Path: "state.json", Err: fs.ErrPermission}
)
