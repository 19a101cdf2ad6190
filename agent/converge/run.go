package converge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/nodeid"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/store"
)

// Run is one attempt to converge. The fields are set by its maker; Config,
// Instance, Releases and Artifacts may be set later than the others, when they
// are known: [Run.Activate] needs no network.
type Run struct {
	Config    *config.Config
	Instance  instance.Identity
	Releases  Releases
	Artifacts Artifacts
	Service   Service
	Store     *store.Store
	Node      *nodeid.Node // nil = the app has no node id
	RunDir    *os.Root     // <run>, where the app's environment file is

	// Admit checks a pointer's sequence against the highest one that was seen of
	// its channel, and makes the new one durable before anything else is done
	// with the pointer. A crash can then not let an older one in.
	Admit func(*artifacts.VerifiedPointer) error

	Steps *report.Timeline
	Now   func() time.Time
	Warn  func(format string, args ...any)

	Options

	target    *Target                    // what was resolved last, nil = nothing
	known     *channelAnswer             // what was read of the channel just now, nil = nothing
	latest    *artifacts.VerifiedPointer // the last one that was read of the channel, nil = none
	up        string                     // id of the release that is known to be up and healthy, "" = none
	appEnv    string                     // the environment that this run started the app with, "" = it did not
	installed bool                       // a release was installed
	proven    string                     // id of the release whose tree was verified by this run, or made by it; "" = none
	offline   bool                       // the sources are known not to answer
	noID      bool                       // no node id could be had, and none is required
	refused   []artifacts.Digest         // images that were warned of
	unsealed  string                     // id of a release that was warned of: its image is not protected
}

// Options are the choices of one run.
type Options struct {
	Version  string      // install this version in place of the channel's; "" = the channel's
	Force    bool        // verify an installed tree and start the app anew
	Rate     config.Rate // of the download; 0 = without a limit, as at launch
	UseDelta bool        // make a release from an installed one and a delta
	Early    bool        // start the first release of a machine before it is on the disk
	IfNew    bool        // read the channel's pointer only where it is not the one that was last seen here

	// Patience is how long the sources may be silent, all their repetitions
	// included, before the run goes on without them; 0 = until its context ends.
	Patience time.Duration
}

// Releases is where an app's documents come from. It yields only what was
// verified.
type Releases interface {
	// Pointer need not read a pointer again that is known; see [fetch.Origin.Pointer].
	Pointer(ctx context.Context, channel string, known fetch.Known) (fetch.Known, error)
	Manifest(ctx context.Context, ref artifacts.Reference) (*artifacts.VerifiedManifest, error)
}

// Artifacts is where the bytes of a verified manifest's release come from.
type Artifacts interface {
	Blob(ctx context.Context, b artifacts.Blob) ([]byte, error)
	// Open fetches at most rate bytes a second; 0 is without a limit.
	Open(ctx context.Context, a artifacts.Artifact, rate config.Rate, s *report.Span) Content
	// OpenChunks fetches only those chunks of the artifact.
	OpenChunks(ctx context.Context, a artifacts.Artifact, chunks []int, rate config.Rate, s *report.Span) Content
}

// Content is one artifact while it is fetched. It must be closed.
type Content interface {
	store.Content
	Close() error
}

// Service starts the app and runs the hooks of its releases: service.Service.
type Service interface {
	Check(ctx context.Context) error
	Restart(ctx context.Context, env []string) (service.Gate, error)
	Load(ctx context.Context) error
	Stop(ctx context.Context) error
	RunHook(ctx context.Context, h service.Hook) error
	Running(ctx context.Context) (bool, error)
	Down(ctx context.Context) (why string, err error)
	Probe(ctx context.Context, override artifacts.Health) error
	Await(ctx context.Context, override artifacts.Health) (health.Report, error)
}

// Outcome is how converging ended. Err is nil where the exit code is 0; Cause is
// why the release that runs is stale.
type Outcome struct {
	Verdict report.Verdict
	Err     error
	Cause   error
}

// Failed is the outcome of an error. Where ctx has ended, that is the reason.
func Failed(ctx context.Context, err error) Outcome {
	return Outcome{Verdict: report.Failed, Err: Because(endedBy(ctx), err)}
}

// maxRounds bounds how often a run follows a channel that keeps moving. After
// the last round the newest release that passed the gate is good enough.
const maxRounds = 3

// Follow brings the machine to what the channel points to now.
func (r *Run) Follow(ctx context.Context) Outcome {
	t, err := r.Resolve(ctx)
	if err == nil {
		err = r.reach(ctx, t)
	}
	if err != nil {
		return Failed(ctx, err)
	}
	return r.Reached()
}

// Recheck asks the channel again and follows it, for a bounded number of rounds,
// if it has moved. What fails after it has moved is the run's failure. A channel
// that cannot be read now was read a moment ago: what it pointed to then counts.
func (r *Run) Recheck(ctx context.Context) Outcome {
	for range maxRounds - 1 {
		known, moved := r.moved(ctx)
		if !moved {
			return r.Reached()
		}
		t, err := r.manifest(ctx, known)
		if err == nil {
			err = r.reach(ctx, t)
		}
		if err != nil {
			return Failed(ctx, err)
		}
	}
	return r.Reached()
}

// reach makes t the running release: installed, current, up and healthy. Steps that
// are done already are not repeated.
func (r *Run) reach(ctx context.Context, t Target) error {
	first, err := r.isFirst(ctx, t)
	if err != nil {
		return err
	}
	if first {
		return r.reachFirst(ctx, t)
	}
	rel, err := r.Install(ctx, t)
	if err == nil {
		err = r.mayRun(rel)
	}
	if err != nil {
		return err
	}
	if !r.Force && !r.wantsNode(ctx) && r.knows(rel) && r.stillUp(ctx, rel) {
		return nil
	}
	r.Force = false // once is enough
	return r.Activate(ctx, rel)
}

// Reached is the outcome of a run that has the target.
func (r *Run) Reached() Outcome {
	if r.installed {
		return Outcome{Verdict: report.Fresh}
	}
	return Outcome{Verdict: report.Current}
}

// Target is what the run resolved last, nil before it has.
func (r *Run) Target() *Target { return r.target }

// Describe is a release as reports show it, with the sequence that the run's
// channel last pointed to it with.
func (r *Run) Describe(rel store.Release) *report.Release {
	out := &report.Release{Version: rel.Version(), ManifestSHA256: rel.ManifestSHA256().String(), ActivatedAt: rel.HealthySince()}
	if seen, ok := r.seen(rel); ok {
		out.Sequence = seen.Pointer.Sequence().Number
	}
	return out
}

// Rollout is the rollout in the channel as it was last read, nil = there is none.
func (r *Run) Rollout() *report.Rollout {
	if r.latest == nil || r.latest.Pointer().Next == nil {
		return nil
	}
	p := r.latest.Pointer()
	return &report.Rollout{Version: p.Next.Version, Percent: p.Next.Percent, In: p.InRollout(r.Instance.ID)}
}

// Up reports whether rel is known to be up and healthy.
func (r *Run) Up(rel store.Release) bool { return r.up != "" && r.up == rel.ID() }

// Current is the release that the disk names. A link that leads nowhere is as
// good as none.
func (r *Run) Current() (store.Release, bool) {
	if r.Store == nil {
		return store.Release{}, false // it could not be opened
	}
	rel, found, err := r.Store.Current()
	if err != nil {
		r.Warn("%v", err)
	}
	return rel, found
}

// endedBy is the reason that ctx ended for, nil while it has not: the deadline, a
// drain, or else an interruption.
func endedBy(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return nil
	case errors.Is(cause, failure.ErrDeadline):
		return failure.ErrDeadline
	case errors.Is(cause, state.ErrLeaving):
		return cause
	}
	return failure.ErrInterrupted
}

// Because puts the reason before what failed because of it.
func Because(reason, err error) error {
	if err == nil || reason == nil || errors.Is(err, reason) {
		return err
	}
	return fmt.Errorf("%w: %w", reason, err)
}
