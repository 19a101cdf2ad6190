package control

import (
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/ec2"
)

// Status is all data of an instance.
type Status struct {
	ID      string               `json:"id"`
	Group   string               `json:"group"`
	State   autoscaling.State    `json:"state"`
	Off     bool                 `json:"off"` // its machine is switched off
	IMDS    string               `json:"imds"`
	Env     []string             `json:"env"` // KEY=value, see ec2.Instance.Env
	Tags    map[string]string    `json:"tags"`
	History []autoscaling.Change `json:"history"`
	Actions []autoscaling.Action `json:"actions"`
}

func statusOf(i *ec2.Instance) Status {
	return Status{
		ID: i.ID(), Group: i.Group(), State: i.State(), Off: i.Off(), IMDS: i.IMDSURL(), Env: i.Env(),
		Tags: i.Tags(), History: i.History(), Actions: i.Actions(),
	}
}
