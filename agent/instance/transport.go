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

// transport sends requests to the metadata service and checks the answers. An
// invalid answer is returned as a [failure], which also has whether the SDK's
// retryer may try again.
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

// Do implements [imds.HTTPClient]. A first 401 passes: the SDK answers it with
// a new token.
func (t *transport) Do(req *http.Request) (*http.Response, error) {
	trail := trailOf(req.Context())
	trail.asked = true
	resp, failed := t.try(req)
	if failed == nil {
		return resp, nil
	}
	trail.note(req.Context(), failed)
	if resp != nil && resp.StatusCode == http.StatusUnauthorized && trail.renewToken() {
		return resp, nil
	}
	return nil, failed
}

// try sends a request once. It uses a RoundTripper because that never follows a
// redirect.
func (t *transport) try(req *http.Request) (*http.Response, *failure) {
	ctx, cancel := context.WithTimeout(req.Context(), tryTimeout)
	defer cancel()
	connected := false
	resp, err := t.base.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})))
	if err == nil {
		return resp, judge(req, resp)
	}
	failed := broken(req, err)
	if connected && req.Method == http.MethodPut && failed.detail == timedOut {
		failed.kind = ErrHopLimit
	}
	return nil, failed
}

const timedOut = "timed out"

// broken explains a request that got no answer, or half of one. Only an error of
// the network is included: an error of HTTP quotes what the other side sent.
func broken(req *http.Request, err error) *failure {
	f := &failure{request: describe(req), kind: ErrUnreachable, again: true}
	network, isNetwork := errors.AsType[*net.OpError](err)
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case isTimeout && timeout.Timeout():
		f.detail = timedOut
	case isNetwork:
		f.detail = network.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.detail = "the connection was closed"
	case errors.Is(err, context.Canceled):
		f.detail = "given up"
	default:
		f.kind, f.detail, f.again = ErrMalformed, "not HTTP", false
	}
	return f
}

// judge reads a response's body within the limit and returns nil for a valid
// answer. The body is never part of a failure.
func judge(req *http.Request, resp *http.Response) *failure {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return broken(req, err)
	}
	f := &failure{request: describe(req), detail: fmt.Sprintf("status %d", resp.StatusCode)}
	switch status := resp.StatusCode; {
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
