package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"koboshi/artifacts/bucket"
)

// Error is a request that failed. It is one of the errors of package bucket
// where S3's answer was one of them, and wraps the SDK's error: errors.As finds
// smithy.APIError, errors.Is a context's error.
type Error struct {
	Op      string // "get", "put", "list", "delete"
	Bucket  string
	Key     string // of a list its prefix
	Status  int    // of HTTP, 0 = no answer came
	Code    string // S3's own, such as "AccessDenied"; "" = none came
	Message string // S3's own; "" = none came
	Region  string // where the bucket is, if S3 says that it is not where it was asked for; as it came

	sentinel error
	cause    error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s s3://%s/%s: %s", e.Op, e.Bucket, e.Key, e.reason())
}

// reason leaves out what the SDK and net/http wrap around the cause: a URL,
// whose query may be signed, among them.
func (e *Error) reason() string {
	if e.Code != "" && e.Status != 0 {
		return fmt.Sprintf("%s (%s, status %d)", e.Message, e.Code, e.Status)
	}
	if errors.Is(e.cause, context.Canceled) {
		return context.Canceled.Error()
	}
	var sent *url.Error
	if errors.As(e.cause, &sent) {
		return sent.Err.Error()
	}
	var operation *smithy.OperationError
	if errors.As(e.cause, &operation) {
		return operation.Err.Error()
	}
	return e.cause.Error()
}

// Unwrap is the sentinel, if the answer was one, and the cause.
func (e *Error) Unwrap() []error {
	if e.sentinel == nil {
		return []error{e.cause}
	}
	return []error{e.sentinel, e.cause}
}

// Advice is what can be done about an answer that has a cause of its own; "" where
// there is nothing to say.
func (e *Error) Advice() string {
	if e.Op == "put" && e.Status == http.StatusNotImplemented {
		return "the store does not know conditional writes (If-Match, If-None-Match), which publish and promote need: koboshi help network"
	}
	if redirected, ok := errors.AsType[*RedirectError](e.cause); ok {
		return redirected.Advice()
	}
	return ""
}

func (b *Bucket) failed(op, key string, when bucket.Condition, cause error) error {
	if cause == nil {
		return nil
	}
	e := &Error{Op: op, Bucket: b.name, Key: b.prefix + key, cause: cause}
	var response *awshttp.ResponseError
	if errors.As(cause, &response) {
		e.Status = response.HTTPStatusCode()
		e.Region = elsewhere(response, b.client.Options().Region)
	}
	if redirected, ok := errors.AsType[*RedirectError](cause); ok {
		e.Status, e.Region = redirected.Status, redirected.Region
	}
	var api smithy.APIError
	if errors.As(cause, &api) {
		e.Code, e.Message = api.ErrorCode(), api.ErrorMessage()
	}
	e.sentinel = e.classify(when)
	return e
}

// elsewhere is the region of a bucket that was asked for in another one: S3
// redirects (301, 307) what it can place, and refuses (400) a signature for another
// region. It answers no request for the other region by itself.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html
func elsewhere(answer *awshttp.ResponseError, asked string) string {
	switch answer.HTTPStatusCode() {
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusBadRequest:
	default:
		return ""
	}
	region := answer.HTTPResponse().Header.Get(regionHeader)
	if region == asked {
		return ""
	}
	return region
}

// classify reads status and code as S3's API reference gives them. A condition
// on an ETag that fails because there is no object at all is a change too.
func (e *Error) classify(when bucket.Condition) error {
	switch {
	case e.Status == http.StatusNotFound && e.Code == "NoSuchKey" && when.ETag != "" && e.Op == "put":
		return bucket.ErrChanged
	case e.Status == http.StatusNotFound && e.Code != noSuchUpload:
		return bucket.ErrNotFound
	case slices.Contains(credentialCodes(), e.Code):
		return bucket.ErrCredentials
	case e.Status == http.StatusForbidden, strings.HasPrefix(e.Code, "KMS."): // the key is disabled or gone, status 400
		return bucket.ErrDenied
	case e.Status == http.StatusPreconditionFailed && when.Absent:
		return bucket.ErrExists
	case e.Status == http.StatusPreconditionFailed:
		return bucket.ErrChanged
	case e.Op == "put" && (e.Status == http.StatusConflict || e.Code == noSuchUpload):
		return bucket.ErrConflict
	}
	return nil
}

// noSuchUpload: an earlier answer to our own write was lost.
const noSuchUpload = "NoSuchUpload"

// credentialCodes come with status 400 or 403, and are about who asks, not about
// what was asked for.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func credentialCodes() []string {
	return []string{"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired"}
}

// strongETag is empty for a weak one (RFC 9110, section 8.8.3), which may stand
// for other bytes and never satisfies If-Match. Some stores leave out the quotes.
func strongETag(etag string) string {
	if strings.HasPrefix(etag, "W/") {
		return ""
	}
	return etag
}
