package autoscaling

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"koboshi/agent/awstest/query"
)

// The states of a scaling activity that the mock knows. Any but the last three are in
// progress.
const (
	preInService       = "PreInService"
	inProgress         = "InProgress"
	midLifecycleAction = "MidLifecycleAction"
	successful         = "Successful"
	cancelled          = "Cancelled"
)

// maxRecords is the largest page of the API.
const maxRecords = 100

// record notes in the group's scaling activities that an instance has changed its state.
func (m *Model) record(i *Instance, state, before State, at time.Time) {
	switch state {
	case Pending, WarmedPending:
		what := "Launching a new EC2 instance: "
		switch {
		case before == Standby:
			what = "Moving EC2 instance out of Standby: "
		case before.pooled():
			what = "Launching a new EC2 instance from warm pool: "
		case i.returns:
			what = "Returning EC2 instance to warm pool: "
		}
		m.start(i, what, preInService, at)
	case Terminating, WarmedTerminating:
		m.start(i, "Terminating EC2 instance: ", inProgress, at)
	case EnteringStandby:
		m.start(i, "Moving EC2 instance to Standby: ", inProgress, at)
	case Detaching:
		m.start(i, "Detaching EC2 instance: ", inProgress, at)
	case ReplacingRootVolume:
		m.start(i, "Replacing the root volume of EC2 instance: ", inProgress, at)
	case InService, Standby, Detached, Terminated, WarmedStopped, WarmedRunning, WarmedHibernated, WarmedTerminated:
		i.activity.end(successful, at)
	default:
		i.activity.passes(state)
	}
}

// passes follows an instance through the states of one activity.
func (a *activity) passes(state State) {
	switch {
	case a == nil:
	case strings.HasSuffix(string(state), ":Wait"):
		a.StatusCode = midLifecycleAction
	default:
		a.StatusCode = inProgress
	}
}

// start begins an activity. One that is still open ends: a termination cancels it.
func (m *Model) start(i *Instance, what, status string, at time.Time) {
	if strings.HasPrefix(what, "Terminating") {
		i.activity.end(cancelled, at)
	}
	i.activity.end(successful, at)
	i.activity = &activity{
		ActivityID:  fmt.Sprintf("00000000-0000-4000-9000-%012x", len(m.activities)+1),
		Group:       i.options.Group,
		Description: what + i.id,
		Cause:       "At " + timestamp(at) + " the group or a user asked for it.",
		StartTime:   timestamp(at),
		StatusCode:  status,
	}
	m.activities = append(m.activities, i.activity)
}

// id is "" of an instance that has none, outside any group.
func (a *activity) id() string {
	if a == nil {
		return ""
	}
	return a.ActivityID
}

func (a *activity) end(status string, at time.Time) {
	if a != nil && a.EndTime == "" {
		a.StatusCode, a.EndTime, a.Progress = status, timestamp(at), 100
	}
}

// activitiesOf are a group's scaling activities, the newest first.
func (m *Model) activitiesOf(group string) []activity {
	all := []activity{}
	for _, a := range slices.Backward(m.activities) {
		if group == "" || a.Group == group {
			all = append(all, *a)
		}
	}
	return all
}

func (s api) describeActivities(p query.Params, now time.Time) (any, error) {
	group := p.Get("AutoScalingGroupName")
	if group != "" {
		if _, err := s.group(group); err != nil {
			return nil, err
		}
	}
	all := slices.DeleteFunc(s.seen(now).activitiesOf(group), func(a activity) bool { return !chosen(p.List("ActivityIds"), a.ActivityID) })
	page, next, err := paged(p, all)
	return activitiesResult{Activities: page, NextToken: next}, err
}

// paged cuts a list by MaxRecords and NextToken, which is the index to go on at.
func paged[T any](p query.Params, all []T) (page []T, next string, err error) {
	size, err := p.Int("MaxRecords", maxRecords)
	if err == nil && (size < 1 || size > maxRecords) {
		err = query.Invalid(fmt.Sprintf("1 validation error detected: Value '%d' at 'maxRecords' failed to satisfy constraint", size))
	}
	if err != nil {
		return nil, "", err
	}
	from, err := p.Int("NextToken", 0)
	if err != nil || from < 0 || from > len(all) {
		return nil, "", &query.Error{Status: 400, Code: "InvalidNextToken", Message: "The NextToken value is not valid."}
	}
	if end := from + size; end < len(all) {
		return all[from:end], fmt.Sprint(end), nil
	}
	return all[from:], "", nil
}
