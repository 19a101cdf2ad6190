// Package ec2 runs instances: each is one of Auto Scaling's model with a metadata
// service at an address of its own.
package ec2

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/elb"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/imds"
	"koboshi/agent/awstest/loopback"
)

// Options is what the instances of a fleet have in common.
type Options struct {
	Now      func() time.Time
	Endpoint string         // URL of the other services
	IMDSAddr string         // where metadata services listen, unless a launch has another address
	Faults   *faults.Script // acts on the metadata services
	Balancer *elb.Balancer  // that groups can have target groups of
}

// Fleet is all instances, in Auto Scaling groups and outside. Its methods may be
// called at any time.
type Fleet struct {
	options Options
	model   *autoscaling.Model

	mu        sync.Mutex
	instances []*Instance // in the order of their launch
}

// New returns a fleet without instances, which the caller must Close.
func New(o Options) *Fleet {
	f := &Fleet{options: o}
	f.model = autoscaling.New(o.Now, f.boot)
	if o.Balancer != nil {
		f.model.Balancer = o.Balancer
	}
	return f
}

// Model is the fleet's Auto Scaling.
func (f *Fleet) Model() *autoscaling.Model { return f.model }

// CreateGroup creates an Auto Scaling group.
func (f *Fleet) CreateGroup(g autoscaling.Group) error { return f.model.CreateGroup(g) }

// PutHook adds a lifecycle hook to a group, or replaces the one of that name.
func (f *Fleet) PutHook(group string, h autoscaling.Hook) error { return f.model.PutHook(group, h) }

// Launch starts an instance. In a group it passes through Pending and, with
// launch hooks, Pending:Wait; the group's desired capacity grows if it must.
func (f *Fleet) Launch(o autoscaling.LaunchOptions) (*Instance, error) {
	i, err := f.model.Launch(o)
	if err != nil {
		return nil, err
	}
	return f.Instance(i.ID())
}

// Terminate is a scale-in of this very instance. One outside any group is
// Terminated at once. Its metadata service stays up, so that a late client gets
// answers, until the fleet closes or a new instance takes its address.
func (f *Fleet) Terminate(id string) error { return f.model.Terminate(id) }

// Instance finds an instance by its id.
func (f *Fleet) Instance(id string) (*Instance, error) {
	if _, err := f.model.Instance(id); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.instances[slices.IndexFunc(f.instances, func(i *Instance) bool { return i.ID() == id })], nil
}

// Instances lists all instances in the order of their launch, the Terminated too.
func (f *Fleet) Instances() []*Instance {
	launched := len(f.model.Instances()) // including those that are due now
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.instances[:launched])
}

// Close stops all metadata services. Running requests are cut off.
func (f *Fleet) Close() {
	f.model.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.instances {
		i.listener.Close()
	}
}

// boot gives a new instance its metadata service. The model calls it under its lock.
func (f *Fleet) boot(of *autoscaling.Instance, o autoscaling.LaunchOptions) error {
	addr := cmp.Or(o.IMDSAddr, f.options.IMDSAddr)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, old := range f.instances {
		if old.listener.URL == "http://"+addr && old.isTerminated() {
			old.listener.Close()
		}
	}
	listener, err := loopback.Bind(addr, nil)
	if err != nil {
		return fmt.Errorf("binding IMDS: %w", err)
	}
	metadata := imds.New(f.options.Now, o.IMDS, of.Metadata)
	listener.Serve(whileOn(of, f.options.Faults.Wrap("imds", metadata.Describe, imds.WriteError, metadata)))
	f.instances = append(f.instances, &Instance{Instance: of, endpoint: f.options.Endpoint, metadata: metadata, listener: listener})
	return nil
}
