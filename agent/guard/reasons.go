package guard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"koboshi/agent/group"
)

// Code is the kind of a reason for which a group is not safe to deploy to.
type Code string

// The codes.
const (
	Locked     Code = "lock"       // another guard holds the group
	Refresh    Code = "refresh"    // an instance refresh is active
	Activity   Code = "activity"   // a scaling activity is in progress
	Transition Code = "transition" // an instance is neither in service nor in standby
	Capacity   Code = "capacity"   // in service are not as many as desired
	Unhealthy  Code = "unhealthy"
	Suspended  Code = "suspended"  // Launch or Terminate, by someone else
	WarmPool   Code = "warm-pool"  // it has instances that a deploy does not reach
	Deployment Code = "codedeploy" // a deployment is under way
)

// Codes are all of them.
func Codes() []Code {
	return []Code{Locked, Refresh, Activity, Transition, Capacity, Unhealthy, Suspended, WarmPool, Deployment}
}

// Passes reports whether waiting may help.
func (c Code) Passes() bool { return c != Locked && c != Suspended && c != WarmPool }

// Reason is one reason for which a group is not safe to deploy to.
type Reason struct {
	Code  Code      `json:"code"`
	Text  string    `json:"text"`
	Since time.Time `json:"since,omitzero"`
}

// Look is a group as a check has seen it.
type Look struct {
	Group       group.Group
	Activities  []group.Event
	Refreshes   []group.Refresh // the newest, active or not
	Deployments []string        // of CodeDeploy
}

// Reasons are those for which the group is not safe to deploy to, except the allowed
// ones, in the order of Codes. What is suspended by the record's holder is none.
func (l Look) Reasons(r Record, allowed []Code) (reasons []Reason) {
	add := func(code Code, since time.Time, format string, args ...any) {
		if !slices.Contains(allowed, code) {
			reasons = append(reasons, Reason{code, fmt.Sprintf(format, args...), since})
		}
	}
	for _, r := range l.Refreshes {
		if r.Active() {
			add(Refresh, r.Started, "instance refresh %s is %s", r.ID, r.Status)
		}
	}
	for _, e := range l.Activities {
		add(Activity, e.Since, "%s is %s", cmp.Or(e.What, "scaling activity "+e.ID), e.Status)
	}
	service := 0
	var ill []string
	for _, i := range l.Group.Instances {
		switch i.State {
		case "InService":
			service++
		case "Standby":
			continue
		default:
			add(Transition, time.Time{}, "instance %s is %s", i.ID, i.State)
		}
		if !i.Healthy {
			ill = append(ill, i.ID)
		}
	}
	if service != l.Group.Desired {
		add(Capacity, time.Time{}, "%d in service, %d desired", service, l.Group.Desired)
	}
	if len(ill) > 0 {
		add(Unhealthy, time.Time{}, "unhealthy: %s", strings.Join(ill, ", "))
	}
	for _, p := range []group.Process{group.Launch, group.Terminate} {
		if reason, is := l.Group.Suspended[p]; is && r.Ours[p] == "" {
			since, _ := timeOf(reason)
			add(Suspended, since, "%s is suspended: %s", p, reason)
		}
	}
	switch pool := l.Group.Pool; {
	case pool.Deleting:
		add(WarmPool, time.Time{}, "the warm pool is being deleted")
	case pool.Size > 0:
		add(WarmPool, time.Time{}, "the warm pool has %d that a deploy does not reach", pool.Size)
	}
	for _, id := range l.Deployments {
		add(Deployment, time.Time{}, "deployment %s is under way", id)
	}
	return reasons
}

// HeldReason is the reason of a record that is held: by another, for a check.
func (r Record) HeldReason(now time.Time) []Reason {
	if r.State != Held {
		return nil
	}
	return []Reason{{Locked, (&HeldError{r, now}).Error(), r.Acquired}}
}
