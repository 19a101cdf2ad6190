package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"koboshi/agent/failure"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

// wayTo is how a source is reached where that is not the usual way: at another
// endpoint than AWS has for its region, or through a proxy.
func wayTo(ctx context.Context, name string, source bucket.Reader) string {
	var way []string
	at := name
	if b, ok := source.(*s3.Bucket); ok {
		endpoint, usual, err := b.Endpoint(ctx)
		if err != nil {
			return "" // the request that follows fails with the reason
		}
		if at = endpoint; !usual {
			way = append(way, "at "+endpoint)
		}
	}
	if proxy := proxyFor(at); proxy != "" {
		way = append(way, "by the proxy "+proxy)
	}
	return strings.Join(way, ", ")
}

// checkProxies refuses proxies that Go would silently ignore. The values may
// contain a password, so they are not quoted.
func checkProxies() error {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		value := os.Getenv(name)
		if value == "" || isProxy(value) || isProxy("http://"+value) && !strings.Contains(value, "://") {
			continue
		}
		return failure.WithHint(failure.Mark(fmt.Errorf("%s is not the address of a proxy", name), failure.ErrConfiguration),
			"set it to http://host:port, or unset it; on an instance it is in /etc/koboshi/environment")
	}
	return nil
}

func isProxy(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}

// proxyFor is the host of the proxy that the environment has for a URL, without
// its password; "" where there is none.
func proxyFor(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host
}
