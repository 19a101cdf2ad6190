package autoscaling

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"koboshi/agent/awstest/query"
)

// refreshing is the instance refresh that a group is in. It replaces instances as AWS
// does, in the clock of the model: never fewer in service than min healthy, never more
// than max healthy, as far as possible. A refresh whose third launch has failed fails.
type refreshing struct {
	old      []*Instance // to be replaced
	launched []*Instance // since it began
	passed   int         // checkpoints that are behind
	until    time.Time   // when a checkpoint or the bake time is over
	surge    int         // instances above the desired capacity
	rollback bool
	percent  int // when the rollback began
}

const failedLaunches = 3

// launch are the options of the instances of a version of the launch template.
func (g *Group) launch(t LaunchTemplate) LaunchOptions {
	if o, ok := g.Versions[g.resolved(t).Version]; ok {
		return o
	}
	return g.Template
}

// resolved is a launch template with the number of its version.
func (g *Group) resolved(t LaunchTemplate) LaunchTemplate {
	switch t.Version {
	case "$Latest":
		newest := 1
		for newest < len(g.Versions) {
			newest++
		}
		t.Version = fmt.Sprint(newest)
	case "$Default", "":
		if t != (LaunchTemplate{}) {
			t.Version = "1"
		}
	}
	return t
}

// template is the launch template that the group launches from now.
func (g *Group) template() LaunchTemplate {
	if g.run != nil && !g.run.rollback {
		if desired := g.Refreshes[0].Desired; desired != (LaunchTemplate{}) {
			return desired
		}
	}
	return g.LaunchTemplate
}

// wanted is how many instances the group is to have now.
func (g *Group) wanted() int {
	if g.run != nil {
		return g.Desired + g.run.surge
	}
	return g.Desired
}

func (m *Model) startRefresh(g *Group, desired LaunchTemplate, p Preferences, now time.Time) (string, error) {
	if len(g.Refreshes) > 0 && g.Refreshes[0].active() {
		return "", &query.Error{Status: http.StatusBadRequest, Code: "InstanceRefreshInProgress", Message: "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh."}
	}
	if _, known := g.Versions[g.resolved(desired).Version]; len(g.Versions) > 0 && desired != (LaunchTemplate{}) && !known {
		return "", query.Invalid("You must use a valid fully-formed launch template. Could not find the specified version " + desired.Version)
	}
	if p.AutoRollback {
		if why := g.irreversible(desired); why != "" {
			return "", query.Invalid(why)
		}
	}
	r := Refresh{ID: refreshID(len(g.Refreshes) + 1), Status: "Pending", Started: now, Preferences: p, Desired: desired}
	g.Refreshes = append([]Refresh{r}, g.Refreshes...)
	g.run = &refreshing{}
	to := g.resolved(g.template())
	for _, i := range m.members(g.Name) {
		if !p.SkipMatching || i.template != to {
			g.run.old = append(g.run.old, i)
		}
	}
	g.Refreshes[0].ToUpdate = len(g.run.old)
	m.agenda.add(now, func(at time.Time) { m.stepRefresh(g, at) })
	return r.ID, nil
}

// SetAlarm puts a CloudWatch alarm into ALARM, or out of it. It fails the refreshes that
// name it.
func (m *Model) SetAlarm(name string, on bool) {
	m.do(func(now time.Time) {
		if m.alarms == nil {
			m.alarms = map[string]bool{}
		}
		m.alarms[name] = on
		for _, g := range m.sortedGroups() {
			m.stepRefresh(g, now)
		}
	})
}

// Alarm reports whether an alarm is in ALARM.
func (m *Model) Alarm(name string) (on bool) {
	m.do(func(time.Time) { on = m.alarms[name] })
	return on
}

// stepRefresh brings a group's refresh on, as far as it comes now.
func (m *Model) stepRefresh(g *Group, at time.Time) {
	if g.run == nil {
		return
	}
	r := &g.Refreshes[0]
	going := slices.Contains([]string{"Pending", "InProgress", "Baking"}, r.Status)
	if at := slices.IndexFunc(r.Preferences.Alarms, func(name string) bool { return m.alarms[name] }); going && at >= 0 {
		m.failRefresh(g, "CloudWatch alarm "+r.Preferences.Alarms[at]+" is in the ALARM state.", m.now())
		return
	}
	switch r.Status {
	case "Cancelling":
		if m.quiet(g) {
			m.endRefresh(g, "Cancelled", "Cancelled due to user request.", at)
		}
	case "Baking":
		if !at.Before(g.run.until) {
			m.succeed(g, at)
		}
	default:
		m.advance(g, r, at)
	}
}

// quiet reports whether no instance of the group is in transition.
func (m *Model) quiet(g *Group) bool {
	return !slices.ContainsFunc(m.instances, func(i *Instance) bool {
		return i.options.Group == g.Name && !i.state.over() && !i.state.pooled() && i.state != InService && i.state != Standby
	})
}

// count is how far a refresh is: who is still to be replaced, and of those that were
// launched how many there are, are not ready yet, and have failed.
func (run *refreshing) count(r *Refresh, at time.Time) (left []*Instance, launched, pending, failed int) {
	left = slices.DeleteFunc(slices.Clone(run.old), func(i *Instance) bool { return !i.state.counts() })
	for _, i := range run.launched {
		switch {
		case !i.state.counts():
			if !i.served() {
				failed++
			}
			continue
		case i.state != InService || at.Before(i.history[len(i.history)-1].At.Add(r.Preferences.Warmup)):
			pending++
		}
		launched++
	}
	return left, launched, pending, failed
}

// served reports whether the instance has been in service.
func (i *Instance) served() bool {
	return slices.ContainsFunc(i.history, func(c Change) bool { return c.State == InService })
}

func (m *Model) advance(g *Group, r *Refresh, at time.Time) {
	run, total := g.run, len(g.run.old)
	left, launched, pending, failed := run.count(r, at)
	ready, members := launched-pending, m.members(g.Name)
	updated, done := min(total-len(left), ready), len(left) == 0 && pending == 0 && len(members) >= g.Desired
	if done { // of those that a scale-in has taken none are launched
		updated = total
	}
	run.show(r, updated, total)
	switch {
	case failed >= failedLaunches:
		m.failRefresh(g, fmt.Sprintf("%d instances failed to launch.", failed), at)
		return
	case g.stops(InstanceRefresh) || g.stops(Launch) || g.stops(Terminate):
		r.Reason = "Instance refresh is paused: a process of the group is suspended."
		return
	case done:
		m.updated(g, r, at)
		return
	case r.Status == "Pending":
		r.Status, r.Reason = "InProgress", ""
	}
	limit, waits := m.checkpoint(g, r, at)
	if waits {
		return
	}
	healthy := ready
	for _, i := range members {
		if i.state == InService && !slices.Contains(run.launched, i) {
			healthy++
		}
	}
	p := r.Preferences
	least, most := (g.Desired*p.MinHealthy+99)/100, g.Desired*max(p.MaxHealthy, 100)/100
	leave := max(min(healthy-least, limit-(total-len(left)), len(left)), 0)
	launch := max(min(limit-launched, most-(len(members)-leave)), 0)
	if leave == 0 && launch == 0 && pending == 0 && total-len(left) < limit { // neither fits: one is exceeded
		if p.MaxHealthy == 0 {
			leave, launch = 1, 1
		} else {
			launch = 1
		}
	}
	if leave+launch == 0 {
		return
	}
	r.Reason = fmt.Sprintf("Replacing instances before continuing. For example: %s", (append(left, members...))[0].id)
	run.surge = max(launched+launch-(total-len(left)+leave), 0)
	for _, i := range left[:leave] {
		m.leave(i, false, at)
	}
	_ = m.reconcile(g.Name) // a launch that fails is not replaced
}

// show notes how far it is: a rollback counts back to zero.
func (run *refreshing) show(r *Refresh, updated, total int) {
	switch {
	case run.rollback && total > 0:
		r.Percent = run.percent - run.percent*updated/total
	case run.rollback:
		r.Percent = 0
	case total == 0:
		r.Percent, r.ToUpdate = 100, 0
	default:
		r.Percent, r.ToUpdate = 100*updated/total, total-updated
	}
}

// checkpoint is how many instances may be replaced up to the next checkpoint, and
// whether the refresh waits at one.
func (m *Model) checkpoint(g *Group, r *Refresh, at time.Time) (limit int, waits bool) {
	run, all := g.run, r.Preferences.Checkpoints
	if run.rollback || len(all) == 0 {
		return len(run.old), false
	}
	if run.passed < len(all)-1 && r.Percent >= all[run.passed] {
		run.until = at.Add(r.Preferences.CheckpointDelay)
		r.Reason = fmt.Sprintf("Waiting until %s at checkpoint %d%%.", timestamp(run.until), all[run.passed])
		for run.passed < len(all)-1 && r.Percent >= all[run.passed] {
			run.passed++
		}
		m.agenda.add(run.until, func(at time.Time) { m.stepRefresh(g, at) })
	}
	return (len(run.old)*all[run.passed] + 99) / 100, at.Before(run.until)
}

// updated is what comes once all instances are replaced.
func (m *Model) updated(g *Group, r *Refresh, at time.Time) {
	switch {
	case g.run.rollback:
		m.endRefresh(g, "RollbackSuccessful", "", at)
	case r.Preferences.Bake > 0:
		r.Status, r.Reason = "Baking", ""
		g.run.until = at.Add(r.Preferences.Bake)
		m.agenda.add(g.run.until, func(at time.Time) { m.stepRefresh(g, at) })
	default:
		m.succeed(g, at)
	}
}

// succeed gives the group the desired configuration, and its warm pool, too.
func (m *Model) succeed(g *Group, at time.Time) {
	g.LaunchTemplate = g.template()
	m.endRefresh(g, "Successful", "", at)
	for _, i := range m.pooled(g.Name) {
		m.move(i, leaving, at)
	}
	_ = m.reconcile(g.Name)
}

func (m *Model) failRefresh(g *Group, why string, at time.Time) {
	r := &g.Refreshes[0]
	switch {
	case g.run.rollback:
		m.endRefresh(g, "RollbackFailed", why, at)
	case r.Preferences.AutoRollback:
		m.rollBack(g, why, at)
	default:
		m.endRefresh(g, "Failed", why, at)
	}
}

// rollBack replaces what was launched, by the configuration from before.
func (m *Model) rollBack(g *Group, why string, at time.Time) {
	r := &g.Refreshes[0]
	r.Status, r.Reason, r.RollbackReason, r.RolledBack = "RollbackInProgress", strings.TrimSuffix(why, "."), why, at
	next := &refreshing{rollback: true, percent: r.Percent}
	for _, i := range g.run.launched {
		if i.state.counts() {
			next.old = append(next.old, i)
		}
	}
	g.run = next
	_ = m.reconcile(g.Name)
	m.stepRefresh(g, at)
}

func (m *Model) endRefresh(g *Group, status, why string, at time.Time) {
	r := &g.Refreshes[0]
	r.Status, r.Reason, r.Ended, g.run = status, why, at, nil
	_ = m.reconcile(g.Name)
}
