package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"

	"github.com/rogpeppe/go-internal/testscript"
)

// quirks are deviations of stores and proxies from S3's API: in how they handle a
// request, and in the answer.
var quirks = map[string]struct {
	request func(*http.Request) (status int) // 0 = it goes on
	answer  func(*http.Response)
}{
	"no-conditions": {request: func(r *http.Request) int {
		if r.Method == http.MethodPut {
			r.Header.Del("If-Match")
			r.Header.Del("If-None-Match")
		}
		return 0
	}},
	"conditions-501": {request: func(r *http.Request) int {
		if r.Method == http.MethodPut && r.Header.Get("If-Match")+r.Header.Get("If-None-Match") != "" {
			return http.StatusNotImplemented
		}
		return 0
	}},
	"weak-etag": {
		request: func(r *http.Request) int {
			if r.Method == http.MethodGet && r.Header.Get("If-Match") != "" {
				return http.StatusPreconditionFailed
			}
			return 0
		},
		answer: func(r *http.Response) {
			if etag := r.Header.Get("ETag"); etag != "" {
				r.Header.Set("ETag", "W/"+etag)
			}
		},
	},
	"no-etag": {answer: func(r *http.Response) { r.Header.Del("ETag") }},
	"chunked-encoding": {answer: func(r *http.Response) {
		if r.Request.Method == http.MethodGet {
			r.Header.Set("Content-Encoding", "aws-chunked")
		}
	}},
}

// quirk NAME puts a store with a quirk in front of the loopback S3.
func quirk(ts *testscript.TestScript, _ bool, args []string) {
	q, known := quirks[args[0]]
	if !known {
		ts.Fatalf("no quirk %s", args[0])
	}
	upstream, err := url.Parse(of(ts).aws.URL())
	ts.Check(err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) }}
	forward.ModifyResponse = func(r *http.Response) error {
		if q.answer != nil {
			q.answer(r)
		}
		return nil
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q.request != nil {
			if status := q.request(r); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		forward.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("AWS_ENDPOINT_URL_S3", server.URL)
}
