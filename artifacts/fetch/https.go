package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"koboshi/artifacts/bucket"
)

// How a request is repeated until its answer begins. A server's Retry-After
// is honoured up to maxPause: it must not decide how long a boot takes.
const (
	requestRetries = 7
	requestMinWait = 200 * time.Millisecond
	maxRedirects   = 3
	headTimeout    = 15 * time.Second // from the request to the head of its answer
)

var errRedirect = errors.New("redirected to another host or scheme, or too often")

// httpSource is a Source over plain HTTP ranges.
type httpSource struct {
	base   *url.URL
	client *retryablehttp.Client
}

// HTTPS is a [bucket.Reader] of the objects beneath base, an https:// URL;
// http:// is for loopback addresses only. Userinfo and query of base go with
// every request and into no error. Redirects are followed three times, to the
// same scheme and host.
//
// client carries the requests; nil stands for one that fits: HTTP/1.1, so that
// connections are parallel, and proxies from the environment. Requests are
// repeated on connection errors, 429 and 5xx (RFC 9110), bodies never.
func HTTPS(base string, client *http.Client) (bucket.Reader, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("source: not a URL") // whose text would be in the error
	}
	if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("source %s: want https:// and a host", redact(u))
	}
	if client == nil {
		client = &http.Client{Transport: newTransport()}
	}
	once := *client
	once.CheckRedirect = checkRedirect
	return &httpSource{base: u, client: &retryablehttp.Client{
		HTTPClient:   &once,
		RetryMax:     requestRetries,
		RetryWaitMin: requestMinWait,
		RetryWaitMax: maxPause,
		CheckRetry:   checkRetry,
		Backoff:      backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}}, nil
}

// Get implements [bucket.Reader] with GET, Range and If-Match.
func (s *httpSource) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	u := s.base.JoinPath(key)
	answer, err := s.do(ctx, u, r)
	if err != nil {
		return nil, bucket.Object{}, fmt.Errorf("GET %s: %w", redact(u), err)
	}
	object, err := readHead(answer, key, r)
	if err != nil {
		_ = answer.Body.Close() // unread
		return nil, bucket.Object{}, fmt.Errorf("GET %s: %w", redact(u), err)
	}
	return answer.Body, object, nil
}

func (s *httpSource) do(ctx context.Context, u *url.URL, r bucket.Range) (*http.Response, error) {
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	request.Header.Set("Accept-Encoding", "identity") // the signed bytes are the stored ones
	if r.Offset > 0 || r.Length > 0 {
		request.Header.Set("Range", rangeHeader(r))
	}
	if r.ETag != "" {
		request.Header.Set("If-Match", r.ETag)
	}
	answer, err := s.client.Do(request)
	if err == nil {
		return answer, nil
	}
	if answer != nil {
		_ = answer.Body.Close() // unread
	}
	if outer, ok := errors.AsType[*url.Error](err); ok { // its text has the whole URL
		err = outer.Err
	}
	return nil, err
}

// newTransport has a connection for every worker of a download.
func newTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  headTimeout,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    2 * maxWorkers,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         64 << 10,
		Protocols:              protocols,
	}
}

func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return errRedirect
	}
	return nil
}

func checkRetry(ctx context.Context, answer *http.Response, err error) (bool, error) {
	if errors.Is(err, errRedirect) {
		return false, err
	}
	return retryablehttp.DefaultRetryPolicy(ctx, answer, err)
}

// backoff doubles and scatters the pause; what a server asks for is capped.
func backoff(least, most time.Duration, n int, answer *http.Response) time.Duration {
	wait := retryablehttp.DefaultBackoff(least, most, n, answer)
	return scatter(min(wait, most))
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// redact leaves of a URL what may be in a log.
func redact(u *url.URL) string {
	return strings.TrimSuffix((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), "/")
}
