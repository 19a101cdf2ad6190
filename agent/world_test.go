package agent_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
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

func (w *world) must(data []byte, err error) []byte {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

// The failures of the outside world, as the packages below report them.
var (
	noChannel = fmt.Errorf("channels/stable.json: %w", bucket.ErrNotFound)
	cutOff    = fmt.Errorf("releases/2/web: %w", fetch.ErrTransport)
	altered   = &artifacts.MismatchError{What: "chunk 0", GotSize: 1, WantSize: 2}
	hostile   = fmt.Errorf("../x: %w", tree.ErrRefused)
	full      = &store.DiskError{Op: "unpack", Err: errors.New("no space left on device")}
)
