package health

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"koboshi/artifacts"
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
	// URL is green when a GET is answered with one of Statuses. Redirects are not
	// followed, no proxy is used, https certificates must verify, and every try
	// has a connection of its own.
	URL      string
	Statuses artifacts.Statuses
	Host     string         // the Host header and the name for TLS; "" = that of the URL
	Roots    *x509.CertPool // what https certificates are verified with; nil = the machine's
	Insecure bool           // https certificates are not verified
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

// None reports whether there is nothing to ask.
func (p Probe) None() bool { return p.URL == "" && p.TCP == "" && p.Ask == nil }

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
		return p.probeURL()
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

func (p Probe) probeURL() (func(context.Context) error, error) {
	u, err := url.Parse(p.URL)
	if err != nil || artifacts.CheckProbeURL(p.URL) != nil {
		return nil, errors.New("health probe: the url must begin with http:// or https:// and a host")
	}
	client := p.httpClient()
	shown := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String() // without user and query
	return func(ctx context.Context) error {
		err := p.get(ctx, client)
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
func (p Probe) httpClient() *retryablehttp.Client {
	server, _, err := net.SplitHostPort(p.Host)
	if err != nil {
		server = p.Host
	}
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader, ForceAttemptHTTP2: true,
				TLSClientConfig: &tls.Config{ServerName: server, RootCAs: p.Roots, InsecureSkipVerify: p.Insecure}, //nolint:gosec // only where the operator says so
			},
		},
		CheckRetry: func(context.Context, *http.Response, error) (bool, error) { return false, nil },
	}
}

func (p Probe) get(ctx context.Context, client *retryablehttp.Client) error {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return err
	}
	req.Host = cmp.Or(p.Host, req.Host)
	req.Header.Set("User-Agent", "koboshi-health")
	resp, err := client.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err // the rest of its text is the whole URL
	}
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if !p.Statuses.Has(resp.StatusCode) {
		return &StatusError{Status: resp.StatusCode, Location: place(resp), Want: p.Statuses, Named: p.Host != ""}
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, MaxBody))
	return err
}

// StatusError is an answer with a status that was not wanted.
type StatusError struct {
	Status   int
	Location string // where a redirect leads, without user and query; "" = it is none
	Want     artifacts.Statuses
	Named    bool // the request had a Host header of its own
}

// Error reads "503 Service Unavailable, want 200-299" or "301 Moved Permanently
// to https://…, want 200-299".
func (e *StatusError) Error() string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status)))
	if e.Location != "" {
		text += " to " + e.Location
	}
	text += ", want " + e.Want.String()
	if e.WantsHost() {
		text += "; the app may want a Host header: health.host"
	}
	return text
}

// WantsHost reports whether it is how apps answer that accept only their own
// names: Django with 400, Rails with 403, proxies with 421.
func (e *StatusError) WantsHost() bool {
	return !e.Named && slices.Contains([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusMisdirectedRequest}, e.Status)
}

func place(resp *http.Response) string {
	u, err := resp.Location()
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
