package agent

import (
	"context"
	"time"

	"koboshi/agent/drain"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
)

// DrainPlan is what a drain would do now, and how far everything is that it would
// wait for.
type DrainPlan struct {
	Instance   string         `json:"instance"`
	Reason     notice.Reason  `json:"reason"`
	Target     string         `json:"target_state,omitzero"` // "" = in no group, or not known
	Running    bool           `json:"running"`
	Deregister bool           `json:"deregister"`
	Groups     []GroupPlan    `json:"target_groups,omitzero"`
	Hook       string         `json:"lifecycle_hook,omitzero"` // group/hook that is completed; "" = none is
	Flush      []report.Flush `json:"flush,omitzero"`
	Deadline   time.Duration  `json:"-"`
	Warnings   []string       `json:"warnings,omitzero"`
}

// GroupPlan is one target group.
type GroupPlan struct {
	ARN    string `json:"arn"`
	Unused bool   `json:"unused"`
	Error  string `json:"error,omitzero"`
}

// DrainPlan asks what a [Agent.Drain] for that notice would meet, and changes nothing.
func (a *Agent) DrainPlan(ctx context.Context, o DrainOptions) (DrainPlan, error) {
	r := a.begin("plan")
	defer r.close()
	if err := r.open(); err != nil {
		return DrainPlan{}, err
	}
	if err := r.discover(ctx); err != nil {
		return DrainPlan{}, err
	}
	p := DrainPlan{Instance: r.Instance.ID, Reason: o.Notice.Reason, Deadline: r.drainTime(o)}
	p.Target, _ = a.Machine.TargetState(ctx) // "" says so
	running, err := r.Service.Running(ctx)
	p.Running = running || err != nil
	groups := r.targetGroups(o.Notice.Reason)
	p.Deregister = groups.Deregister
	for _, arn := range groups.ARNs {
		unused, err := groups.Balancer.Unused(ctx, arn, r.Instance.ID)
		p.Groups = append(p.Groups, GroupPlan{arn, unused, text(err)})
	}
	if o.Notice.Reason.ByGroup() && !o.NoComplete {
		action, err := r.terminatingAction(ctx)
		if action != (lifecycle.Action{}) {
			p.Hook = action.String()
		}
		if err != nil {
			r.warn("%v", err)
		}
	}
	flushers, err := r.flushers()
	if err != nil {
		return p, err
	}
	for _, f := range flushers {
		p.Flush = append(p.Flush, drain.Look(ctx, f))
	}
	p.Warnings = r.report.Warnings
	return p, context.Cause(ctx)
}

// text is an error as JSON has it.
func text(err error) string {
	if err == nil {
		return ""
	}
	return report.Clean(err.Error(), report.MaxText)
}

// Notice is the most pressing notice that instance metadata has for this instance, or
// one by hand where it has none.
func (a *Agent) Notice(ctx context.Context, from notice.Source) (notice.Notice, error) {
	var levels notice.Levels
	err := levels.Look(ctx, from)
	n := levels.Notice(notice.Policy{Spot: true, Rebalance: true, Pooled: true})
	if n == (notice.Notice{}) {
		n = notice.Notice{Reason: notice.Operator, ID: string(notice.Operator) + " " + a.Now().UTC().Format(time.RFC3339)}
	}
	return n, err
}
