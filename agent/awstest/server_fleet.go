package awstest

import (
	"slices"
	"time"
)

// CreateGroup creates an Auto Scaling group.
func (s *Server) CreateGroup(g Group) (err error) {
	s.scaling.do(func(time.Time) { err = s.scaling.createGroup(g) })
	return err
}

// PutHook adds a lifecycle hook to a group, or replaces the one of that name.
func (s *Server) PutHook(group string, h Hook) (err error) {
	s.scaling.do(func(time.Time) { err = s.scaling.putHook(group, h) })
	return err
}

// Launch starts an instance. In a group it passes through Pending and, with
// launch hooks, Pending:Wait; the group's desired capacity grows if it must.
func (s *Server) Launch(o LaunchOptions) (i *Instance, err error) {
	s.scaling.do(func(now time.Time) { i, err = s.scaling.launch(o, now) })
	return i, err
}

// Terminate is a scale-in of this very instance. One outside any group is
// Terminated at once. Its IMDS stays up, so that a late client gets answers,
// until the server closes or a new instance takes its address.
func (s *Server) Terminate(id string) (err error) {
	s.scaling.do(func(now time.Time) {
		var i *Instance
		if i, err = s.scaling.instance(id); err == nil {
			s.scaling.leave(i, true, now)
		}
	})
	return err
}

// Instance finds an instance by its id.
func (s *Server) Instance(id string) (i *Instance, err error) {
	s.scaling.do(func(time.Time) { i, err = s.scaling.instance(id) })
	return i, err
}

// Instances lists all instances in the order of their launch, the Terminated too.
func (s *Server) Instances() (all []*Instance) {
	s.scaling.do(func(time.Time) { all = slices.Clone(s.scaling.instances) })
	return all
}

// boot gives a new instance its metadata service. Called under scaling.mu.
func (s *Server) boot(i *Instance) error {
	i.options.IMDSAddr = or(i.options.IMDSAddr, s.imdsAddr)
	for _, old := range s.scaling.instances {
		if old.state == Terminated && old.imdsURL == "http://"+i.options.IMDSAddr {
			old.stop()
		}
	}
	i.endpoint = s.url
	m := &metadataService{i}
	return m.serve(s.faults.Wrap("imds", m.describe, imdsFault, m))
}
