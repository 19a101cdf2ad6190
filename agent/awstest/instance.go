package awstest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// LaunchOptions is what a launch template says, and how this launch behaves.
// The zero value is an instance outside any group, with everything in order.
type LaunchOptions struct {
	Group    string            `json:"group,omitempty"`     // its Auto Scaling group
	Tags     map[string]string `json:"tags,omitempty"`      // in a group aws:autoscaling:groupName comes by itself
	TagsOff  bool              `json:"tags_off,omitempty"`  // IMDS shows no tags: AWS's default, but not the mock's
	AZ       string            `json:"az,omitempty"`        // default us-east-1a; the region follows from it
	AMI      string            `json:"ami,omitempty"`       // default ami-0123456789abcdef0
	Type     string            `json:"type,omitempty"`      // default m7i.large
	UserData []byte            `json:"user_data,omitempty"` // nil = none; base64 in JSON
	Role     string            `json:"role,omitempty"`      // default koboshi-instance
	IMDSAddr string            `json:"imds_addr,omitempty"` // host:port of its IMDS; default WithIMDSAddr

	PendingFor     time.Duration `json:"pending_for,omitempty"`     // Pending lasts this long before the hooks are asked
	TerminatingFor time.Duration `json:"terminating_for,omitempty"` // the same for Terminating: load balancer deregistration
	ProceedFor     time.Duration `json:"proceed_for,omitempty"`     // Pending:Proceed and Terminating:Proceed last this long
	RaceCompletes  int           `json:"race_completes,omitempty"`  // the first so many CompleteLifecycleActions fail although it waits
	IMDS           Switches      `json:"imds,omitzero"`
}

// withDefaults also takes its own copies of what the caller could change.
func (o LaunchOptions) withDefaults() LaunchOptions {
	o.AZ = or(o.AZ, "us-east-1a")
	o.AMI = or(o.AMI, "ami-0123456789abcdef0")
	o.Type = or(o.Type, "m7i.large")
	o.Role = or(o.Role, "koboshi-instance")
	o.Tags = maps.Clone(o.Tags)
	if o.Tags == nil {
		o.Tags = map[string]string{}
	}
	if o.Group != "" {
		o.Tags["aws:autoscaling:groupName"] = o.Group
	}
	o.UserData = slices.Clone(o.UserData)
	return o
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

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
	scaling  *scaling
	endpoint string // of the server
	imdsURL  string
	stop     func() // closes the IMDS

	// Under scaling.mu.
	options  LaunchOptions
	switches Switches
	state    State
	history  []Change
	actions  []*action
	races    int
	tokens   map[string]time.Time // IMDS tokens to when they expire
	changed  chan struct{}        // closed and replaced at each change of state
}

func newInstance(s *scaling, serial int, o LaunchOptions, now time.Time) *Instance {
	o = o.withDefaults()
	return &Instance{
		id:       fmt.Sprintf("i-0%016x", 0xa5c0de0000000000+uint64(serial)),
		ip:       netip.AddrFrom4([4]byte{10, 0, byte(serial >> 8), byte(serial)}),
		launched: now,
		scaling:  s,
		stop:     func() {},
		options:  o,
		switches: o.IMDS,
		races:    o.RaceCompletes,
		tokens:   map[string]time.Time{},
		changed:  make(chan struct{}),
	}
}

// ID is the instance id.
func (i *Instance) ID() string { return i.id }

// Group is the name of its Auto Scaling group, or "".
func (i *Instance) Group() string { return i.options.Group }

// IMDSURL is the root of its metadata service, without a slash at the end.
func (i *Instance) IMDSURL() string { return i.imdsURL }

// Env is what an AWS SDK on the instance needs to find the mock, as KEY=value.
// There are no keys in it: credentials and region come from IMDS, as on EC2.
func (i *Instance) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + i.endpoint,
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + i.imdsURL + "/", // older botocore joins without a slash
		"AWS_EC2_METADATA_DISABLED=false",
	}
}

// State is its lifecycle state now.
func (i *Instance) State() (state State) {
	i.scaling.do(func(time.Time) { state = i.state })
	return state
}

// History tells every state it has been in.
func (i *Instance) History() (history []Change) {
	i.scaling.do(func(time.Time) { history = slices.Clone(i.history) })
	return history
}

// Actions tells its lifecycle actions, in the order in which they began.
func (i *Instance) Actions() (actions []Action) {
	i.scaling.do(func(time.Time) {
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
		i.scaling.do(func(time.Time) { state, changed = i.state, i.changed })
		if state == want {
			return nil
		}
		if state == Terminated {
			return fmt.Errorf("waiting for %s to be %s: it is Terminated", i.id, want)
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
	i.scaling.do(func(time.Time) { tags = maps.Clone(i.options.Tags) })
	return tags
}

// SetTag adds or changes a tag; IMDS shows it at once.
func (i *Instance) SetTag(key, value string) {
	i.scaling.do(func(time.Time) { i.options.Tags[key] = value })
}

// RemoveTag removes a tag.
func (i *Instance) RemoveTag(key string) {
	i.scaling.do(func(time.Time) { delete(i.options.Tags, key) })
}

// SetIMDS changes how its metadata service behaves, from the next request on.
func (i *Instance) SetIMDS(change func(*Switches)) {
	i.scaling.do(func(time.Time) { change(&i.switches) })
}

// ExpireTokens makes IMDS forget every token it gave out: 401 to all of them.
func (i *Instance) ExpireTokens() {
	i.scaling.do(func(time.Time) { clear(i.tokens) })
}

func (i *Instance) enter(state State, at time.Time) {
	i.state = state
	i.history = append(i.history, Change{state, at})
	close(i.changed)
	i.changed = make(chan struct{})
}

// waits tells whether any of its actions is still open.
func (i *Instance) waits() bool {
	return slices.ContainsFunc(i.actions, (*action).open)
}

// drop ends what is open without a result.
func (i *Instance) drop(at time.Time) {
	for _, a := range i.actions {
		if a.open() {
			a.end("", Dropped, at)
		}
	}
}
