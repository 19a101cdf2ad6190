package agent_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/store"
	"koboshi/artifacts/tree"
	"koboshi/systemd"
)

// world is everything around one agent, in memory but for the disk: a machine
// with tags, a channel with signed releases, a group with a hook, and an app that
// can be made unhealthy.
type world struct {
	t   *testing.T
	dir string
	now time.Time
	key artifacts.PrivateKey

	version string // of the agent; "" = 0.1.0

	promoter  *artifacts.PrivateKey // alone may move a channel; nil = key may
	publisher bool                  // and key has signed the pointer all the same

	// the machine
	id          string
	firmwareID  string // the result of LocalID; "" = none
	tags        map[string]string
	identityErr error
	tagsErr     error
	onTags      func()
	target      string // the target lifecycle state; "" = not in a group
	targetErr   error
	latency     time.Duration // of every answer of the network
	asking      sync.Mutex    // of the target state
	onTarget    func()        // before each read of it

	// the channel
	pointer  []byte
	sequence int64

	spreadSeconds int64           // of what is promoted
	next          *artifacts.Next // likewise
	manifests     map[string][]byte
	contents      map[string][]byte
	pointers      int           // how often the channel was read
	unchanged     int           // and how often what was known was answered
	manifested    int           // how often a manifest was asked for
	fetches       int           // how often an artifact was asked for
	rates         []config.Rate // of these
	canary        []byte        // the pointer of that channel
	silent        string        // what gets no answer: "pointer", "manifest", "content", "gate", "record" or a hook such as "pre_start 2"
	pointerErr    error         // for every read of the channel
	onPointer     func(n int)
	onFetch       func()
	manifestErr   error
	contentErr    error            // after half of the bytes
	failing       map[string]error // likewise, of one key
	asked         []string         // the keys of artifacts and deltas, in order

	// the group
	groupErr    func() error // of looking the group up; nil = none
	onGroup     func(context.Context)
	inState     string // of the instance, as Auto Scaling has it
	signals     []lifecycle.Result
	signalled   func() // at the moment of the signal
	onComplete  func() // when completing begins
	completeErr error
	throttled   time.Duration // how long completing takes
	outcome     lifecycle.Outcome
	heartbeats  bool

	// the stack
	flush    string   // [drain.flush]; "" = none
	stack    string   // signal.stack; "" = none
	told     []string // the statuses that it was sent
	onStack  func()
	stackErr func() error
	stackEnd lifecycle.End // "" = completed
	hook     string        // the lifecycle hook that waits; "" = koboshi-launching
	hookErr  error         // of looking it up
	beatErr  error         // of a heartbeat

	// the app
	broken   map[string]bool // versions that do not start
	ill      map[string]bool // versions that never become healthy
	running  string          // the version that runs
	restarts int
	onGate   func()
	stopErr  error
	stopTime time.Duration // how long stopping takes
	envs     [][]string    // of its restarts

	// the hooks of all releases that are published
	hooks     artifacts.Hooks
	hookFails map[string]error // such as "pre_start 2"
	onHook    func(service.Hook)
	story     []string // of hooks, restarts and gates

	records  *buckettest.Memory // where health records are written to; nil = none are
	node     *leasetest.Memory  // the table of node ids; nil = there are none
	nodeKeys string             // of [node_id], beside the scope
	renamed  string             // the scope; "" = web
	nodes    *leasetest.Memory  // of that
	nonces   byte
	armed    time.Time // when PID 1 stops the app; zero = it does not
	pid1     *time.Timer
	armErr   error
	stepped  time.Duration // by which the machine's clock was set

	bootID string    // "" = one
	since  time.Time // the machine was started
	ready  int

	reporting sync.Mutex
	gate      sync.Mutex // see pass
	notified  []string   // the reports that notify.command got
	notifyErr error
	onNotify  func()

	when  []string // fallback.when
	age   time.Duration
	wait  bool // on_failure = "wait"
	floor int64

	persists            int // how often refused credentials were to be asked for until the end
	waits               []string
	onWait              func()
	reload              bool          // service.reload
	unusable            error         // why the app's units cannot be started
	spreadOver, holdFor time.Duration // lifecycle.continue_jitter and lifecycle.abandon_delay

	rebalance string // drain.rebalance, "" = not set
	stateDir  string // state.dir, likewise

	maxRate  config.Rate
	delta    string // install.delta, "" = not set
	verify   string // install.verify, likewise
	images   string // install.images, likewise
	fsverity bool
	seals    *seals
	mounts   *mounts
}

const self = "i-0123456789abcdef0"

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := artifacts.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, dir: t.TempDir(), now: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), key: key, since: time.Now(),
		id: self, target: "InService", inState: "Pending:Wait", tags: map[string]string{config.TagGroup: "web"},
		manifests: map[string][]byte{}, contents: map[string][]byte{},
		outcome: lifecycle.Outcome{End: lifecycle.Completed},
		broken:  map[string]bool{}, ill: map[string]bool{},
		when: []string{config.Unavailable}, age: 24 * time.Hour,
	}
	w.release("1")
	return w
}

// release publishes a version and promotes it.
func (w *world) release(version string) {
	w.t.Helper()
	w.publish(version)
	w.promote(version, time.Time{})
}

func (w *world) publish(version string) {
	w.t.Helper()
	data := []byte("#!/bin/sh\necho " + version + "\n")
	sum := artifacts.Sum(data)
	m := artifacts.Manifest{Schema: 1, App: "web", Version: version, Created: w.now, Hooks: w.hooks, Artifacts: []artifacts.Artifact{{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Format: artifacts.File, SHA256: sum, Size: int64(len(data)),
		UnpackedBytes: int64(len(data)), Entries: 1,
		Key: artifacts.ArtifactKey("web", version, runtime.GOOS, runtime.GOARCH, sum, artifacts.File),
	}}}
	w.manifests[version] = w.must(m.Sign(w.key))
	w.contents[m.Artifacts[0].Key] = data
}

func (w *world) promote(version string, expires time.Time) {
	w.t.Helper()
	w.pointer = w.point("stable", version, expires)
}

// promoteCanary points the channel canary to a version.
func (w *world) promoteCanary(version string) {
	w.t.Helper()
	w.canary = w.point("canary", version, time.Time{})
}

func (w *world) point(channel, version string, expires time.Time) []byte {
	w.t.Helper()
	w.sequence++
	return w.must(artifacts.Pointer{
		Next: w.next, Schema: 1, App: "web", Channel: channel, Sequence: w.sequence, Version: version,
		ManifestSHA256: artifacts.Sum(w.manifests[version]), Issued: w.now.Add(-time.Minute), Expires: expires,
		SpreadSeconds: w.spreadSeconds,
	}.Sign(w.mover()))
}

// leaveGroup makes the instance one outside of Auto Scaling.
func (w *world) leaveGroup() {
	w.target = ""
	delete(w.tags, config.TagGroup)
}

// boot builds the agent anew, as a new process would, and runs it.
func (w *world) boot() (report.Report, error) {
	return w.run(w.t.Context(), (*agent.Agent).Boot)
}

func (w *world) sync() (report.Report, error) {
	return w.run(w.t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
		return a.Sync(ctx, agent.SyncOptions{})
	})
}

func (w *world) run(ctx context.Context, do func(*agent.Agent, context.Context) (report.Report, error)) (report.Report, error) {
	w.t.Helper()
	return do(w.agent(), ctx)
}

// mover is the key that signs pointers.
func (w *world) mover() artifacts.PrivateKey {
	if w.promoter != nil && !w.publisher {
		return *w.promoter
	}
	return w.key
}

func (w *world) trust() artifacts.Trust {
	w.t.Helper()
	trust, err := artifacts.NewTrust(cmp.Or(w.version, "0.1.0"), 1, w.key.Public())
	if err == nil && w.promoter != nil {
		trust, err = trust.WithPromoters(1, w.promoter.Public())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return trust
}

func (w *world) agent() *agent.Agent {
	w.t.Helper()
	trust := w.trust()
	return &agent.Agent{
		Files: w.config(), Version: "0.1.0", Machine: machine{w}, Trust: trust,
		LocalID: func() (string, bool) { return w.firmwareID, w.firmwareID != "" },
		Connect: func(*config.Config, instance.Identity) (agent.Cloud, error) {
			return agent.Cloud{
				Releases: channel{w, trust}, Artifacts: channel{w, trust}, Lifecycle: group{w}, Stacks: stacks{w}, Persist: func() { w.persists++ },
				Records: w.recordBucket(),
				NodeTable: func(scope string) (lease.Table, error) {
					if scope == w.renamed {
						return w.nodes, nil
					}
					return w.node, nil
				},
			}, nil
		},
		Service: fakeApp{w}, Ready: func() error { w.ready++; return nil },
		Mounts: w.mounting,
		Seals:  w.seals,
		Notify: func(_ context.Context, report []byte) error {
			if w.onNotify != nil {
				w.onNotify()
			}
			w.reporting.Lock()
			defer w.reporting.Unlock()
			w.notified = append(w.notified, string(report))
			return w.notifyErr
		},
		Now:   w.clock,
		Nonce: w.nonce(),
		Clock: state.Clock{Boot: cmp.Or(w.bootID, "one"), Uptime: func() time.Duration { return time.Since(w.since) }},
		Waits: w.waitsFor,
	}
}

// recordBucket is nil, and not a bucket that is nil, where there is none.
func (w *world) recordBucket() bucket.Bucket {
	if w.records == nil {
		return nil
	}
	return recordBucket{w.records, w}
}

type recordBucket struct {
	*buckettest.Memory
	world *world
}

func (b recordBucket) Put(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (bucket.Object, error) {
	if err := b.world.answers(ctx, "record"); err != nil {
		return bucket.Object{}, err
	}
	return b.Memory.Put(ctx, key, body, size, when)
}

// clock is the machine's: it stands still, unless there are node ids.
func (w *world) clock() time.Time {
	w.gate.Lock()
	defer w.gate.Unlock()
	if w.node == nil {
		return w.now
	}
	return time.Now().Add(w.stepped)
}

func (w *world) nonce() lease.Nonce {
	w.nonces++
	return lease.Nonce{w.nonces}
}

// pass orders what a test sets and what the agent's goroutines read of it.
func (w *world) pass() {
	w.gate.Lock()
	defer w.gate.Unlock()
}

// later changes the world while an agent is at work.
func (w *world) later(d time.Duration, change func()) {
	time.AfterFunc(d, func() {
		w.gate.Lock()
		defer w.gate.Unlock()
		change()
	})
}

func (w *world) waitsFor(step string, d time.Duration) {
	w.waits = append(w.waits, step+" "+d.String())
	if w.onWait != nil {
		w.onWait()
	}
}

// state is what the last run left in state.json.
func (w *world) state() state.State {
	w.t.Helper()
	left, damage, err := state.Load(w.open("state"))
	if damage != nil || err != nil {
		w.t.Fatal(damage, err)
	}
	return left
}

func (w *world) open(name string) *os.Root {
	w.t.Helper()
	dir := filepath.Join(w.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	return root
}

func (w *world) config() *config.Config {
	w.t.Helper()
	onFailure := config.Abandon
	if w.wait {
		onFailure = config.Wait
	}
	resource := ""
	if w.stack != "" {
		resource = "Group"
	}
	text := fmt.Sprintf(`
app = "web"
source = "s3://releases"
channels = ["stable", "canary"]
[trust]
keys = ["/key.pub"]
floor = { stable = %d }
[install]
root = %q
max_rate = "%d"
delta = %q
verify = %q
images = %q
fsverity = %t
[service]
unit = "web.service"
[health]
tcp = "127.0.0.1:1"
[lifecycle]
on_failure = %q
continue_jitter = %q
abandon_delay = %q
[fallback]
when = [%s]
max_age = %q
[signal]
stack = %q
resource = %q
[notify]
command = ["pager"]
[state]
dir = %q
run = %q
`, w.floor, filepath.Join(w.dir, "opt"), w.maxRate, cmp.Or(w.delta, config.DeltaSync), cmp.Or(w.verify, config.VerifyLaunch), cmp.Or(w.images, config.ImagesNever), w.fsverity, onFailure, w.spreadOver, w.holdFor, quoted(w.when), w.age, w.stack, resource, filepath.Join(w.dir, "state"), filepath.Join(w.dir, "run"))
	if w.node != nil {
		text += fmt.Sprintf("[node_id]\nscope = %q\n", cmp.Or(w.renamed, "web")) + w.nodeKeys
	}
	if w.records != nil {
		text += "[fleet]\nreport = true\n"
	}
	c, err := config.Parse(config.File{Name: "koboshi.toml", Data: []byte(text + w.flush)})
	if err != nil {
		w.t.Fatal(err)
	}
	c.Service.Reload = w.reload
	c.Drain.Rebalance = cmp.Or(w.rebalance, c.Drain.Rebalance)
	c.State.Dir = cmp.Or(w.stateDir, c.State.Dir)
	return c
}

func quoted(list []string) string {
	var b bytes.Buffer
	for _, s := range list {
		fmt.Fprintf(&b, "%q,", s)
	}
	return b.String()
}

// current is the version that the link current points to, "" for none.
func (w *world) current() string { return w.linked("current") }

func (w *world) linked(link string) string {
	w.t.Helper()
	dir, err := filepath.EvalSymlinks(filepath.Join(w.dir, "opt", link))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		w.t.Fatal(err)
	}
	name := filepath.Base(filepath.Dir(dir)) // of releases/<id>/tree
	return name[:len(name)-len("-0123456789ab")]
}

func (w *world) must(data []byte, err error) []byte {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

type machine struct{ *world }

func (m machine) Identity(context.Context) (instance.Identity, error) {
	m.roundTrip()
	return instance.Identity{ID: m.id, Region: "eu-central-1", AZ: "eu-central-1a"}, m.identityErr
}

func (m machine) Tags(_ context.Context, names ...string) (map[string]string, error) {
	m.roundTrip()
	if m.onTags != nil {
		m.onTags()
	}
	known := maps.Clone(m.tags)
	maps.DeleteFunc(known, func(k, _ string) bool { return !slices.Contains(names, k) })
	return known, m.tagsErr
}

func (m machine) TargetState(context.Context) (string, error) {
	m.roundTrip()
	m.asking.Lock() // the launch and the search for its action ask
	defer m.asking.Unlock()
	if m.onTarget != nil {
		m.onTarget()
	}
	return m.target, m.targetErr
}

type channel struct {
	*world
	trust artifacts.Trust
}

func (c channel) Pointer(ctx context.Context, name string, known fetch.Known) (fetch.Known, error) {
	c.roundTrip()
	c.pointers++
	if c.onPointer != nil {
		c.onPointer(c.pointers)
	}
	if err := cmp.Or(c.answers(ctx, "pointer"), c.pointerErr); err != nil {
		return fetch.Known{}, err
	}
	envelope := c.pointer
	if name == "canary" {
		envelope = c.canary
	}
	etag := artifacts.Sum(envelope).Short()
	if known.Pointer != nil && known.ETag == etag {
		c.unchanged++
		return known, nil
	}
	p, err := c.trust.Pointer(envelope, "web", name)
	return fetch.Known{Pointer: p, ETag: etag}, err
}

// roundTrip is the way of a request and its answer.
func (w *world) roundTrip() {
	if w.latency > 0 {
		<-time.After(w.latency)
	}
}

// answers waits for the end of ctx where a source is silent.
func (w *world) answers(ctx context.Context, to string) error {
	w.gate.Lock()
	silent := w.silent
	w.gate.Unlock()
	if silent != to {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (c channel) Manifest(ctx context.Context, ref artifacts.Reference) (*artifacts.VerifiedManifest, error) {
	c.roundTrip()
	c.manifested++
	if err := cmp.Or(c.answers(ctx, "manifest"), c.manifestErr); err != nil {
		return nil, err
	}
	return c.trust.Manifest(c.manifests[ref.Version], ref)
}

func (c channel) Blob(_ context.Context, b artifacts.Blob) ([]byte, error) {
	c.roundTrip()
	if data, found := c.contents[b.Key]; found {
		return data, artifacts.CheckSum(b.Key, data, b.Size, b.SHA256)
	}
	return nil, fmt.Errorf("%s: %w", b.Key, bucket.ErrNotFound)
}

func (c channel) Open(_ context.Context, a artifacts.Artifact, rate config.Rate, s *report.Span) converge.Content {
	c.fetches++
	if c.onFetch != nil {
		c.onFetch()
	}
	c.rates = append(c.rates, rate)
	c.asked = append(c.asked, a.Key)
	s.AddBytes(a.Size)
	return &content{world: c.world, data: c.contents[a.Key], whole: a.Image != nil, fail: cmp.Or(c.failing[a.Key], c.contentErr)}
}

func (c channel) OpenChunks(ctx context.Context, a artifacts.Artifact, _ []int, rate config.Rate, s *report.Span) converge.Content {
	return c.Open(ctx, a, rate, s)
}

// content yields an artifact in two pieces, or one piece and an error.
type content struct {
	world *world
	data  []byte
	whole bool // it is one chunk
	fail  error
	step  int
}

func (c *content) Close() error { return nil }

func (c *content) Next(ctx context.Context) (tree.Frame, error) {
	if err := c.world.answers(ctx, "content"); err != nil {
		return tree.Frame{}, err
	}
	half := len(c.data) / 2
	c.step++
	if c.whole {
		half = len(c.data)
	}
	switch {
	case c.whole && c.step == 2 && c.fail == nil:
		return tree.Frame{}, io.EOF
	case c.step == 1:
		return tree.Frame{Data: c.data[:half], Release: func() {}}, nil
	case c.fail != nil:
		return tree.Frame{}, c.fail
	case c.step == 2:
		return tree.Frame{Data: c.data[half:], At: int64(half), Release: func() {}}, nil
	}
	return tree.Frame{}, io.EOF
}

type group struct{ *world }

func (g group) Group(ctx context.Context, _ string) (string, string, error) {
	g.roundTrip()
	g.pass()
	if g.onGroup != nil {
		g.onGroup(ctx)
	}
	if g.groupErr != nil {
		g.gate.Lock()
		err := g.groupErr()
		g.gate.Unlock()
		if err != nil {
			return "", "", err
		}
	}
	return "web", g.inState, nil
}

func (g group) HeartbeatTimeout(context.Context, string, string) (time.Duration, error) {
	g.pass()
	return 10 * time.Minute, g.hookErr
}

func (g group) Heartbeat(context.Context, lifecycle.Action) error {
	g.gate.Lock()
	defer g.gate.Unlock()
	return g.beatErr
}

func (g group) KeepAlive(ctx context.Context, _ lifecycle.Action, _ time.Duration, rep func(int, error)) {
	g.pass()
	if g.heartbeats {
		rep(1, nil)
	}
	<-ctx.Done()
}

func (g group) Complete(ctx context.Context, h lifecycle.Action, r lifecycle.Result, ready func(context.Context) error) (lifecycle.Outcome, error) {
	g.pass()
	if h != (lifecycle.Action{Group: "web", Hook: cmp.Or(g.hook, "koboshi-launching"), Instance: g.id}) {
		return lifecycle.Outcome{}, fmt.Errorf("an unknown hook %v", h)
	}
	if g.onComplete != nil {
		g.onComplete()
	}
	select {
	case <-time.After(g.throttled):
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return lifecycle.Outcome{}, err
	}
	if ready != nil {
		if err := ready(ctx); err != nil {
			return lifecycle.Outcome{}, err
		}
	}
	if g.signalled != nil {
		g.signalled()
	}
	g.signals = append(g.signals, r)
	return g.outcome, g.completeErr
}

type stacks struct{ *world }

func (s stacks) Signal(ctx context.Context, r lifecycle.Resource, status lifecycle.Status, ready func(context.Context) error) (lifecycle.End, error) {
	if r != (lifecycle.Resource{Stack: s.stack, Name: "Group", Instance: s.id}) {
		return "", fmt.Errorf("an unknown resource %v", r)
	}
	if s.onStack != nil {
		s.onStack()
	}
	if ready != nil {
		if err := ready(ctx); err != nil {
			return "", err
		}
	}
	if s.stackErr != nil {
		if err := s.stackErr(); err != nil {
			return "", err
		}
	}
	s.told = append(s.told, string(status))
	return cmp.Or(s.stackEnd, lifecycle.Completed), nil
}

type fakeApp struct{ *world }

func (s fakeApp) Check(context.Context) error { return s.unusable }

func (s fakeApp) Restart(_ context.Context, env []string) (service.Gate, error) {
	s.pass()
	version := s.current()
	s.envs = append(s.envs, env)
	if s.broken[version] {
		return nil, errors.New("the unit failed")
	}
	s.running = version
	s.restarts++
	s.story = append(s.story, "restart "+version)
	return func(ctx context.Context, _ artifacts.Health) (health.Report, error) {
		s.story = append(s.story, "gate "+version)
		if s.onGate != nil {
			s.onGate()
		}
		if err := cmp.Or(s.answers(ctx, "gate"), ctx.Err()); err != nil {
			return health.Report{}, err
		}
		if s.ill[version] {
			return health.Report{Attempts: 3}, &health.UnhealthyError{Last: errors.New("503"), Attempts: 3}
		}
		return health.Report{Attempts: 1}, nil
	}, nil
}

func (s fakeApp) Probe(ctx context.Context, h artifacts.Health) error {
	s.pass()
	_, err := s.Await(ctx, h)
	return err
}

func (s fakeApp) Await(ctx context.Context, _ artifacts.Health) (health.Report, error) {
	s.pass()
	switch {
	case ctx.Err() != nil:
		return health.Report{}, context.Cause(ctx)
	case s.running == "" || s.ill[s.running]:
		return health.Report{}, &health.UnhealthyError{Last: errors.New("503"), Attempts: 1}
	}
	return health.Report{Attempts: 1}, nil
}

func (s fakeApp) Stop(context.Context) error {
	s.pass()
	<-time.After(s.stopTime)
	s.story = append(s.story, "stop "+s.running)
	s.running = ""
	return s.stopErr
}

func (s fakeApp) Load(context.Context) error { return nil }

// Limits are those of a unit that is stopped quickly.
func (s fakeApp) Limits(context.Context) (stop, restart time.Duration, err error) {
	return 10 * time.Second, systemd.Endless, nil
}

// Arm stops the app at that moment, as PID 1 does.
func (s fakeApp) Arm(_ context.Context, at time.Time) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.armErr != nil {
		return s.armErr
	}
	s.armed = at
	s.rearm()
	return nil
}

// rearm is for a clock that was set, too.
func (w *world) rearm() {
	if w.pid1 != nil {
		w.pid1.Stop()
	}
	if w.armed.IsZero() {
		return
	}
	w.pid1 = time.AfterFunc(time.Until(w.armed.Add(-w.stepped)), func() {
		w.gate.Lock()
		defer w.gate.Unlock()
		if w.running != "" {
			w.story = append(w.story, "PID 1 stops "+w.running)
		}
		w.running, w.armed = "", time.Time{}
	})
}

func (s fakeApp) Disarm(context.Context) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.armed = time.Time{}
	s.rearm()
	return nil
}

func (s fakeApp) Running(context.Context) (bool, error) {
	s.pass()
	return s.running != "", nil
}

func (s fakeApp) Down(context.Context) (string, error) {
	s.pass()
	if s.running == "" {
		return "web.service is inactive (dead)", nil
	}
	return "", nil
}

func (s fakeApp) RunHook(ctx context.Context, h service.Hook) error {
	s.pass()
	name := h.Name + " " + h.Version
	s.story = append(s.story, name)
	if s.onHook != nil {
		s.onHook(h)
	}
	return errors.Join(s.answers(ctx, name), ctx.Err(), s.hookFails[name])
}

// The failures of the outside world, as the packages below report them.
var (
	noChannel = fmt.Errorf("channels/stable.json: %w", bucket.ErrNotFound)
	cutOff    = fmt.Errorf("releases/2/web: %w", fetch.ErrTransport)
	altered   = &artifacts.MismatchError{What: "chunk 0", GotSize: 1, WantSize: 2}
	hostile   = fmt.Errorf("../x: %w", tree.ErrRefused)
	full      = &store.DiskError{Op: "unpack", Err: errors.New("no space left on device")}
)
