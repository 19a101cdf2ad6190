package awstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
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
}

// maxDesired keeps a slip of the pen from binding every port of the machine.
const maxDesired = 500

// on lists the hooks of one transition, by name so that runs repeat.
func (g *Group) on(t Transition) []Hook {
	hooks := slices.DeleteFunc(slices.Clone(g.Hooks), func(h Hook) bool { return h.Transition != t })
	slices.SortFunc(hooks, func(a, b Hook) int { return strings.Compare(a.Name, b.Name) })
	return hooks
}

// fits tells whether the group may desire n instances.
func (g *Group) fits(n int) error {
	switch {
	case g.Min < 0 || g.Max < 0:
		return invalid("MinSize and MaxSize must not be negative")
	case n < g.Min || (g.Max > 0 && n > g.Max):
		return invalid(fmt.Sprintf("New SetDesiredCapacity value %d is outside of min value:%d and max value:%d", n, g.Min, g.Max))
	case n > maxDesired:
		return &apiError{400, "LimitExceeded", fmt.Sprintf("%d instances are more than the mock's %d", n, maxDesired)}
	}
	return nil
}

// put adds the hook or replaces the one of the same name. Actions under way keep the old one.
func (g *Group) put(h Hook) {
	g.drop(h.Name)
	g.Hooks = append(g.Hooks, h)
}

func (g *Group) drop(name string) {
	g.Hooks = slices.DeleteFunc(g.Hooks, func(h Hook) bool { return h.Name == name })
}

// scaling is the model of Auto Scaling: groups, instances and their states,
// without sockets. Everything happens inside do.
type scaling struct {
	now  func() time.Time
	boot func(*Instance) error // gives a new instance its IMDS

	mu        sync.Mutex
	agenda    agenda
	groups    map[string]*Group
	instances []*Instance // in the order of their launch
	serial    int
}

func newScaling(now func() time.Time, boot func(*Instance) error) *scaling {
	s := &scaling{now: now, boot: boot, groups: map[string]*Group{}}
	s.agenda = agenda{now: now, wake: func() { s.do(func(time.Time) {}) }}
	return s
}

// do runs f on a model where all that is due has happened, and lets happen what f made due.
func (s *scaling) do(f func(now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agenda.settle()
	f(s.now())
	s.agenda.settle()
}

func (s *scaling) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agenda.cancel()
}

func (s *scaling) createGroup(g Group) error {
	if g.Name == "" {
		return invalid("AutoScalingGroupName is required")
	}
	if _, ok := s.groups[g.Name]; ok {
		return &apiError{400, "AlreadyExists", "AutoScalingGroup by this name already exists - A group with the name " + g.Name + " already exists"}
	}
	hooks := g.Hooks
	g.Hooks = nil
	for _, h := range hooks {
		h, err := h.withDefaults()
		if err != nil {
			return err
		}
		g.put(h)
	}
	if err := g.fits(g.Desired); err != nil {
		return err
	}
	s.groups[g.Name] = &g
	return s.reconcile(g.Name)
}

func (s *scaling) group(name string) (*Group, error) {
	g, ok := s.groups[name]
	if !ok {
		return nil, invalid(fmt.Sprintf("AutoScalingGroup name not found - AutoScalingGroup '%s' not found", name))
	}
	return g, nil
}

// sortedGroups lists the groups by name.
func (s *scaling) sortedGroups() []*Group {
	return slices.SortedFunc(maps.Values(s.groups), func(a, b *Group) int { return strings.Compare(a.Name, b.Name) })
}

func (s *scaling) putHook(group string, h Hook) error {
	g, err := s.group(group)
	if err != nil {
		return err
	}
	h, err = h.withDefaults()
	if err != nil {
		return err
	}
	g.put(h)
	return nil
}

func (s *scaling) launch(o LaunchOptions, now time.Time) (*Instance, error) {
	if o.Group != "" {
		if _, err := s.group(o.Group); err != nil {
			return nil, err
		}
	}
	s.serial++
	i := newInstance(s, s.serial, o, now)
	if err := s.boot(i); err != nil {
		return nil, fmt.Errorf("launching %s: %w", i.id, err)
	}
	s.instances = append(s.instances, i)
	if o.Group != "" {
		g := s.groups[o.Group]
		g.Desired = max(g.Desired, len(s.members(o.Group)))
		s.enter(i, Pending, now)
	}
	return i, nil
}

// members lists the instances that count for the group's capacity, oldest first.
func (s *scaling) members(group string) []*Instance {
	var in []*Instance
	for _, i := range s.instances {
		if i.options.Group == group && !i.state.leaves() {
			in = append(in, i)
		}
	}
	return in
}

func (s *scaling) instance(id string) (*Instance, error) {
	for _, i := range s.instances {
		if i.id == id {
			return i, nil
		}
	}
	return nil, invalid("Instance Id not found - No managed instance found for instance ID " + id)
}

func (s *scaling) setDesired(group string, n int) error {
	g, err := s.group(group)
	if err != nil {
		return err
	}
	if err := g.fits(n); err != nil {
		return err
	}
	g.Desired = n
	return s.reconcile(group)
}

// reconcile launches or terminates (the oldest first) until the group has what it desires.
func (s *scaling) reconcile(group string) error {
	g, ok := s.groups[group]
	if !ok {
		return nil
	}
	in := s.members(group)
	for range g.Desired - len(in) {
		o := g.Template
		o.Group = group
		if _, err := s.launch(o, s.now()); err != nil {
			return err
		}
	}
	for _, i := range in[:max(len(in)-g.Desired, 0)] {
		g.Desired++ // leave takes it away again
		s.leave(i, true, s.now())
	}
	return nil
}

// uuid is unique within the server and the same in every run.
func (s *scaling) uuid() string {
	s.serial++
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", s.serial)
}
