package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"koboshi/agent/awsapi"
)

// ErrNotSignalled is a resource of a stack that could not be signalled.
var ErrNotSignalled = errors.New("the CloudFormation stack could not be signalled")

// Resource is what a stack waits for: its CreationPolicy or UpdatePolicy counts one
// signal of each instance. The zero Resource is none.
type Resource struct {
	Stack    string // its name or id
	Name     string // the logical id
	Instance string
}

// String returns stack/resource, for messages.
func (r Resource) String() string { return r.Stack + "/" + r.Name }

// Status is what an instance reports to a stack.
type Status string

// A failure ends the creation or update of the stack at once.
const (
	Success Status = "SUCCESS"
	Failure Status = "FAILURE"
)

// Stacks calls CloudFormation.
type Stacks struct {
	cfg aws.Config
}

// NewStacks uses cfg's region, credentials, endpoint, HTTP client and retryer.
func NewStacks(cfg aws.Config) *Stacks { return &Stacks{cfg} }

var cloudFormation = awsapi.Service{ID: "CloudFormation", Name: "cloudformation", Version: "2010-05-15", PlainInGov: true}

// Signal reports the instance's status to the stack. A call that is throttled or
// fails is repeated with the pauses of [Client.Complete], until ctx ends. A stack
// that does not wait, which is so whenever a group launches by itself, is
// [AlreadyOver], and no error; a signal that has arrived before is [Completed].
//
// ready, if not nil, is called just before each request. Its error ends the attempt
// and is returned.
//
// Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_SignalResource.html
func (s *Stacks) Signal(ctx context.Context, resource Resource, status Status, ready func(context.Context) error) (End, error) {
	last := new(error)
	var retryer aws.Retryer = pacer{s.cfg.Retryer(), resource.Instance, last}
	if ready != nil {
		retryer = checked{retryer, ready}
	}
	cfg := s.cfg.Copy()
	cfg.Retryer = func() aws.Retryer { return retry.AddWithMaxAttempts(retryer, 0) }
	_, err := awsapi.New(cfg, cloudFormation).Call(ctx, "SignalResource", url.Values{
		"StackName": {resource.Stack}, "LogicalResourceId": {resource.Name},
		"UniqueId": {resource.Instance}, "Status": {string(status)},
	}, nil)
	if refused, ok := errors.AsType[notReady](err); ok {
		return "", refused.error
	}
	end, known := stackEnd(err)
	if known {
		return end, nil
	}
	return "", fmt.Errorf("signal %s with %s: %w", resource, status, explainStack(cmp.Or(*last, err), err))
}

// stackEnd sorts what is no failure. CloudFormation has one error code for all of
// it.
func stackEnd(err error) (end End, known bool) {
	if err == nil {
		return Completed, true
	}
	refusal, ok := errors.AsType[smithy.APIError](err)
	if !ok || refusal.ErrorCode() != "ValidationError" {
		return "", false
	}
	switch message := refusal.ErrorMessage(); {
	case strings.Contains(message, "cannot be signaled"), strings.Contains(message, "can not be signaled"):
		return AlreadyOver, true // the stack, or the resource, is not being created or updated
	case strings.Contains(message, "already exists"):
		return Completed, true
	}
	return "", false
}

// explainStack is the last refusal of AWS, where the time has ended in a request.
func explainStack(last, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = last
	}
	return explain(err)
}
