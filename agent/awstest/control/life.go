package control

import (
	"net/http"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/elb"
)

func (c endpoint) scale(r *http.Request) (any, error) {
	n, err := readJSON[int](r)
	if err != nil {
		return nil, err
	}
	return done{}, c.SetDesired(r.PathValue("name"), n)
}

func (c endpoint) putPool(r *http.Request) (any, error) {
	p, err := readJSON[autoscaling.Pool](r)
	if err != nil {
		return nil, err
	}
	return done{}, c.PutPool(r.PathValue("name"), p)
}

func (c endpoint) deletePool(r *http.Request) (any, error) {
	return done{}, c.DeletePool(r.PathValue("name"))
}

func (c endpoint) createTargetGroup(r *http.Request) (any, error) {
	g, err := readJSON[elb.Group](r)
	if err != nil {
		return nil, err
	}
	arn, err := c.elb.CreateGroup(g)
	return map[string]string{"arn": arn}, err
}

func (c endpoint) targetHealth(r *http.Request) (any, error) {
	health, err := c.elb.Health(elb.Group{Name: r.PathValue("name")}.ARN())
	if err != nil {
		return nil, notFound{err}
	}
	return append([]elb.Health{}, health...), nil
}

func (c endpoint) move(r *http.Request) (any, error) {
	return c.on(r, func(i *ec2.Instance) error { return c.Move(i.ID(), r.PathValue("to")) })
}

func (c endpoint) interrupt(r *http.Request) (any, error) {
	return c.on(r, func(i *ec2.Instance) error {
		n, err := readJSON[ec2.Interruption](r)
		if err != nil {
			return err
		}
		return c.Interrupt(i.ID(), n)
	})
}

func (c endpoint) withdraw(r *http.Request) (any, error) {
	return c.on(r, func(i *ec2.Instance) error { return c.Withdraw(i.ID()) })
}

func (c endpoint) rebalance(r *http.Request) (any, error) {
	return c.on(r, func(i *ec2.Instance) error { return c.Rebalance(i.ID(), r.Method == http.MethodPost) })
}
