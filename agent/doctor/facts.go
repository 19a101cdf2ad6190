package doctor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/flush"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/systemd"
)

// Limit is the time that each question has.
const Limit = 5 * time.Second

// lastWords is how long a question that has run out of time may take to say
// what it was waiting for.
const lastWords = 200 * time.Millisecond

// fact is an answer, or why there is none.
type fact[T any] struct {
	value T
	err   error
}

// facts is all that checks go by.
type facts struct {
	Machine
	config   *config.Config // with the tags
	warnings []string

	report  fact[report.Report]
	state   fact[state.State]
	current fact[*Tree]
	before  fact[*Tree]
	healthy fact[struct{}]
	answers fact[struct{}] // what listens is the app

	hookUser fact[string]
	mounts   mountsFacts

	units []unitFacts
	boot  fact[systemd.State]
	watch fact[systemd.State]
	order fact[order]

	who         fact[instance.Identity]
	tags        fact[map[string]string]
	credentials fact[Credentials]
	clock       fact[time.Duration]

	sources  []sourceFacts
	pointer  fact[*artifacts.VerifiedPointer]
	manifest fact[*artifacts.VerifiedManifest]
	space    fact[struct{}]

	group     fact[membership]
	hook      fact[lifecycle.Description]
	heartbeat fact[struct{}]

	terminate fact[lifecycle.Description]
	targets   []fact[[]string]     // as drain.target_groups
	shippers  []fact[flush.Answer] // as Flushers

	records fact[struct{}] // a health record may be written

	lease fact[Lease]
	stop  fact[time.Time] // for which systemd's stop of the app is armed; zero = none is
	nodes nodesFacts
}

type sourceFacts struct {
	name    string
	way     string
	pointer fact[[]byte]
	list    fact[struct{}]
}

type unitFacts struct {
	name    string
	state   fact[systemd.State]
	order   fact[string]
	through fact[systemd.State] // of the unit that order names
}

type membership struct {
	group, state string // both "" outside of a group
}

// ask bounds the time of one question, also where its code ignores the context.
func ask[T any](ctx context.Context, question func(context.Context) (T, error)) fact[T] {
	late := errors.New("no answer within " + report.Duration(Limit))
	ctx, cancel := context.WithTimeoutCause(ctx, Limit, late)
	defer cancel()
	answer := make(chan fact[T], 1)
	go func() {
		value, err := question(ctx)
		answer <- fact[T]{value, err}
	}()
	select {
	case f := <-answer:
		return f
	case <-ctx.Done():
	}
	select {
	case f := <-answer: // it may know what it was waiting for
		if f.err != nil {
			f.err = fmt.Errorf("%w: %w", context.Cause(ctx), f.err)
		}
		return f
	case <-time.After(lastWords):
		return fact[T]{err: context.Cause(ctx)}
	}
}

// ask0 is ask for questions whose only answer is an error.
func ask0(ctx context.Context, question func(context.Context) error) fact[struct{}] {
	return ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, question(ctx) })
}

// local is ask for questions to the disk.
func local[T any](ctx context.Context, question func() (T, error)) fact[T] {
	return ask(ctx, func(context.Context) (T, error) { return question() })
}

// gather asks everything; questions that do not depend on each other at once.
func (m Machine) gather(ctx context.Context) *facts {
	f := &facts{Machine: m, config: m.Config}
	together(
		func() { f.report = local(ctx, m.Past.Report) },
		func() { f.state = local(ctx, m.Past.State) },
		func() { f.current = local(ctx, m.Disk.Current) },
		func() { f.before = local(ctx, m.Disk.Previous) },
		func() { f.healthy = ask0(ctx, m.App.Probe) },
		func() { f.answers = ask0(ctx, m.App.CheckListener) },
		func() { f.hookUser = ask(ctx, m.App.HookUser) },
		func() { f.askShippers(ctx) },
		func() { f.askMounts(ctx) },
		func() { f.askLease(ctx) },
		func() { f.askSystemd(ctx) },
		func() { f.askInstance(ctx); f.askCloud(ctx) },
	)
	return f
}

func together(asking ...func()) {
	var all sync.WaitGroup
	for _, f := range asking {
		all.Go(f)
	}
	all.Wait()
}

func (f *facts) askSystemd(ctx context.Context) {
	state := func(unit string) func(context.Context) (systemd.State, error) {
		return func(ctx context.Context) (systemd.State, error) { return f.Units.State(ctx, unit) }
	}
	all := f.Config.Service.AllUnits()
	if len(all) == 0 {
		return
	}
	asking := []func(){
		func() { f.boot = ask(ctx, state(f.BootUnit)) },
		func() { f.watch = ask(ctx, state(f.watchUnit())) },
		func() { f.order = local(ctx, f.askOrder) },
	}
	f.units = make([]unitFacts, len(all))
	for i, unit := range all {
		found := &f.units[i]
		found.name = unit
		asking = append(asking,
			func() { found.state = ask(ctx, state(unit)) },
			func() {
				found.order = ask(ctx, func(ctx context.Context) (string, error) { return f.Units.OrderedAfter(ctx, unit, f.BootUnit) })
				if through := found.order.value; through != "" {
					found.through = ask(ctx, state(through))
				}
			})
	}
	together(asking...)
}

func (f *facts) askInstance(ctx context.Context) {
	if f.who = ask(ctx, f.Metadata.Identity); f.who.err != nil {
		f.tags.err = errors.New("instance metadata did not answer")
		return
	}
	f.tags = ask(ctx, func(ctx context.Context) (map[string]string, error) {
		return f.Metadata.Tags(ctx, config.TagChannel, config.TagHold, config.TagGroup)
	})
	f.config, f.warnings = f.Config.WithTags(f.tags.value)
}

func (f *facts) askCloud(ctx context.Context) {
	cloud := ask(ctx, func(ctx context.Context) (Cloud, error) { return f.Connect(ctx, f.who.value) })
	if cloud.err != nil {
		f.unconnected(fmt.Errorf("no connection to AWS: %w", cloud.err))
		return
	}
	together(
		func() { f.credentials = ask(ctx, cloud.value.Account.Credentials) },
		func() { f.askSources(ctx, cloud.value.Sources) },
		func() { f.askHooks(ctx, cloud.value.Hooks) },
		func() { f.askTargets(ctx, cloud.value.Balancer) },
		func() { f.askNodes(ctx, cloud.value.Nodes) },
		func() { f.askRecords(ctx, cloud.value.Records) },
	)
	if ahead, ok := cloud.value.Clock.Ahead(); ok {
		f.clock.value = ahead
	} else {
		f.clock.err = errors.New("no answer had a time")
	}
}

func (f *facts) unconnected(why error) {
	f.credentials.err, f.clock.err, f.pointer.err, f.manifest.err = why, why, why, why
	f.group.err, f.hook.err, f.heartbeat.err, f.space.err = why, why, why, why
	f.records.err = why
	f.terminate.err, f.nodes.shard.err, f.nodes.listed.err, f.nodes.probe.err = why, why, why, why
	for range f.Config.Drain.TargetGroups {
		f.targets = append(f.targets, fact[[]string]{err: why})
	}
}

// askSources reads the channel from every source, and goes on with the first
// whose pointer is verified, as a run does.
func (f *facts) askSources(ctx context.Context, sources []Source) {
	f.sources = make([]sourceFacts, len(sources))
	var asking []func()
	for i, s := range sources {
		found := &f.sources[i]
		found.name, found.way = s.Name, s.Way
		asking = append(asking,
			func() {
				found.pointer = read(ctx, s, artifacts.PointerKey(f.config.Channel), artifacts.MaxPointerBytes)
			},
			func() { found.list = ask0(ctx, s.list) })
	}
	together(asking...)
	f.pointer.err = errors.New("the channel could not be read")
	for i, s := range f.sources {
		if s.pointer.err != nil {
			continue
		}
		if f.pointer.value, f.pointer.err = f.Trust.Pointer(s.pointer.value, f.config.App, f.config.Channel); f.pointer.err == nil {
			f.askRelease(ctx, sources[i])
			return
		}
	}
	f.manifest.err = errors.New("no pointer passed verification")
	f.space.err = f.manifest.err
}

func read(ctx context.Context, s Source, key string, limit int64) fact[[]byte] {
	return ask(ctx, func(ctx context.Context) ([]byte, error) {
		data, _, err := bucket.Read(ctx, s.Bucket, key, limit)
		return data, err
	})
}

// list asks whether objects can be listed; errors.ErrUnsupported where there are
// no lists.
func (s Source) list(ctx context.Context) error {
	b, ok := s.Bucket.(bucket.Bucket)
	if !ok {
		return errors.ErrUnsupported
	}
	for _, err := range b.List(ctx, "channels/") {
		return err // the first will do
	}
	return nil
}

// askRelease reads the manifest that the channel points to, and asks the disk
// whether its tree would fit.
func (f *facts) askRelease(ctx context.Context, from Source) {
	ref := f.pointer.value.Choose(f.who.value.ID)
	envelope := read(ctx, from, artifacts.ManifestKey(ref.Version), artifacts.MaxManifestBytes)
	f.manifest.err = envelope.err
	if envelope.err == nil {
		f.manifest.value, f.manifest.err = f.Trust.Manifest(envelope.value, ref)
	}
	if f.manifest.err != nil {
		f.space.err = errors.New("no manifest passed verification")
		return
	}
	f.space = ask0(ctx, func(context.Context) error {
		artifact, err := f.manifest.value.Manifest().Artifact(f.OS, f.Arch)
		if err != nil {
			return err
		}
		return f.Disk.CheckSpace(artifact)
	})
}

func (f *facts) askHooks(ctx context.Context, hooks hooks) {
	if f.who.err != nil {
		f.group.err = errNoID
		f.hook.err, f.heartbeat.err, f.terminate.err = errNoID, errNoID, errNoID
		return
	}
	f.group = ask(ctx, func(ctx context.Context) (m membership, err error) {
		m.group, m.state, err = hooks.Group(ctx, f.who.value.ID)
		return m, err
	})
	describe := func(hook lifecycle.Action) fact[lifecycle.Description] {
		if hook.Group == "" || hook.Hook == "" {
			return fact[lifecycle.Description]{}
		}
		return ask(ctx, func(ctx context.Context) (lifecycle.Description, error) {
			return hooks.Describe(ctx, hook.Group, hook.Hook)
		})
	}
	together(
		func() { f.hook = describe(f.launchHook()) },
		func() { f.terminate = describe(f.terminateHook()) },
		func() {
			if hook := f.launchHook(); hook.Group != "" && hook.Hook != "" {
				f.heartbeat = ask0(ctx, func(ctx context.Context) error { return hooks.Heartbeat(ctx, hook) })
			}
		},
	)
}

// errNoID is why nothing can be asked about this instance.
var errNoID = errors.New("the instance id is unknown without metadata")

// launchHook is the lifecycle action that would wait for this instance, as far as
// its names are known.
func (f *facts) launchHook() lifecycle.Action {
	group := f.config.Lifecycle.Group
	if group == "" {
		group = f.group.value.group
	}
	return lifecycle.Action{Group: group, Hook: f.config.Lifecycle.LaunchHook, Instance: f.who.value.ID}
}

// terminateHook is the one that would wait at its end.
func (f *facts) terminateHook() lifecycle.Action {
	action := f.launchHook()
	action.Hook = f.config.Lifecycle.TerminateHook
	return action
}

// askTargets asks each target group that a drain waits for.
func (f *facts) askTargets(ctx context.Context, balancer balancers) {
	f.targets = make([]fact[[]string], len(f.Config.Drain.TargetGroups))
	var asking []func()
	for i, group := range f.Config.Drain.TargetGroups {
		asking = append(asking, func() {
			if f.targets[i].err = errNoID; f.who.err == nil {
				f.targets[i] = ask(ctx, func(ctx context.Context) ([]string, error) {
					return balancer.Health(ctx, group, f.who.value.ID)
				})
			}
		})
	}
	together(asking...)
}

// askShippers looks at each log shipper once.
func (f *facts) askShippers(ctx context.Context) {
	f.shippers = make([]fact[flush.Answer], len(f.Flushers))
	var asking []func()
	for i, shipper := range f.Flushers {
		asking = append(asking, func() {
			f.shippers[i] = ask(ctx, func(ctx context.Context) (flush.Answer, error) { return shipper.Look(ctx), nil })
		})
	}
	together(asking...)
}
