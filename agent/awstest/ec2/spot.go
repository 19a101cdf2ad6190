package ec2

import (
	"cmp"
	"fmt"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/imds"
)

// noticePeriod is how long before a Spot instance is interrupted AWS says so.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
const noticePeriod = 2 * time.Minute

// Interruption is one of a Spot instance.
type Interruption struct {
	Action string        `json:"action,omitempty"` // terminate (the default), stop or hibernate
	Notice time.Duration `json:"notice,omitempty"` // IMDS shows the notice after this long
	After  time.Duration `json:"after,omitempty"`  // the machine is off so long after the notice; 0 = AWS's two minutes
}

// Interrupt gives an instance a Spot notice, and switches its machine off when the
// notice has run out. A later one takes the place of an earlier one.
func (f *Fleet) Interrupt(id string, n Interruption) error {
	action := cmp.Or(n.Action, "terminate")
	if action != "terminate" && action != "stop" && action != "hibernate" {
		return fmt.Errorf("a Spot instance action %q, want terminate, stop or hibernate", n.Action)
	}
	i, err := f.Instance(id)
	if err != nil {
		return err
	}
	notice := f.options.Now().Add(n.Notice)
	at := notice.Add(cmp.Or(n.After, noticePeriod))
	i.SetIMDS(func(s *imds.Switches) { s.SpotAction, s.SpotFrom, s.SpotTime = action, notice, at })
	return f.model.Interrupt(id, at, action == "terminate")
}

// Withdraw takes a Spot notice back. A machine outside any group that was stopped
// is started again.
func (f *Fleet) Withdraw(id string) error {
	i, err := f.Instance(id)
	if err != nil {
		return err
	}
	i.SetIMDS(func(s *imds.Switches) { s.SpotAction, s.SpotFrom, s.SpotTime = "", time.Time{}, time.Time{} })
	return f.model.Start(id)
}

// Rebalance gives an instance a rebalance recommendation, or takes it back.
func (f *Fleet) Rebalance(id string, recommended bool) error {
	i, err := f.Instance(id)
	if err != nil {
		return err
	}
	var at time.Time
	if recommended {
		at = f.options.Now()
	}
	i.SetIMDS(func(s *imds.Switches) { s.Rebalance = at })
	return nil
}

// Move moves one instance; see [autoscaling.Moves].
func (f *Fleet) Move(id, to string) error { return f.model.Move(id, to) }

// PutPool gives a group a warm pool.
func (f *Fleet) PutPool(group string, p autoscaling.Pool) error { return f.model.PutPool(group, p) }

// DeletePool terminates the instances in a group's warm pool.
func (f *Fleet) DeletePool(group string) error { return f.model.DeletePool(group) }

// SetDesired changes how many instances a group is to have.
func (f *Fleet) SetDesired(group string, n int) error { return f.model.SetDesired(group, n) }
