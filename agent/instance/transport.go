package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

const (
	tryTimeout = 2 * time.Second // of one request, answer included
	maxAnswer  = 64 << 10        // bytes of one answer
	maxToken   = 1 << 10         // bytes of a token; today it has 56
)

// transport sends requests to the metadata service and judges the answers:
// what is no answer comes back as a [failure], which also says whether the
// SDK's retryer may try again.
type transport struct {
	base http.RoundTripper
}

// newTransport returns a transport without proxy. Each request has its own
// connection, so nothing left over from one answer is read as the next.
func newTransport() *transport {
	return &transport{base: &http.Transport{
		DialContext:            (&net.Dialer{Timeout: tryTimeout}).DialContext,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswer,
	}}
}

// Do implements [imds.HTTPClient]. It uses a RoundTripper because that never
// follows a redirect. A first 401 passes: the SDK answers it with a new token.
func (t *transport) Do(req *http.Request) (*http.Response, error) {
	trail := trailOf(req.Context())
	trail.asked = true
	ctx, cancel := context.WithTimeout(req.Context(), tryTimeout)
	defer cancel()
	connected := false
	resp, err := t.base.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})))
	var failed *failure
	if err != nil {
		failed = unanswered(req, err, connected)
	} else {
		failed = judge(req, resp)
	}
	if failed == nil {
		return resp, nil
	}
	trail.note(req.Context(), failed)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && trail.renewToken() {
		return resp, nil
	}
	return nil, failed
}

// unanswered explains a request that got no response.
func unanswered(req *http.Request, err error, connected bool) *failure {
	f := &failure{request: describe(req), kind: ErrUnreachable, detail: err.Error(), again: true}
	timeout, ok := errors.AsType[net.Error](err)
	if connected && req.Method == http.MethodPut && ok && timeout.Timeout() {
		f.kind, f.detail = ErrHopLimit, "timed out"
	}
	return f
}

// judge reads a response's body within the limit and returns nil for an
// answer. The body is never part of a failure.
func judge(req *http.Request, resp *http.Response) *failure {
	f := &failure{request: describe(req), detail: fmt.Sprintf("status %d", resp.StatusCode)}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	switch status := resp.StatusCode; {
	case err != nil:
		f.kind, f.detail, f.again = ErrUnreachable, "the answer broke off: "+err.Error(), true
	case len(body) > maxAnswer:
		f.kind, f.detail = ErrMalformed, fmt.Sprintf("more than %d bytes", maxAnswer)
	case status == http.StatusOK && req.Method == http.MethodPut && !isToken(body):
		f.kind, f.detail = ErrMalformed, "no token in the answer"
	case status == http.StatusOK:
		return nil
	case status == http.StatusForbidden:
		f.kind = ErrDisabled
	case status == http.StatusNotFound && req.Method == http.MethodGet:
		f.kind = errNotFound
	case status == http.StatusTooManyRequests || status >= 500:
		f.kind, f.again = ErrUnreachable, true
	default:
		f.kind = ErrMalformed
	}
	return f
}

// isToken reports whether a body can be sent back as a header's value.
func isToken(body []byte) bool {
	return len(body) > 0 && len(body) <= maxToken &&
		!bytes.ContainsFunc(body, func(r rune) bool { return r <= ' ' || r > '~' })
}

// describe names a request without its host, which may carry a password.
func describe(req *http.Request) string { return req.Method + " " + req.URL.Path }
