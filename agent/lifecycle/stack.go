package lifecycle

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"koboshi/artifacts/pace"
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

// Stacks calls CloudFormation. It makes one request of its own, signed as the SDK
// does: the SDK's client would add 0.65 MB to the program.
type Stacks struct {
	cfg aws.Config
}

// NewStacks uses cfg's region, credentials, endpoint, HTTP client and retryer.
func NewStacks(cfg aws.Config) *Stacks { return &Stacks{cfg} }

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
	retryer := pacer{s.cfg.Retryer(), resource.Instance, last}
	for n := 1; ; n++ {
		if ready != nil {
			if err := ready(ctx); err != nil {
				return "", err
			}
		}
		err := s.send(ctx, resource, status)
		end, known := stackEnd(err)
		if known {
			return end, nil
		}
		if ctx.Err() != nil || !retryer.IsErrorRetryable(err) || !spend(ctx, retryer, err) {
			return "", fmt.Errorf("signal %s with %s: %w", resource, status, explainStack(cmp.Or(*last, err), err))
		}
		delay, _ := retryer.RetryDelay(n, err) // a pacer has no limit
		if pace.Sleep(ctx, delay) != nil {
			return "", fmt.Errorf("signal %s with %s: %w", resource, status, explainStack(err, err))
		}
	}
}

// spend takes a retry from the budget of the process.
func spend(ctx context.Context, retryer aws.Retryer, err error) bool {
	_, refused := retryer.GetRetryToken(ctx, err)
	return refused == nil
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

// apiVersion is CloudFormation's own.
const apiVersion = "2010-05-15"

const maxStackAnswer = 64 << 10 // bytes that are read of an answer

// send makes the request once.
func (s *Stacks) send(ctx context.Context, resource Resource, status Status) error {
	form := url.Values{
		"Action": {"SignalResource"}, "Version": {apiVersion},
		"StackName": {resource.Stack}, "LogicalResourceId": {resource.Name},
		"UniqueId": {resource.Instance}, "Status": {string(status)},
	}.Encode()
	endpoint, err := stackEndpoint(ctx, s.cfg)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader([]byte(form)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	credentials, err := s.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(form))
	if err := v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), "cloudformation", s.cfg.Region, time.Now()); err != nil {
		return err
	}
	answer, err := s.cfg.HTTPClient.Do(request)
	if err != nil {
		return &smithyhttp.RequestSendError{Err: err} // as the SDK's retryers know it
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxStackAnswer))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return &smithyhttp.RequestSendError{Err: err}
	}
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return refusalOf(answer.StatusCode, body)
}

// stackError is an answer of CloudFormation that is none of success. It is a
// smithy.APIError, and has its status, so that a retryer can sort it.
type stackError struct {
	smithy.GenericAPIError
	status int
}

// HTTPStatusCode is for the SDK's retryers.
func (e *stackError) HTTPStatusCode() int { return e.status }

func refusalOf(status int, body []byte) error {
	var document struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	_ = xml.Unmarshal(body, &document) // a proxy answers in another format
	return &stackError{smithy.GenericAPIError{Code: cmp.Or(document.Code, fmt.Sprintf("status %d", status)), Message: document.Message}, status}
}
