package health

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
)

const (
	// DefaultProbeTimeout is the timeout of one try where Probe.Timeout is 0.
	DefaultProbeTimeout = 5 * time.Second
	// MaxBody is how much of an answer is read, in bytes.
	MaxBody = 64 << 10

	maxHeader = 64 << 10
)

// Probe is one check of the app: exactly one of URL, TCP and Ask.
type Probe struct {
	// URL is green when a GET is answered with a 2xx. Redirects are red, no
	// proxy is used, https certificates must verify, and every try has a
	// connection of its own.
	URL string
	// TCP is green when a connection to host:port is accepted. The kernel
	// accepts it even for a process that hangs, so a URL proves more.
	TCP string
	// Ask is green when it returns nil. It is how a health command is run, as the
	// app's user: package service does.
	Ask func(context.Context) error
	// Timeout is for one try; 0 is DefaultProbeTimeout.
	Timeout time.Duration
}

func (p Probe) timeout() time.Duration {
	if p.Timeout > 0 {
		return p.Timeout
	}
	return DefaultProbeTimeout
}

// Check reports an address that no try could ask: a URL other than
// http://host/path, or a TCP address without a port.
func (p Probe) Check() error {
	if p.TCP != "" {
		if _, _, err := net.SplitHostPort(p.TCP); err != nil {
			return errors.New("want host:port")
		}
	}
	if _, ok := parseURL(p.URL); p.URL != "" && !ok {
		return errors.New("want http:// or https:// and a host")
	}
	return nil
}

func parseURL(address string) (*url.URL, bool) {
	u, err := url.Parse(address)
	return u, err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// compile makes one try of the probe.
func (p Probe) compile() (func(context.Context) error, error) {
	kinds := 0
	for _, given := range []bool{p.URL != "", p.TCP != "", p.Ask != nil} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return nil, errors.New("health probe: exactly one of url, tcp and command is needed")
	case p.Ask != nil:
		return p.Ask, nil
	case p.URL != "":
		return probeURL(p.URL)
	}
	return func(ctx context.Context) error { return probeTCP(ctx, p.TCP) }, nil
}

// address is the host:port that the probe asks; "" for a command.
func (p Probe) address() string {
	u, err := url.Parse(p.URL)
	switch {
	case p.URL == "" || err != nil:
		return p.TCP
	case u.Port() != "":
		return u.Host
	case u.Scheme == "https":
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

func probeTCP(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err == nil {
		return conn.Close()
	}
	if ctx.Err() != nil {
		return fmt.Errorf("dial tcp %s: %w", addr, context.Cause(ctx))
	}
	return err
}

func probeURL(address string) (func(context.Context) error, error) {
	u, ok := parseURL(address)
	if !ok {
		return nil, errors.New("health probe: the url must begin with http:// or https:// and a host")
	}
	client := httpClient()
	shown := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String() // without user and query
	return func(ctx context.Context) error {
		err := get(ctx, client, address)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx) // a dialler only says "i/o timeout"
		}
		if err != nil {
			return fmt.Errorf("GET %s: %w", shown, err)
		}
		return nil
	}, nil
}

// httpClient never repeats a request: only the gate's loop does.
func httpClient() *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader},
		},
		CheckRetry: func(context.Context, *http.Response, error) (bool, error) { return false, nil },
	}
}

func get(ctx context.Context, client *retryablehttp.Client, address string) error {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "koboshi-health")
	resp, err := client.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err // the rest of its text is the whole URL
	}
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &StatusError{Status: resp.StatusCode, Location: place(resp)}
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, MaxBody))
	return err
}

// StatusError is an answer that is not 2xx.
type StatusError struct {
	Status   int
	Location string // where a redirect leads, without user and query; "" = it is none
}

// Error reads "503 Service Unavailable" or "301 Moved Permanently to https://…".
func (e *StatusError) Error() string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status)))
	if e.Location != "" {
		text += " to " + e.Location
	}
	return text
}

func place(resp *http.Response) string {
	u, err := resp.Location()
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
