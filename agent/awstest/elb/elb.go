// Package elb is Elastic Load Balancing's target groups (version 2 of the API):
// which instances are registered, and how healthy they are. [Balancer] has no
// sockets; [NewAPI] is the service over it.
//
// Nothing is balanced. A target is initial for as long as its group says, then
// healthy; after it was deregistered it is draining until the whole delay is over,
// also where no request is in flight, and then unused.
//
// Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
package elb

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"koboshi/agent/awstest/account"
	"koboshi/agent/awstest/query"
)

// Group is a target group.
type Group struct {
	Name     string        `json:"name"`
	Delay    time.Duration `json:"delay,omitempty"`    // of deregistration; negative = none, 0 = AWS's default of 5 minutes
	Initial  time.Duration `json:"initial,omitempty"`  // how long a new target is initial
	Protocol string        `json:"protocol,omitempty"` // default HTTP
	Port     int           `json:"port,omitempty"`     // default 80
}

const (
	defaultDelay = 5 * time.Minute
	maxDelay     = time.Hour
)

// ARN is the group's name everywhere else.
func (g Group) ARN() string {
	return "arn:aws:elasticloadbalancing:us-east-1:" + account.ID + ":targetgroup/" + g.Name + "/00000000a5c0de00"
}

func (g Group) delay() time.Duration {
	if g.Delay < 0 {
		return 0
	}
	return cmp.Or(g.Delay, defaultDelay)
}

// Health is that of one target now.
type Health struct {
	Target string `json:"target"` // instance id
	State  string `json:"state"`  // initial, healthy, unhealthy, draining, unused
	Reason string `json:"reason,omitempty"`
}

// Balancer is all target groups. Its methods may be called at any time.
type Balancer struct {
	now func() time.Time

	mu     sync.Mutex
	groups []*group // in the order in which they were created
}

type group struct {
	Group
	targets []*target // in the order of their registration
}

type target struct {
	id         string
	registered time.Time
	left       time.Time // zero = is registered
	unhealthy  bool
}

// New returns a balancer without groups.
func New(now func() time.Time) *Balancer { return &Balancer{now: now} }

// CreateGroup adds a target group, and returns its ARN.
func (b *Balancer) CreateGroup(g Group) (arn string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case g.Name == "" || len(g.Name) > 32 || strings.Trim(g.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "":
		return "", query.Invalid(fmt.Sprintf("Target group name '%s' must be 1 to 32 characters, and only letters, digits and hyphens", g.Name))
	case g.delay() > maxDelay:
		return "", query.Invalid("deregistration_delay.timeout_seconds must be between 0 and 3600")
	}
	if found, _ := b.group(g.ARN()); found != nil {
		return "", &query.Error{Status: http.StatusBadRequest, Code: "DuplicateTargetGroupName", Message: "A target group with the same name '" + g.Name + "' exists, but with different settings"}
	}
	b.groups = append(b.groups, &group{Group: g})
	return g.ARN(), nil
}

// DeleteGroup removes a target group, if it is there.
func (b *Balancer) DeleteGroup(arn string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.groups = slices.DeleteFunc(b.groups, func(g *group) bool { return g.ARN() == arn })
}

func (b *Balancer) group(arn string) (*group, error) {
	if at := slices.IndexFunc(b.groups, func(g *group) bool { return g.ARN() == arn }); at >= 0 {
		return b.groups[at], nil
	}
	return nil, &query.Error{Status: http.StatusBadRequest, Code: "TargetGroupNotFound", Message: "One or more target groups not found"}
}

// Register adds an instance to a target group; one that is draining is back at once.
func (b *Balancer) Register(arn, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	g, err := b.group(arn)
	if err != nil {
		return err
	}
	if t := g.find(id, b.now()); t != nil {
		t.left = time.Time{}
		return nil
	}
	g.targets = append(g.targets, &target{id: id, registered: b.now()})
	return nil
}

// Deregister begins to drain an instance, and returns when that will be over. A
// group that is gone, and an instance that is not in it, take no time.
func (b *Balancer) Deregister(arn, id string) (over time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g, err := b.group(arn)
	if err != nil {
		return b.now()
	}
	t := g.find(id, b.now())
	if t == nil {
		return b.now()
	}
	if t.left.IsZero() {
		t.left = b.now()
	}
	return t.left.Add(g.delay())
}

// SetHealth lets the health checks of a registered instance fail, or pass again.
func (b *Balancer) SetHealth(arn, id string, healthy bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	g, err := b.group(arn)
	if err != nil {
		return err
	}
	t := g.find(id, b.now())
	if t == nil {
		return query.Invalid(id + " is not registered")
	}
	t.unhealthy = !healthy
	return nil
}

// Health is that of the registered and the draining targets, or of these.
func (b *Balancer) Health(arn string, ids ...string) (all []Health, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g, err := b.group(arn)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		for _, t := range g.current(b.now()) {
			ids = append(ids, t.id)
		}
	}
	for _, id := range ids {
		all = append(all, g.health(id, b.now()))
	}
	return all, nil
}

// current forgets the targets that have drained.
func (g *group) current(now time.Time) []*target {
	g.targets = slices.DeleteFunc(g.targets, func(t *target) bool { return !t.left.IsZero() && !now.Before(t.left.Add(g.delay())) })
	return g.targets
}

func (g *group) find(id string, now time.Time) *target {
	for _, t := range g.current(now) {
		if t.id == id {
			return t
		}
	}
	return nil
}

func (g *group) health(id string, now time.Time) Health {
	t := g.find(id, now)
	switch {
	case t == nil:
		return Health{id, "unused", "Target.NotRegistered"}
	case !t.left.IsZero():
		return Health{id, "draining", "Target.DeregistrationInProgress"}
	case now.Before(t.registered.Add(g.Initial)):
		return Health{id, "initial", "Elb.RegistrationInProgress"}
	case t.unhealthy:
		return Health{id, "unhealthy", "Target.FailedHealthChecks"}
	}
	return Health{Target: id, State: "healthy"}
}
