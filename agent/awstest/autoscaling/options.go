package autoscaling

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"koboshi/agent/awstest/imds"
)

// LaunchOptions is a launch template, and how this launch behaves. The zero value
// is an instance outside any group, without faults.
type LaunchOptions struct {
	Group    string            `json:"group,omitempty"`     // its Auto Scaling group
	Tags     map[string]string `json:"tags,omitempty"`      // in a group aws:autoscaling:groupName comes by itself
	TagsOff  bool              `json:"tags_off,omitempty"`  // IMDS shows no tags: AWS's default, but not the mock's
	AZ       string            `json:"az,omitempty"`        // default us-east-1a; the region follows from it
	AMI      string            `json:"ami,omitempty"`       // default ami-0123456789abcdef0
	Type     string            `json:"type,omitempty"`      // default m7i.large
	UserData []byte            `json:"user_data,omitempty"` // nil = none; base64 in JSON
	Role     string            `json:"role,omitempty"`      // default koboshi-instance
	Spot     bool              `json:"spot,omitempty"`      // what IMDS says of its life cycle
	Warm     bool              `json:"warm,omitempty"`      // into the warm pool of its group
	IMDSAddr string            `json:"imds_addr,omitempty"` // host:port of its IMDS; default that of the server

	PendingFor     time.Duration `json:"pending_for,omitempty"`     // Pending lasts this long before the hooks are asked
	TerminatingFor time.Duration `json:"terminating_for,omitempty"` // the same for Terminating: load balancer deregistration
	ProceedFor     time.Duration `json:"proceed_for,omitempty"`     // Pending:Proceed and Terminating:Proceed last this long
	RaceCompletes  int           `json:"race_completes,omitempty"`  // so many CompleteLifecycleActions fail at first although it waits
	IMDS           imds.Switches `json:"imds,omitzero"`
}

// withDefaults also takes its own copies of what the caller could change.
func (o LaunchOptions) withDefaults() LaunchOptions {
	o.AZ = cmp.Or(o.AZ, "us-east-1a")
	o.AMI = cmp.Or(o.AMI, "ami-0123456789abcdef0")
	o.Type = cmp.Or(o.Type, "m7i.large")
	o.Role = cmp.Or(o.Role, "koboshi-instance")
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
