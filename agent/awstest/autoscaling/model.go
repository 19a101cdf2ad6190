// Package autoscaling is Auto Scaling: groups, lifecycle hooks, and instances
// that follow the lifecycle as one table has it, driven by the clock. [Model] has
// no sockets; [NewAPI] is the service over it.
package autoscaling

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"koboshi/agent/awstest/query"
)

// Group is an Auto Scaling group.
type Group struct {
	Name     string        `json:"name"`
	Hooks    []Hook        `json:"hooks,omitempty"`
	Min      int           `json:"min,omitempty"`
	Max      int           `json:"max,omitempty"`     // 0 = no limit
	Desired  int           `json:"desired,omitempty"` // launched at once, from Template
	Replace  bool          `json:"replace,omitempty"` // launch another when an instance leaves other than by scale-in
	Template LaunchOptions `json:"template,omitzero"` // for instances that the group launches on its own

	Pool         *Pool    `json:"pool,omitempty"`
	TargetGroups []string `json:"target_groups,omitempty"` // ARNs
	Retain       bool     `json:"retain,omitempty"`        // the instance lifecycle policy TerminateHookAbandon=retain

	Suspended map[Process]string `json:"suspended,omitempty"` // processes, with their reasons
	Renews    bool               `json:"renews,omitempty"`    // to suspend a process again renews its reason: AWS's documentation leaves it open
	Refreshes []Refresh          `json:"refreshes,omitempty"` // the newest first

	LaunchTemplate LaunchTemplate           `json:"launch_template,omitzero"`
	Versions       map[string]LaunchOptions `json:"versions,omitempty"` // of the launch template, by number from 1; Template where that is not among them

	run *refreshing // the refresh that replaces instances; nil = none does
}

// maxDesired keeps a typing error from binding every port of the machine.
const maxDesired = 500

// on lists the hooks of one transition, by name so that runs repeat.
func (g *Group) on(t Transition) []Hook {
	hooks := slices.DeleteFunc(slices.Clone(g.Hooks), func(h Hook) bool { return h.Transition != t })
	slices.SortFunc(hooks, func(a, b Hook) int { return strings.Compare(a.Name, b.Name) })
	return hooks
}

// fits reports whether the group may desire n instances.
func (g *Group) fits(n int) error {
	switch {
	case g.Min < 0 || g.Max < 0:
		return query.Invalid("MinSize and MaxSize must not be negative")
	case n < g.Min || (g.Max > 0 && n > g.Max):
		return query.Invalid(fmt.Sprintf("New SetDesiredCapacity value %d is outside of min value:%d and max value:%d", n, g.Min, g.Max))
	case n > maxDesired:
		return &query.Error{Status: http.StatusBadRequest, Code: "LimitExceeded", Message: fmt.Sprintf("%d instances are more than the mock's %d", n, maxDesired)}
	}
	return nil
}

// put adds the hook or replaces the one of the same name. Open actions keep the old one.
func (g *Group) put(h Hook) error {
	h, err := h.withDefaults()
	if err != nil {
		return err
	}
	if at := slices.IndexFunc(g.Hooks, func(other Hook) bool { return other.Name == h.Name }); at >= 0 {
		g.Hooks[at] = h
		return nil
	}
	if len(g.Hooks) == maxHooks {
		return &query.Error{Status: http.StatusBadRequest, Code: "LimitExceeded", Message: fmt.Sprintf("%s has %d lifecycle hooks already", g.Name, maxHooks)}
	}
	g.Hooks = append(g.Hooks, h)
	return nil
}

// Model is the state of Auto Scaling: groups, instances and their states. Its
// methods may be called at any time.
type Model struct {
	Balancer Balancer // nil = none; set it before the first group

	now  func() time.Time
	boot func(*Instance, LaunchOptions) error

	mu        sync.Mutex
	agenda    agenda
	groups    map[string]*Group
	instances []*Instance // in the order of their launch
	serial    int

	alarms     map[string]bool // of CloudWatch, those in ALARM
	activities []*activity
	launches   map[string]launchResult // by client token
	lag        time.Duration
	past       []moment // while there is a lag
}

// New returns a model without groups, which the caller must Close. For each new
// instance it calls boot with the launch options, under the lock of the model; an
// error of boot fails the launch.
func New(now func() time.Time, boot func(*Instance, LaunchOptions) error) *Model {
	m := &Model{now: now, boot: boot, groups: map[string]*Group{}, launches: map[string]launchResult{}}
	m.agenda = agenda{now: now, wake: func() { m.do(func(time.Time) {}) }}
	return m
}

// do settles the agenda, runs f on the model, and settles the agenda again.
func (m *Model) do(f func(now time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agenda.settle()
	f(m.now())
	m.agenda.settle()
	m.remember(m.now())
}

// Close stops the timer: nothing happens by itself any more.
func (m *Model) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agenda.cancel()
}

func (m *Model) createGroup(g Group) error {
	if g.Name == "" {
		return query.Invalid("AutoScalingGroupName is required")
	}
	if _, ok := m.groups[g.Name]; ok {
		return &query.Error{Status: http.StatusBadRequest, Code: "AlreadyExists", Message: "AutoScalingGroup by this name already exists - A group with the name " + g.Name + " already exists"}
	}
	hooks := g.Hooks
	g.Hooks, g.Suspended = nil, maps.Clone(g.Suspended)
	for _, h := range hooks {
		if err := g.put(h); err != nil {
			return err
		}
	}
	if err := g.fits(g.Desired); err != nil {
		return err
	}
	if g.Pool != nil {
		if err := g.Pool.check(); err != nil {
			return err
		}
	}
	m.groups[g.Name] = &g
	return m.reconcile(g.Name)
}

func (m *Model) group(name string) (*Group, error) {
	g, ok := m.groups[name]
	if !ok {
		return nil, query.Invalid(fmt.Sprintf("AutoScalingGroup name not found - AutoScalingGroup '%s' not found", name))
	}
	return g, nil
}

// sortedGroups lists the groups by name.
func (m *Model) sortedGroups() []*Group {
	return slices.SortedFunc(maps.Values(m.groups), func(a, b *Group) int { return strings.Compare(a.Name, b.Name) })
}

func (m *Model) putHook(group string, h Hook) error {
	g, err := m.group(group)
	if err != nil {
		return err
	}
	return g.put(h)
}

// deleteHook ends what waits for the hook, too. One that the group does not have is
// no error.
func (m *Model) deleteHook(group, name string, now time.Time) error {
	g, err := m.group(group)
	if err != nil {
		return err
	}
	g.Hooks = slices.DeleteFunc(g.Hooks, func(h Hook) bool { return h.Name == name })
	for _, i := range m.instances {
		if i.options.Group != group {
			continue
		}
		for _, a := range i.actions {
			switch {
			case !a.open() || a.Hook != name:
			case a.Transition == OnLaunch:
				m.finish(i, a, Abandon, ByDelete, now)
			default:
				m.finish(i, a, Continue, ByDelete, now)
			}
		}
	}
	return nil
}

func (m *Model) launch(o LaunchOptions, now time.Time) (*Instance, error) {
	if o.Group != "" {
		g, err := m.group(o.Group)
		if err != nil {
			return nil, err
		}
		if o.Warm && g.Pool == nil {
			return nil, query.Invalid("No warm pool found for Auto Scaling group " + o.Group)
		}
	}
	m.serial++
	i := newInstance(m, m.serial, o, now)
	if err := m.boot(i, i.options); err != nil {
		return nil, fmt.Errorf("launching %s: %w", i.id, err)
	}
	m.instances = append(m.instances, i)
	if g, ok := m.groups[o.Group]; ok {
		i.template = g.resolved(g.template())
		if g.run != nil && !o.Warm {
			g.run.launched = append(g.run.launched, i)
		}
	}
	switch {
	case o.Group == "":
	case o.Warm:
		m.enter(i, WarmedPending, now)
	default:
		g := m.groups[o.Group]
		g.Desired = max(g.Desired, len(m.members(o.Group))+1-(g.wanted()-g.Desired))
		m.enter(i, Pending, now)
	}
	return i, nil
}

// members lists the instances that count for the group's capacity, oldest first.
func (m *Model) members(group string) []*Instance {
	var in []*Instance
	for _, i := range m.instances {
		if i.options.Group == group && i.state.counts() {
			in = append(in, i)
		}
	}
	return in
}

func (m *Model) instance(id string) (*Instance, error) {
	for _, i := range m.instances {
		if i.id == id {
			return i, nil
		}
	}
	return nil, query.Invalid("Instance Id not found - No managed instance found for instance ID " + id)
}

func (m *Model) setDesired(group string, n int) error {
	g, err := m.group(group)
	if err != nil {
		return err
	}
	if err := g.fits(n); err != nil {
		return err
	}
	g.Desired = n
	return m.reconcile(group)
}

// reconcile takes instances out of the warm pool, launches or terminates (the oldest
// first) until the group has its desired capacity, and fills the pool; but for what is
// suspended.
func (m *Model) reconcile(group string) error {
	g, ok := m.groups[group]
	if !ok {
		return nil
	}
	in := m.members(group)
	missing, extra := g.wanted()-len(in), in[:max(len(in)-g.wanted(), 0)]
	if g.stops(Launch) {
		missing = 0
	}
	if g.stops(Terminate) {
		extra = nil
	}
	for range missing {
		if g.run == nil && m.draw(g, m.now()) { // what is in the pool has the configuration from before
			continue
		}
		o := g.launch(g.template())
		o.Group = group
		if _, err := m.launch(o, m.now()); err != nil {
			return err
		}
	}
	for _, i := range extra {
		if g.Pool != nil && g.Pool.Reuse && i.state == InService {
			m.giveBack(i, m.now())
			continue
		}
		g.Desired++ // leave takes it away again
		m.leave(i, true, m.now())
	}
	return m.fill(g)
}

// uuid is unique within the server and the same in every run.
func (m *Model) uuid() string {
	m.serial++
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", m.serial)
}
