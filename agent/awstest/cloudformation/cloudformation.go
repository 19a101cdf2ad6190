// Package cloudformation has stacks whose resources wait for signals, as a
// CreationPolicy or WaitOnResourceSignals makes them: what an instance sees of
// CloudFormation, and no templates.
package cloudformation

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"koboshi/agent/awstest/account"
	"koboshi/agent/awstest/query"
)

// What a stack and a resource may be in. Only the first two are signalled.
const (
	CreateInProgress = "CREATE_IN_PROGRESS"
	UpdateInProgress = "UPDATE_IN_PROGRESS"
	CreateComplete   = "CREATE_COMPLETE"
	UpdateComplete   = "UPDATE_COMPLETE"
	CreateFailed     = "CREATE_FAILED"
	UpdateFailed     = "UPDATE_FAILED"
)

// Stack is one stack with one resource that waits.
type Stack struct {
	Name     string
	Resource string // its logical id
	Status   string // of both; "" = CREATE_IN_PROGRESS
	Count    int    // how many successes the resource waits for; 0 = one

	Signals map[string]string // SUCCESS or FAILURE, by unique id
	changed time.Time
}

func (s *Stack) id() string {
	return fmt.Sprintf("arn:aws:cloudformation:us-east-1:%s:stack/%s/00000000-0000-11ee-8000-0a1b2c3d4e5f", account.ID, s.Name)
}

func (s *Stack) waits() bool { return s.Status == CreateInProgress || s.Status == UpdateInProgress }

// Stacks are those of the account.
type Stacks struct {
	now func() time.Time

	mu     sync.Mutex
	stacks map[string]*Stack
}

// New is an account without stacks.
func New(now func() time.Time) *Stacks { return &Stacks{now: now, stacks: map[string]*Stack{}} }

// Put makes or replaces a stack.
func (s *Stacks) Put(stack Stack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stack.Status == "" {
		stack.Status = CreateInProgress
	}
	if stack.Signals == nil {
		stack.Signals = map[string]string{}
	}
	stack.Count, stack.changed = max(1, stack.Count), s.now()
	s.stacks[stack.Name] = &stack
}

// Stack is a copy of a stack, zero where there is none.
func (s *Stacks) Stack(name string) Stack {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.stacks[name]
	if found == nil {
		return Stack{}
	}
	seen := *found
	seen.Signals = maps.Clone(found.Signals)
	return seen
}

// NewAPI is the service over the stacks.
func NewAPI(s *Stacks) *query.API {
	return query.New("http://cloudformation.amazonaws.com/doc/2010-05-15/", map[string]query.Action{
		"SignalResource":        s.locked(s.signal),
		"DescribeStackResource": s.locked(s.describe),
	})
}

func (s *Stacks) locked(run func(query.Params) (any, error)) query.Action {
	return func(p query.Params, _ *http.Request) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return run(p)
	}
}

// find is the stack and resource of a request, by name or id.
func (s *Stacks) find(p query.Params) (*Stack, error) {
	for _, name := range []string{"StackName", "LogicalResourceId"} {
		if p.Get(name) == "" {
			return nil, query.Invalid("1 validation error detected: Value null at '" + strings.ToLower(name[:1]) + name[1:] + "' failed to satisfy constraint: Member must not be null")
		}
	}
	for _, stack := range s.stacks {
		if p.Get("StackName") != stack.Name && p.Get("StackName") != stack.id() {
			continue
		}
		if p.Get("LogicalResourceId") != stack.Resource {
			return nil, query.Invalid(fmt.Sprintf("Resource %s does not exist for stack %s", p.Get("LogicalResourceId"), stack.Name))
		}
		return stack, nil
	}
	return nil, query.Invalid(fmt.Sprintf("Stack '%s' does not exist", p.Get("StackName")))
}

// signal counts one signal. A failure ends the stack's operation, and so does the last
// success that it waits for.
func (s *Stacks) signal(p query.Params) (any, error) {
	id, status := p.Get("UniqueId"), p.Get("Status")
	if id == "" || len(id) > 64 || status != "SUCCESS" && status != "FAILURE" {
		return nil, query.Invalid("1 validation error detected: UniqueId has 1 to 64 characters, Status is SUCCESS or FAILURE")
	}
	stack, err := s.find(p)
	switch {
	case err != nil:
		return nil, err
	case !stack.waits():
		return nil, query.Invalid(fmt.Sprintf("Stack %s is in %s state and cannot be signaled", stack.id(), stack.Status))
	case stack.Signals[id] != "" && status != "FAILURE":
		return nil, query.Invalid(fmt.Sprintf("Signal with ID %s for resource %s already exists. Signals may only be updated with a FAILURE status.", id, stack.Resource))
	}
	stack.Signals[id], stack.changed = status, s.now()
	doing, _, _ := strings.Cut(stack.Status, "_")
	switch {
	case status == "FAILURE":
		stack.Status = doing + "_FAILED"
	case stack.successes() >= stack.Count:
		stack.Status = doing + "_COMPLETE"
	}
	return nil, nil
}

func (s *Stack) successes() (n int) {
	for _, status := range s.Signals {
		if status == "SUCCESS" {
			n++
		}
	}
	return n
}

type detail struct {
	StackName            string
	StackID              string `xml:"StackId"`
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId"`
	ResourceType         string
	LastUpdatedTimestamp string
	ResourceStatus       string
}

func (s *Stacks) describe(p query.Params) (any, error) {
	stack, err := s.find(p)
	if err != nil {
		return nil, err
	}
	return struct{ StackResourceDetail detail }{detail{
		stack.Name, stack.id(), stack.Resource, stack.Name + "-" + stack.Resource, "AWS::AutoScaling::AutoScalingGroup",
		stack.changed.UTC().Format(time.RFC3339), stack.Status,
	}}, nil
}
