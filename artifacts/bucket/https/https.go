// Package https is a read-only bucket over plain HTTP: any server or CDN that
// answers ranges.
//
// A request is repeated on lost connections, 429 and 5xx (RFC 9110), until the
// head of its answer is there; bodies never. That is the one retry layer of
// such a source.
package https

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
	"koboshi/artifacts/pace"
)

// How a request is repeated until its answer begins. A server's Retry-After
// is honoured up to maxWait: it must not decide how long a boot takes.
const (
	retries      = 7
	minWait      = 200 * time.Millisecond
	maxWait      = 5 * time.Second
	maxRedirects = 3
)

// Limits of the connections.
const (
	connectionsPerHost = 64 // for parallel ranges; each has a congestion window of its own
	connectTimeout     = 5 * time.Second
	headTimeout        = 15 * time.Second // from the request to the head of its answer
)

var errRedirect = errors.New("redirected to another host or scheme, or too often")

// Site is a [bucket.Reader] of the objects beneath a URL.
type Site struct {
	base   *url.URL
	client *retryablehttp.Client
	jitter pace.Jitter
}

var _ bucket.Reader = (*Site)(nil)

// New reads what is beneath base, an https:// URL; http:// is for loopback
// addresses only. Userinfo and query of base are sent with every request and
// appear in no error. Redirects are followed three times, to the same scheme
// and host. The pauses between the tries of a request follow from seed.
//
// client sends the requests; nil stands for one that fits: HTTP/1.1, so that
// connections are parallel, and proxies from the environment.
func New(base, seed string, client *http.Client) (*Site, error) {
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
	s := &Site{base: u, jitter: pace.Jitter{Seed: seed}}
	s.client = &retryablehttp.Client{
		HTTPClient:   &once,
		RetryMax:     retries,
		RetryWaitMin: minWait,
		RetryWaitMax: maxWait,
		CheckRetry:   checkRetry,
		Backoff:      s.backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return s, nil
}

// Get implements [bucket.Reader] with GET, Range, If-Match and If-None-Match.
func (s *Site) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	u := s.base.JoinPath((&url.URL{Path: key}).EscapedPath()) // a key is no URL: its % is one
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

func (s *Site) do(ctx context.Context, u *url.URL, r bucket.Range) (*http.Response, error) {
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	request.Header.Set("Accept-Encoding", "identity") // the signed bytes are the stored ones
	if !r.Whole() {
		request.Header.Set("Range", r.Header())
	}
	if r.ETag != "" {
		request.Header.Set("If-Match", r.ETag)
	}
	if r.Unless != "" {
		request.Header.Set("If-None-Match", r.Unless)
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

// backoff is the pause before a request is repeated; one that the server asks
// for is capped.
func (s *Site) backoff(least, most time.Duration, n int, answer *http.Response) time.Duration {
	asked := retryablehttp.DefaultBackoff(least, most, n, answer) // knows Retry-After
	return pace.Scatter(min(asked, most), s.jitter.Next())
}

func newTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    2 * connectTimeout,
		ResponseHeaderTimeout:  headTimeout,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    connectionsPerHost,
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

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// redact leaves of a URL what may be in a log.
func redact(u *url.URL) string {
	return strings.TrimSuffix((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), "/")
}
