package balancer

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
)

const (
	self  = "i-0123456789abcdef0"
	group = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/6d0ecf831eec9f09"
)

// service is one target group in memory, by instance and port.
type service struct {
	states     map[string]map[string]string
	err        error
	deregister error
	asked      []int // targets of each look
	gone       []string
}

// Call takes and answers what goes over the wire.
func (s *service) Call(_ context.Context, operation string, in, out any) (time.Time, error) {
	form := in.(url.Values)
	var targets []target
	for i := 1; form.Has(fmt.Sprintf("Targets.member.%d.Id", i)); i++ {
		member := fmt.Sprintf("Targets.member.%d.", i)
		targets = append(targets, target{form.Get(member + "Id"), form.Get(member + "Port")})
	}
	if operation == "DeregisterTargets" {
		for _, t := range targets {
			s.gone = append(s.gone, t.Port)
			s.states[t.ID][t.Port] = "draining"
		}
		return time.Time{}, s.deregister
	}
	if operation != "DescribeTargetHealth" || form.Get("TargetGroupArn") != group {
		return time.Time{}, fmt.Errorf("%s of %s", operation, form.Get("TargetGroupArn"))
	}
	s.asked = append(s.asked, len(targets))
	if s.err != nil {
		return time.Time{}, s.err
	}
	if targets == nil {
		for id, ports := range s.states {
			for port := range ports {
				targets = append(targets, target{id, port})
			}
		}
	}
	var members strings.Builder
	for _, t := range targets {
		state := cmp.Or(s.states[t.ID][t.Port], "unused")
		fmt.Fprintf(&members, "<member><Target><Id>%s</Id><Port>%s</Port></Target><TargetHealth><State>%s</State></TargetHealth></member>", t.ID, t.Port, state)
	}
	answer := "<R><DescribeTargetHealthResult><TargetHealthDescriptions>" + members.String() + "</TargetHealthDescriptions></DescribeTargetHealthResult></R>"
	return time.Time{}, xml.Unmarshal([]byte(answer), out)
}

func newService() *service {
	return &service{states: map[string]map[string]string{
		self: {"8080": "healthy", "8081": "healthy"}, "i-another": {"8080": "healthy"},
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
	s.states[self]["8080"] = "unused"
	if unused, err := c.Unused(t.Context(), group, self); unused || err != nil {
		t.Errorf("one port drains: %v, %v", unused, err)
	}
	delete(s.states[self], "8081")
	if unused, err := c.Unused(t.Context(), group, self); !unused || err != nil {
		t.Errorf("no port is left: %v, %v", unused, err)
	}
	if s.asked[0] != 0 || s.asked[1] != 2 || s.states["i-another"]["8080"] != "healthy" {
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
	s.states[self]["8081"] = "initial"
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
		"gone":   {&smithy.GenericAPIError{Code: "TargetGroupNotFound"}, ErrNoGroup},
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
	s.deregister = &smithy.GenericAPIError{Code: "InvalidTarget"}
	if err := (&Client{api: s}).Deregister(t.Context(), group, self); err != nil {
		t.Errorf("out of it meanwhile: %v", err)
	}
}
