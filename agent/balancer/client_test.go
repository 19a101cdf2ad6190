package balancer

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
)

const (
	self  = "i-0123456789abcdef0"
	group = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/6d0ecf831eec9f09"
)

// service is one target group in memory, by instance and port.
type service struct {
	states     map[string]map[int32]types.TargetHealthStateEnum
	err        error
	deregister error
	asked      []int // targets of each look
	gone       []int32
}

func (s *service) DescribeTargetHealth(_ context.Context, in *elb.DescribeTargetHealthInput, _ ...func(*elb.Options)) (*elb.DescribeTargetHealthOutput, error) {
	s.asked = append(s.asked, len(in.Targets))
	if s.err != nil {
		return nil, s.err
	}
	out := &elb.DescribeTargetHealthOutput{}
	add := func(id string, port int32, state types.TargetHealthStateEnum) {
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, types.TargetHealthDescription{
			Target: &types.TargetDescription{Id: aws.String(id), Port: aws.Int32(port)}, TargetHealth: &types.TargetHealth{State: state},
		})
	}
	for _, t := range in.Targets {
		state, found := s.states[*t.Id][*t.Port]
		if !found {
			state = types.TargetHealthStateEnumUnused
		}
		add(*t.Id, *t.Port, state)
	}
	for id, ports := range s.states {
		for port, state := range ports {
			if len(in.Targets) == 0 {
				add(id, port, state)
			}
		}
	}
	return out, nil
}

func (s *service) DeregisterTargets(_ context.Context, in *elb.DeregisterTargetsInput, _ ...func(*elb.Options)) (*elb.DeregisterTargetsOutput, error) {
	for _, t := range in.Targets {
		s.gone = append(s.gone, *t.Port)
		s.states[*t.Id][*t.Port] = types.TargetHealthStateEnumDraining
	}
	return &elb.DeregisterTargetsOutput{}, s.deregister
}

func newService() *service {
	healthy := types.TargetHealthStateEnumHealthy
	return &service{states: map[string]map[int32]types.TargetHealthStateEnum{
		self: {8080: healthy, 8081: healthy}, "i-another": {8080: healthy},
	}}
}

func TestLeavingAGroup(t *testing.T) {
	s := newService()
	c := &Client{api: s}
	if unused, err := c.Unused(t.Context(), group, self); unused || err != nil {
		t.Errorf("in use: %v, %v", unused, err)
	}
	if err := c.Deregister(t.Context(), group, self); err != nil || len(s.gone) != 2 {
		t.Errorf("Deregister: %v, %v", s.gone, err)
	}
	if unused, err := c.Unused(t.Context(), group, self); unused || err != nil {
		t.Errorf("draining: %v, %v", unused, err)
	}
	s.states[self][8080] = types.TargetHealthStateEnumUnused
	if unused, err := c.Unused(t.Context(), group, self); unused || err != nil {
		t.Errorf("one port drains: %v, %v", unused, err)
	}
	delete(s.states[self], 8081)
	if unused, err := c.Unused(t.Context(), group, self); !unused || err != nil {
		t.Errorf("no port is left: %v, %v", unused, err)
	}
	if s.asked[0] != 0 || s.asked[1] != 2 || s.states["i-another"][8080] != types.TargetHealthStateEnumHealthy {
		t.Errorf("asked for %v; the other is %v", s.asked, s.states["i-another"])
	}
}

func TestAnInstanceThatIsInNoGroup(t *testing.T) {
	s := newService()
	delete(s.states, self)
	c := &Client{api: s}
	if err := c.Deregister(t.Context(), group, self); err != nil || len(s.gone) > 0 {
		t.Errorf("Deregister: %v, %v", s.gone, err)
	}
	if unused, err := c.Unused(t.Context(), group, self); !unused || err != nil {
		t.Errorf("Unused: %v, %v", unused, err)
	}
}

func TestHealth(t *testing.T) {
	s := newService()
	s.states[self][8081] = types.TargetHealthStateEnumInitial
	c := &Client{api: s}
	states, err := c.Health(t.Context(), group, self)
	if slices.Sort(states); !slices.Equal(states, []string{"healthy", "initial"}) || err != nil {
		t.Errorf("registered: %q, %v", states, err)
	}
	delete(s.states, self)
	if states, err := (&Client{api: s}).Health(t.Context(), group, self); len(states) > 0 || err != nil {
		t.Errorf("not registered: %q, %v", states, err)
	}
}

func TestFailures(t *testing.T) {
	broken := errors.New("throttled")
	refused := &smithy.GenericAPIError{Code: "AccessDenied", Message: "not authorized"}
	for name, tt := range map[string]struct{ err, want error }{
		"gone":   {&types.TargetGroupNotFoundException{}, ErrNoGroup},
		"broken": {broken, broken},
		"denied": {refused, ErrDenied},
	} {
		s := newService()
		s.err = tt.err
		c := &Client{api: s}
		if unused, err := c.Unused(t.Context(), group, self); unused || !errors.Is(err, tt.want) {
			t.Errorf("%s: Unused: %v, %v", name, unused, err)
		}
		if states, err := c.Health(t.Context(), group, self); len(states) > 0 || !errors.Is(err, tt.want) {
			t.Errorf("%s: Health: %q, %v", name, states, err)
		}
		if err := c.Deregister(t.Context(), group, self); !errors.Is(err, tt.want) {
			t.Errorf("%s: Deregister: %v", name, err)
		}
	}
	s := newService()
	s.deregister = &types.InvalidTargetException{}
	if err := (&Client{api: s}).Deregister(t.Context(), group, self); err != nil {
		t.Errorf("out of it meanwhile: %v", err)
	}
}
