package flush

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/hashicorp/go-retryablehttp"
)

// getter returns the body of a GET.
type getter func(ctx context.Context, address string) ([]byte, error)

// newClient follows no redirect, repeats nothing, and reads at most 1 MiB.
func newClient(transport http.RoundTripper) getter {
	if transport == nil {
		transport = &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10}
	}
	client := &retryablehttp.Client{
		HTTPClient: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     transport,
		},
		CheckRetry: func(context.Context, *http.Response, error) (bool, error) { return false, nil },
	}
	return func(ctx context.Context, address string) ([]byte, error) {
		body, err := get(ctx, client, address)
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // the rest of its text is the whole address, with what may be secret in it
		}
		if err != nil {
			return nil, fmt.Errorf("GET %s: %w", shown(address), err)
		}
		return body, nil
	}
}

func get(ctx context.Context, client *retryablehttp.Client, address string) ([]byte, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "koboshi-flush")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxState+1))
	if err == nil && len(body) > maxState {
		err = errors.New("the answer is larger than 1 MiB")
	}
	return body, err
}

// shown is an address without user and query.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the url"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
