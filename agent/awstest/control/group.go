package control

import (
	"net/http"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/codedeploy"
)

// Trigger lets a process of a group act.
type Trigger struct {
	Process autoscaling.Process `json:"process"` // AZRebalance, AlarmNotification or ScheduledActions
	Desired int                 `json:"desired"` // not of AZRebalance
}

func (c endpoint) suspended(r *http.Request) (any, error) {
	return c.Model().Suspended(r.PathValue("name")), nil
}

func (c endpoint) suspend(r *http.Request) (any, error) {
	processes, err := readJSON[[]autoscaling.Process](r)
	if err != nil {
		return nil, err
	}
	return done{}, c.Model().Suspend(r.PathValue("name"), processes...)
}

func (c endpoint) resume(r *http.Request) (any, error) {
	processes, err := readJSON[[]autoscaling.Process](r)
	if err != nil {
		return nil, err
	}
	return done{}, c.Model().Resume(r.PathValue("name"), processes...)
}

func (c endpoint) trigger(r *http.Request) (any, error) {
	t, err := readJSON[Trigger](r)
	if err != nil {
		return nil, err
	}
	acted, err := c.Model().Trigger(r.PathValue("name"), t.Process, t.Desired)
	return map[string]bool{"acted": acted}, err
}

func (c endpoint) setRefreshes(r *http.Request) (any, error) {
	refreshes, err := readJSON[[]autoscaling.Refresh](r)
	if err != nil {
		return nil, err
	}
	return done{}, c.Model().SetRefreshes(r.PathValue("name"), refreshes...)
}

func (c endpoint) setAlarm(r *http.Request) (any, error) {
	on, err := readJSON[bool](r)
	if err == nil {
		c.Model().SetAlarm(r.PathValue("name"), on)
	}
	return done{}, err
}

func (c endpoint) setLag(r *http.Request) (any, error) {
	lag, err := readJSON[time.Duration](r)
	if err == nil {
		c.Model().SetLag(lag)
	}
	return done{}, err
}

func (c endpoint) setDeployments(r *http.Request) (any, error) {
	deployments, err := readJSON[[]codedeploy.Deployment](r)
	if err != nil {
		return nil, err
	}
	return done{}, c.deploys.Set(r.PathValue("app"), r.PathValue("group"), deployments...)
}
