package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

// wayTo tells how a source is asked where that is not the usual way: at another
// endpoint than AWS has for its region, or by a proxy.
func wayTo(ctx context.Context, name string, source bucket.Reader) string {
	var way []string
	at := name
	if b, ok := source.(*s3.Bucket); ok {
		endpoint, usual, err := b.Endpoint(ctx)
		if err != nil {
			return "" // the request that follows says so
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
