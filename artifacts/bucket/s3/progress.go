package s3

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// meter adds up what has been sent of one object, by any number of requests.
type meter struct {
	key    string
	size   int64
	sent   atomic.Int64
	report func(key string, sent, size int64) // nil = no one asks
}

func (b *Bucket) meter(key string, size int64) *meter {
	return &meter{key: key, size: size, report: b.Progress}
}

// request counts the body of one request as the connection takes it. An attempt
// that fails no longer counts once the next one begins.
func (m *meter) request(length int64) func(*s3.Options) {
	return func(o *s3.Options) {
		if m.report != nil {
			o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
				return stack.Deserialize.Add(&counted{meter: m, length: length}, middleware.After)
			})
		}
	}
}

// counted is one request; its attempts follow each other.
type counted struct {
	meter        *meter
	sent, length int64
}

// ID implements [middleware.DeserializeMiddleware].
func (*counted) ID() string { return "koboshi:Counted" }

// HandleDeserialize implements [middleware.DeserializeMiddleware].
func (c *counted) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (out middleware.DeserializeOutput, metadata middleware.Metadata, err error) {
	request, ok := in.Request.(*smithyhttp.Request)
	if ok && request.GetStream() != nil {
		if c.sent > 0 {
			c.add(-c.sent)
		}
		if in.Request, err = request.SetStream(countedBody{request.GetStream(), c}); err != nil {
			return out, metadata, err
		}
	}
	return next.HandleDeserialize(ctx, in)
}

func (c *counted) add(n int64) {
	c.sent += n
	c.meter.report(c.meter.key, c.meter.sent.Add(n), c.meter.size)
}

// countedBody is a body with the trailer that the SDK adds, which does not count.
type countedBody struct {
	io.Reader
	request *counted
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if more := min(int64(n), b.request.length-b.request.sent); more > 0 {
		b.request.add(more)
	}
	return n, err
}
