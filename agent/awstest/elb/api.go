package elb

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"koboshi/agent/awstest/query"
)

// NewAPI is the service over a balancer: the operations on target groups that
// koboshi, its tests and `aws elbv2` use for instances.
func NewAPI(b *Balancer) *query.API {
	api := api{b}
	return query.New("http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/", map[string]query.Action{
		"CreateTargetGroup":             api.createGroup,
		"DeleteTargetGroup":             api.deleteGroup,
		"DescribeTargetGroups":          api.describeGroups,
		"DescribeTargetGroupAttributes": api.describeAttributes,
		"ModifyTargetGroupAttributes":   api.modifyAttributes,
		"RegisterTargets":               api.register,
		"DeregisterTargets":             api.deregister,
		"DescribeTargetHealth":          api.describeHealth,
	})
}

type api struct{ *Balancer }

// The shapes are those of the API's XML, as far as the mock has values for them.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Types.html
type (
	groupShape struct {
		ARN        string `xml:"TargetGroupArn"`
		Name       string `xml:"TargetGroupName"`
		Protocol   string
		Port       int
		VpcID      string `xml:"VpcId"`
		TargetType string
	}
	groupsResult struct {
		Groups []groupShape `xml:"TargetGroups>member"`
	}
	attribute        struct{ Key, Value string }
	attributesResult struct {
		Attributes []attribute `xml:"Attributes>member"`
	}
	healthShape struct {
		ID     string `xml:"Target>Id"`
		Port   int    `xml:"Target>Port"`
		Probed int    `xml:"HealthCheckPort"`
		Health struct {
			State       string
			Reason      string `xml:",omitempty"`
			Description string `xml:",omitempty"`
		} `xml:"TargetHealth"`
	}
	healthResult struct {
		Targets []healthShape `xml:"TargetHealthDescriptions>member"`
	}
)

func (g Group) shape() groupShape {
	return groupShape{g.ARN(), g.Name, cmp.Or(g.Protocol, "HTTP"), g.port(), "vpc-0123456789abcdef0", "instance"}
}

func (g Group) port() int { return cmp.Or(g.Port, 80) }

func (a api) createGroup(p query.Params, _ *http.Request) (any, error) {
	port, err := p.Int("Port", 80)
	if err != nil {
		return nil, err
	}
	if kind := cmp.Or(p.Get("TargetType"), "instance"); kind != "instance" {
		return nil, query.Invalid("the mock has no target groups of type " + kind)
	}
	g := Group{Name: p.Get("Name"), Protocol: p.Get("Protocol"), Port: port}
	if _, err := a.CreateGroup(g); err != nil {
		return nil, err
	}
	return groupsResult{[]groupShape{g.shape()}}, nil
}

func (a api) deleteGroup(p query.Params, _ *http.Request) (any, error) {
	a.DeleteGroup(p.Get("TargetGroupArn"))
	return struct{}{}, nil
}

func (a api) describeGroups(p query.Params, _ *http.Request) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	arns, names := p.List("TargetGroupArns"), p.List("Names")
	var result groupsResult
	for _, g := range a.groups {
		if len(arns)+len(names) == 0 || slices.Contains(arns, g.ARN()) || slices.Contains(names, g.Name) {
			result.Groups = append(result.Groups, g.shape())
		}
	}
	if asked := len(arns) + len(names); len(result.Groups) < asked {
		_, err := a.group("")
		return nil, err
	}
	return result, nil
}

const delayAttribute = "deregistration_delay.timeout_seconds"

func (g *group) attributes() attributesResult {
	return attributesResult{[]attribute{{delayAttribute, strconv.Itoa(int(g.delay() / time.Second))}}}
}

func (a api) describeAttributes(p query.Params, _ *http.Request) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g, err := a.group(p.Get("TargetGroupArn"))
	if err != nil {
		return nil, err
	}
	return g.attributes(), nil
}

func (a api) modifyAttributes(p query.Params, _ *http.Request) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g, err := a.group(p.Get("TargetGroupArn"))
	if err != nil {
		return nil, err
	}
	for n := 1; p.Has(query.Member("Attributes", n) + ".Key"); n++ {
		key, value := p.Get(query.Member("Attributes", n)+".Key"), p.Get(query.Member("Attributes", n)+".Value")
		seconds, err := strconv.Atoi(value)
		if key != delayAttribute || err != nil || seconds < 0 || seconds > int(maxDelay/time.Second) {
			return nil, query.Invalid(fmt.Sprintf("Target group attribute key '%s' with value '%s' is not recognized", key, value))
		}
		if g.Delay = time.Duration(seconds) * time.Second; seconds == 0 {
			g.Delay = -1
		}
	}
	return g.attributes(), nil
}

var instanceID = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// targets are the ids in the list Targets.
func targets(p query.Params) (ids []string, err error) {
	for n := 1; p.Has(query.Member("Targets", n) + ".Id"); n++ {
		id := p.Get(query.Member("Targets", n) + ".Id")
		if !instanceID.MatchString(id) {
			return nil, &query.Error{Status: http.StatusBadRequest, Code: "ValidationError", Message: "Instance ID '" + id + "' is not valid"}
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// someTargets are those of a request that has to have some.
func someTargets(p query.Params) ([]string, error) {
	ids, err := targets(p)
	if err == nil && len(ids) == 0 {
		err = query.Invalid("1 validation error detected: Value null at 'targets' failed to satisfy constraint: Member must not be null")
	}
	return ids, err
}

func (a api) register(p query.Params, _ *http.Request) (any, error) {
	ids, err := someTargets(p)
	for _, id := range ids {
		if err == nil {
			err = a.Register(p.Get("TargetGroupArn"), id)
		}
	}
	return struct{}{}, err
}

func (a api) deregister(p query.Params, _ *http.Request) (any, error) {
	ids, err := someTargets(p)
	if err != nil {
		return nil, err
	}
	if _, err := a.Health(p.Get("TargetGroupArn")); err != nil {
		return nil, err
	}
	for _, id := range ids {
		a.Deregister(p.Get("TargetGroupArn"), id)
	}
	return struct{}{}, nil
}

func (a api) describeHealth(p query.Params, _ *http.Request) (any, error) {
	ids, err := targets(p)
	if err != nil {
		return nil, err
	}
	all, err := a.Health(p.Get("TargetGroupArn"), ids...)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	g, err := a.group(p.Get("TargetGroupArn"))
	if err != nil {
		return nil, err
	}
	var result healthResult
	for _, h := range all {
		shape := healthShape{ID: h.Target, Port: g.port(), Probed: g.port()}
		shape.Health.State, shape.Health.Reason, shape.Health.Description = h.State, h.Reason, descriptions[h.Reason]
		result.Targets = append(result.Targets, shape)
	}
	return result, nil
}

var descriptions = map[string]string{
	"Target.NotRegistered":            "Target is not registered to the target group",
	"Target.DeregistrationInProgress": "Target deregistration is in progress",
	"Elb.RegistrationInProgress":      "Target registration is in progress",
	"Target.FailedHealthChecks":       "Health checks failed",
}
