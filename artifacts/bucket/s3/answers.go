package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Limits of what is read of an answer that is not an object, in bytes.
const (
	MaxAnswerBytes = 8 << 20  // a page of a list has 1,000 keys, each of 1 KiB at most, or of 3 KiB encoded
	maxErrorBytes  = 64 << 10 // of what an error is read from
)

const regionHeader = "X-Amz-Bucket-Region"

// BoundAnswers limits what the SDK reads into memory of one answer, of any
// service: errors, lists, and everything else that is not an object's body. Give
// it to the configuration that all clients come from (APIOptions).
func BoundAnswers(stack *middleware.Stack) error {
	const id = "koboshi:BoundAnswers"
	if _, done := stack.Deserialize.Get(id); done {
		return nil
	}
	return stack.Deserialize.Add(answers{id, func(r *smithyhttp.Response, operation string) {
		if operation != "GetObject" || r.StatusCode >= 300 {
			r.Body = &bounded{ReadCloser: r.Body, left: MaxAnswerBytes}
		}
	}}, middleware.After)
}

// readRegion finds where a bucket is in the body of an error, and puts it where
// S3 says so too, but not always: into the header.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func readRegion(stack *middleware.Stack) error {
	return stack.Deserialize.Add(answers{"koboshi:ReadRegion", func(r *smithyhttp.Response, _ string) {
		if r.StatusCode < 300 || r.Header.Get(regionHeader) != "" {
			return
		}
		head, err := io.ReadAll(io.LimitReader(r.Body, maxErrorBytes))
		rest := io.MultiReader(bytes.NewReader(head), r.Body)
		if err != nil {
			rest = io.MultiReader(bytes.NewReader(head), failing{err})
		}
		r.Body = struct {
			io.Reader
			io.Closer
		}{rest, r.Body}
		var document struct{ Region string }
		if xml.Unmarshal(head, &document) == nil && document.Region != "" {
			r.Header.Set(regionHeader, document.Region)
		}
	}}, middleware.After)
}

// answers changes answers before anything reads them.
type answers struct {
	name   string
	change func(r *smithyhttp.Response, operation string)
}

// ID implements [middleware.DeserializeMiddleware].
func (a answers) ID() string { return a.name }

// HandleDeserialize implements [middleware.DeserializeMiddleware].
func (a answers) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	if response, ok := out.RawResponse.(*smithyhttp.Response); ok && response != nil && response.Body != nil {
		a.change(response, middleware.GetOperationName(ctx))
	}
	return out, metadata, err
}

// date is the Date of the answer, the zero time where it has none.
func date(metadata middleware.Metadata) time.Time {
	at, _ := awsmiddleware.GetServerTime(metadata)
	return at.UTC()
}

// bounded is a body that ends with an error after so many bytes.
type bounded struct {
	io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", MaxAnswerBytes)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }
