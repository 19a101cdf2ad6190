package awsapi

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/go-json-experiment/json"
)

// Service is one service of AWS.
type Service struct {
	ID      string // what the SDK calls it, which AWS_ENDPOINT_URL_… is made of: "CodeDeploy"
	Name    string // in its host name and in the scope of a signature: "codedeploy"
	Target  string // what its operations begin with in AWS JSON: "CodeDeploy_20141006"; "" = AWS Query
	Version string // of AWS JSON, "1.0" or "1.1"; in AWS Query of the API, "2010-05-15"

	// PlainInGov is that in GovCloud the usual host is the one with validated
	// cryptography, too, and the only one.
	PlainInGov bool
}

// Client calls one service. It is safe for concurrent use.
type Client struct {
	service Service
	cfg     aws.Config
	skew    *atomic.Int64 // nanoseconds that the service's clock is ahead
}

// New uses cfg's region, credentials, endpoints, HTTP client and retryer; without the
// last two, the SDK's own.
func New(cfg aws.Config, service Service) *Client {
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	if cfg.Retryer == nil {
		cfg.Retryer = func() aws.Retryer { return retry.NewStandard() }
	}
	return &Client{service, cfg, new(atomic.Int64)}
}

// Call makes a call, with as many attempts as the retryer grants. In AWS JSON in is
// what encodes to the request's members, in AWS Query it is the [url.Values] of its
// parameters. out, a pointer, takes what it has fields for; nil takes nothing. The time
// is the answer's Date, which is zero where there is none.
//
// Where the service refuses, the error is an [*Error], wrapped as the SDK does it.
//
// Sources: https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
// and https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
func (c *Client) Call(ctx context.Context, operation string, in, out any) (time.Time, error) {
	body, err := c.encode(operation, in)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", operation, err)
	}
	stack, err := c.stack(operation, body, out)
	if err != nil {
		return time.Time{}, err
	}
	ctx = middleware.ClearStackValues(ctx)
	_, metadata, err := middleware.DecorateHandler(smithyhttp.NewClientHandlerWithOptions(c.cfg.HTTPClient), stack).Handle(ctx, nil)
	if err != nil {
		err = &smithy.OperationError{ServiceID: c.service.ID, OperationName: operation, Err: err}
	}
	at, _ := awsmiddleware.GetServerTime(metadata)
	return at.UTC(), err
}

// encode is the body of a request.
func (c *Client) encode(operation string, in any) ([]byte, error) {
	if c.service.Target != "" {
		return json.Marshal(in)
	}
	form := url.Values{"Action": {operation}, "Version": {c.service.Version}}
	for name, values := range in.(url.Values) {
		form[name] = values
	}
	return []byte(form.Encode()), nil
}

func (c *Client) decode(body []byte, out any) error {
	switch {
	case out == nil:
		return nil
	case c.service.Target != "":
		return json.Unmarshal(body, out)
	}
	return xml.Unmarshal(body, out)
}

// stack is the way of one call, in the SDK's order: the request is made once; each
// attempt is signed, sent, and its answer read.
func (c *Client) stack(operation string, body []byte, out any) (*middleware.Stack, error) {
	stack := middleware.NewStack(operation, smithyhttp.NewStackRequest)
	for _, add := range []func(*middleware.Stack) error{
		func(s *middleware.Stack) error {
			return s.Serialize.Add(middleware.SerializeMiddlewareFunc("OperationSerializer", c.serializer(operation, body)), middleware.After)
		},
		awsmiddleware.AddClientRequestIDMiddleware,
		awsmiddleware.AddRequestUserAgentMiddleware,
		func(s *middleware.Stack) error {
			return s.Finalize.Add(&v4.ComputePayloadSHA256{}, middleware.After)
		},
		func(s *middleware.Stack) error {
			return s.Finalize.Add(retry.NewAttemptMiddleware(c.cfg.Retryer(), smithyhttp.RequestCloner, func(a *retry.Attempt) { a.ClientSkew = c.skew }), middleware.After)
		},
		func(s *middleware.Stack) error {
			return s.Finalize.Add(middleware.FinalizeMiddlewareFunc("Signing", c.sign), middleware.After)
		},
		func(s *middleware.Stack) error {
			return s.Deserialize.Add(middleware.DeserializeMiddlewareFunc("OperationDeserializer", c.deserializer(out)), middleware.After)
		},
		awsmiddleware.AddRequestIDRetrieverMiddleware,
		awshttp.AddResponseErrorMiddleware,
		awsmiddleware.AddRecordResponseTiming,
	} {
		if err := add(stack); err != nil {
			return nil, err
		}
	}
	return stack, nil
}

func (c *Client) serializer(operation string, body []byte) func(context.Context, middleware.SerializeInput, middleware.SerializeHandler) (middleware.SerializeOutput, middleware.Metadata, error) {
	return func(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (out middleware.SerializeOutput, metadata middleware.Metadata, err error) {
		endpoint, err := c.service.endpoint(ctx, c.cfg)
		if err != nil {
			return out, metadata, err
		}
		request := in.Request.(*smithyhttp.Request)
		request.Method, request.URL = http.MethodPost, endpoint
		if c.service.Target != "" {
			request.Header.Set("Content-Type", "application/x-amz-json-"+c.service.Version)
			request.Header.Set("X-Amz-Target", c.service.Target+"."+operation)
		} else {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if request, err = request.SetStream(bytes.NewReader(body)); err != nil {
			return out, metadata, err
		}
		in.Request = request
		return next.HandleSerialize(ctx, in)
	}
}

// sign signs one attempt, by the service's clock where it has shown that ours is wrong.
func (c *Client) sign(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (out middleware.FinalizeOutput, metadata middleware.Metadata, err error) {
	credentials, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return out, metadata, &v4.SigningError{Err: fmt.Errorf("get credentials: %w", err)}
	}
	request := in.Request.(*smithyhttp.Request).Request
	now := time.Now().Add(time.Duration(c.skew.Load()))
	if err := v4.NewSigner().SignHTTP(ctx, credentials, request, v4.GetPayloadHash(ctx), c.service.Name, c.cfg.Region, now); err != nil {
		return out, metadata, &v4.SigningError{Err: err}
	}
	out, metadata, err = next.HandleFinalize(ctx, in)
	if skew, ok := awsmiddleware.GetAttemptSkew(metadata); ok {
		c.skew.Store(int64(skew))
	}
	return out, metadata, err
}

func (c *Client) deserializer(to any) func(context.Context, middleware.DeserializeInput, middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	return func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (out middleware.DeserializeOutput, metadata middleware.Metadata, err error) {
		out, metadata, err = next.HandleDeserialize(ctx, in)
		if err != nil {
			return out, metadata, err
		}
		response := out.RawResponse.(*smithyhttp.Response)
		body, err := read(response.Body)
		_ = response.Body.Close() // what was read is whole, or an error
		if err != nil {
			return out, metadata, err
		}
		if response.StatusCode < 200 || response.StatusCode > 299 {
			return out, metadata, c.service.refusal(response.Response, body)
		}
		if err := c.decode(body, to); err != nil {
			return out, metadata, &smithy.DeserializationError{Err: err, Snapshot: body[:min(len(body), 1024)]}
		}
		return out, metadata, nil
	}
}
