package autoscaling

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"koboshi/agent/awstest/imds"
)

// Change is one entry in the history of an instance.
type Change struct {
	State State     `json:"state"`
	At    time.Time `json:"at"`
}

// Instance is one EC2 instance. Its methods may be called at any time.
type Instance struct {
	id       string
	ip       netip.Addr
	launched time.Time
	done     chan struct{}
	model    *Model

	// Under Model.mu.
	options LaunchOptions
	state   State
	history []Change
	actions []*action
	races   int
	off     bool // the machine is switched off

	unhealthy bool
	template  LaunchTemplate // that it was launched from
	activity  *activity      // the last one; nil outside any group
	returns   bool           // it is on its way back into the warm pool

	interrupted int           // how often that was scheduled or undone; only the last one counts
	changed     chan struct{} // closed and replaced at each change of state or power
}

func newInstance(m *Model, serial int, o LaunchOptions, now time.Time) *Instance {
	o = o.withDefaults()
	return &Instance{
		id:       fmt.Sprintf("i-0%016x", 0xa5c0de0000000000+uint64(serial)),
		ip:       netip.AddrFrom4([4]byte{10, 0, byte(serial >> 8), byte(serial)}),
		launched: now,
		done:     make(chan struct{}),
		model:    m,
		options:  o,
		races:    o.RaceCompletes,
		changed:  make(chan struct{}),
	}
}

// ID is the instance id.
func (i *Instance) ID() string { return i.id }

// Group is the name of its Auto Scaling group, or "".
func (i *Instance) Group() (name string) {
	i.model.do(func(time.Time) { name = i.options.Group })
	return name
}

// Metadata is what its metadata service shows now.
func (i *Instance) Metadata() (shown imds.Instance) {
	i.model.do(func(time.Time) {
		shown = imds.Instance{
			ID: i.id, IP: i.ip, Launched: i.launched, AZ: i.options.AZ, AMI: i.options.AMI, Type: i.options.Type,
			Role: i.options.Role, UserData: i.options.UserData, TargetState: string(i.target()), Spot: i.options.Spot,
		}
		if !i.options.TagsOff {
			shown.Tags = maps.Clone(i.options.Tags)
		}
	})
	return shown
}

// Done is closed once it is Terminated.
func (i *Instance) Done() <-chan struct{} { return i.done }

// Off reports whether its machine is switched off: stopped in a warm pool, or
// terminated behind Auto Scaling's back.
func (i *Instance) Off() (off bool) {
	i.model.do(func(time.Time) { off = i.off })
	return off
}

// AwaitPower returns when its machine is switched on, or off, or with an error when
// ctx ends.
func (i *Instance) AwaitPower(ctx context.Context, on bool) error {
	for {
		var off bool
		var changed <-chan struct{}
		i.model.do(func(time.Time) { off, changed = i.off, i.changed })
		if off != on {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the machine of %s: %w", i.id, ctx.Err())
		}
	}
}

// State is its lifecycle state now.
func (i *Instance) State() (state State) {
	i.model.do(func(time.Time) { state = i.state })
	return state
}

// History is every state it has been in.
func (i *Instance) History() (history []Change) {
	i.model.do(func(time.Time) { history = slices.Clone(i.history) })
	return history
}

// Actions are its lifecycle actions, in the order in which they began.
func (i *Instance) Actions() (actions []Action) {
	i.model.do(func(time.Time) {
		for _, a := range i.actions {
			actions = append(actions, a.Action)
		}
	})
	return actions
}

// Await returns when the instance is in the state, or with an error when ctx
// ends or the instance is Terminated and so will never be.
func (i *Instance) Await(ctx context.Context, want State) error {
	for {
		var state State
		var changed <-chan struct{}
		i.model.do(func(time.Time) { state, changed = i.state, i.changed })
		if state == want {
			return nil
		}
		if state.over() {
			return fmt.Errorf("waiting for %s to be %s: it is %s", i.id, want, state)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be %s: still %q: %w", i.id, want, state, ctx.Err())
		}
	}
}

// Tags are its tags now.
func (i *Instance) Tags() (tags map[string]string) {
	i.model.do(func(time.Time) { tags = maps.Clone(i.options.Tags) })
	return tags
}

// SetTag adds or changes a tag.
func (i *Instance) SetTag(key, value string) {
	i.model.do(func(time.Time) { i.options.Tags[key] = value })
}

// RemoveTag removes a tag.
func (i *Instance) RemoveTag(key string) {
	i.model.do(func(time.Time) { delete(i.options.Tags, key) })
}

func (i *Instance) enter(state State, at time.Time) {
	i.state = state
	i.history = append(i.history, Change{state, at})
	switch state {
	case Terminated, WarmedTerminated:
		close(i.done)
	case WarmedStopped, WarmedHibernated:
		i.off = true
	case Pending, WarmedPending:
		i.off = false
	default: // leaves the machine as it is
	}
	i.notify()
}

// notify wakes those who wait for a change.
func (i *Instance) notify() {
	close(i.changed)
	i.changed = make(chan struct{})
}

func (i *Instance) power(on bool) {
	i.off = !on
	i.notify()
}

// waits reports whether any of its actions is still open.
func (i *Instance) waits() bool {
	return slices.ContainsFunc(i.actions, (*action).open)
}

// drop ends open actions without a result.
func (i *Instance) drop(at time.Time) {
	for _, a := range i.actions {
		if a.open() {
			a.end("", Dropped, at)
		}
	}
}
