package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"koboshi/agent/awstest/s3"
)

// start runs an S3 with "hello world" at b/k behind a script.
func start(t *testing.T) (*s3.Store, *Script, *Calls, *httptest.Server) {
	t.Helper()
	fake, calls := s3.New(time.Now), new(Calls)
	fake.Put("b", "k", []byte("hello world"))
	script := New(time.Now, calls)
	server := httptest.NewServer(script.Wrap("s3", s3.Describe, s3.WriteError, fake))
	t.Cleanup(server.Close)
	t.Cleanup(script.Clear)
	return fake, script, calls, server
}

// fetch reads b/k, or part of it, on a connection of its own.
func fetch(t *testing.T, server *httptest.Server, span string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/b/k", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256")
	req.Header.Set("Range", span)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestEffects(t *testing.T) {
	_, script, calls, server := start(t)
	huge := strings.Repeat("x", paceChunk+10)
	for _, c := range []struct {
		name   string
		fault  Fault
		span   string
		status int
		header map[string]string
		body   string
		err    error
	}{
		{"none", Fault{Service: "imds", Status: 500}, "", 200, map[string]string{"Content-Length": "11"}, "hello world", nil},
		{"body", Fault{Body: "<html>"}, "", 200, nil, "<html>", nil},
		{"status and body", Fault{Status: 502, Body: "bad"}, "", 502, nil, "bad", nil},
		{"redirect", Fault{Status: 302, Header: map[string]string{"Location": ""}}, "", 302, nil, "", nil},
		{"retry after", Fault{Status: 503, Body: "slow", RetryAfter: "3600"}, "", 503, map[string]string{"Retry-After": "3600"}, "slow", nil},
		{"header", Fault{Header: map[string]string{"Content-Encoding": "br", "ETag": ""}}, "", 200, map[string]string{"Content-Encoding": "br", "ETag": ""}, "hello world", nil},
		{"wrong range", Fault{Header: map[string]string{"Content-Range": "bytes 5-6/11"}}, "bytes=0-1", 206, map[string]string{"Content-Range": "bytes 5-6/11"}, "he", nil},
		{"range ignored", Fault{IgnoreRange: true}, "bytes=0-1", 200, map[string]string{"Content-Range": ""}, "hello world", nil},
		{"first bit", Fault{Corrupt: new(int64(0))}, "", 200, nil, "iello world", nil},
		{"last bit", Fault{Corrupt: new(int64(10))}, "", 200, nil, "hello worle", nil},
		{"bit beyond", Fault{Corrupt: new(int64(11))}, "", 200, nil, "hello world", nil},
		{"bit of a range", Fault{Corrupt: new(int64(0))}, "bytes=1-2", 206, nil, "dl", nil},
		{"longer", Fault{ExtraBytes: 3}, "", 200, map[string]string{"Content-Length": "14"}, "hello worldxxx", nil},
		{"much longer", Fault{ExtraBytes: paceChunk + 10}, "", 200, nil, "hello world" + huge, nil},
		{"cut", Fault{Cut: 4}, "", 200, map[string]string{"Content-Length": "11"}, "hell", io.ErrUnexpectedEOF},
		{"cut at the end", Fault{Cut: 11}, "", 200, nil, "hello world", nil},
		{"cut in a range", Fault{Cut: 1}, "bytes=6-", 206, nil, "w", io.ErrUnexpectedEOF},
		{"cut without a length", Fault{Cut: 4, Header: map[string]string{"Content-Length": ""}}, "", 200, nil, "hell", io.ErrUnexpectedEOF},
		{"reset", Fault{Reset: true}, "", 0, nil, "", syscall.ECONNRESET},
		{"reset later", Fault{ResetAfter: 4}, "", 200, map[string]string{"Content-Length": "11"}, "hell", syscall.ECONNRESET},
		{"paced", Fault{BytesPerSecond: 1 << 30}, "", 200, nil, "hello world", nil},
		{"paced and cut", Fault{BytesPerSecond: 1000, Cut: 4}, "", 200, nil, "hell", io.ErrUnexpectedEOF},
	} {
		calls.Reset()
		id := script.Add(c.fault)
		resp, body, err := fetch(t, server, c.span)
		if !errors.Is(err, c.err) || body != c.body {
			t.Errorf("%s: %.40q, %v; want %.40q, %v", c.name, body, err, c.body, c.err)
		}
		if c.status != 0 && (resp == nil || resp.StatusCode != c.status) {
			t.Errorf("%s: answer %v, want %d", c.name, resp, c.status)
		}
		for name, want := range c.header {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", c.name, name, got, want)
			}
		}
		if all := calls.All(); len(all) != 1 || all[0].Status != c.status || all[0].Bytes != int64(len(c.body)) || all[0].Range != c.span {
			t.Errorf("%s: logged as %+v", c.name, all)
		}
		if !script.Remove(id) {
			t.Errorf("%s: fault %d was not there", c.name, id)
		}
	}
}

func TestErrorsInTheServicesFormat(t *testing.T) {
	_, script, _, server := start(t)
	client := sdkClient(server)
	get := func() error {
		_, err := client.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
		return err
	}
	script.Add(Fault{Status: 503, Code: "SlowDown", Message: "Please reduce your request rate.", Times: 1})
	wantCode(t, get(), "SlowDown")
	wantCode(t, get(), "")

	script.Add(Fault{Code: "InternalError", Times: 1})
	resp, body, err := fetch(t, server, "")
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(body, "<Error><Code>InternalError</Code>") {
		t.Errorf("200 with an error: %d %q, %v", resp.StatusCode, body, err)
	}
	// The SDK reads such an answer to CompleteMultipartUpload as an error.
	script.Add(Fault{Operation: "CompleteMultipartUpload", Code: "InternalError"})
	_, err = client.CompleteMultipartUpload(t.Context(), &sdk.CompleteMultipartUploadInput{
		Bucket: aws.String("b"), Key: aws.String("k"), UploadId: aws.String("any"),
	})
	wantCode(t, err, "InternalError")
}

func TestDoesNothingUnlessApplied(t *testing.T) {
	fake, script, _, server := start(t)
	client := sdkClient(server)
	put := func(key string) error {
		_, err := client.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: aws.String("b"), Key: &key, Body: strings.NewReader("x")})
		return err
	}
	for i, c := range []struct {
		fault  Fault
		stored bool
	}{
		{Fault{Status: 500}, false},
		{Fault{Status: 500, Applied: true}, true},
		{Fault{Reset: true}, false},
		{Fault{Reset: true, Applied: true}, true},
	} {
		id, key := script.Add(c.fault), "new"+strconv.Itoa(i)
		if err := put(key); err == nil {
			t.Errorf("%+v: no error", c.fault)
		}
		if _, stored := fake.Object("b", key); stored != c.stored {
			t.Errorf("%+v: stored: %v", c.fault, stored)
		}
		script.Remove(id)
	}
}

// TestTakesInTheRequest: a client that is still sending when the answer
// comes and the connection closes sees a broken pipe, and sometimes no answer.
func TestTakesInTheRequest(t *testing.T) {
	script := New(time.Now, new(Calls))
	script.Add(Fault{Status: 503})
	body := strings.NewReader(strings.Repeat("x", 1<<20))
	w := httptest.NewRecorder()
	alwaysOK(script).ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/b/k", body))
	if w.Code != http.StatusServiceUnavailable || body.Len() != 0 {
		t.Errorf("status %d with %d bytes unread", w.Code, body.Len())
	}
}

func TestSelectors(t *testing.T) {
	call := &Call{Service: "imds", Operation: "GET /x", Path: "/latest/meta-data/tags/instance/Name", Instance: "i-1"}
	for _, c := range []struct {
		fault Fault
		want  bool
	}{
		{Fault{}, true},
		{Fault{Service: "imds"}, true},
		{Fault{Service: "s3"}, false},
		{Fault{Operation: "GET /x"}, true},
		{Fault{Operation: "GET"}, false},
		{Fault{Path: "tags/instance"}, true},
		{Fault{Path: "spot"}, false},
		{Fault{Instance: "i-1"}, true},
		{Fault{Instance: "i-12"}, false},
		{Fault{Service: "imds", Operation: "GET /x", Path: "Name", Instance: "i-1"}, true},
		{Fault{Service: "imds", Operation: "GET /x", Path: "Name", Instance: "i-2"}, false},
	} {
		if got := c.fault.matches(call); got != c.want {
			t.Errorf("%+v matches: %v", c.fault, got)
		}
	}
}

// statuses sends n requests and returns what they were answered with.
func statuses(handler http.Handler, n int) (got []int) {
	for range n {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/b/k", nil))
		got = append(got, w.Code)
	}
	return got
}

// alwaysOK is a service without errors of its own.
func alwaysOK(script *Script) http.Handler {
	describe := func(*http.Request) (string, string) { return "Op", "i-1" }
	fail := func(w http.ResponseWriter, _ *http.Request, status int, _, _ string) { w.WriteHeader(status) }
	return script.Wrap("any", describe, fail, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "0123456789")
	}))
}

func TestScript(t *testing.T) {
	for _, c := range []struct {
		name   string
		script []Fault
		want   []int
		hits   []int
	}{
		{"lasting", []Fault{{Status: 500}}, []int{500, 500, 500, 500, 500}, []int{5}},
		{"twice", []Fault{{Status: 500, Times: 2}}, []int{500, 500, 200, 200, 200}, []int{2}},
		{"later", []Fault{{Status: 500, Skip: 1, Times: 2}}, []int{200, 500, 500, 200, 200}, []int{2}},
		{"one after the other", []Fault{{Status: 500, Times: 1}, {Status: 404, Times: 2}}, []int{500, 404, 404, 200, 200}, []int{1, 2}},
		{"the first has it", []Fault{{Status: 500}, {Status: 404}}, []int{500, 500, 500, 500, 500}, []int{5, 0}},
		{"combined", []Fault{{Header: map[string]string{"X": "y"}}, {Status: 404, Times: 1}}, []int{404, 200, 200, 200, 200}, []int{5, 1}},
	} {
		script := New(time.Now, new(Calls))
		for _, f := range c.script {
			script.Add(f)
		}
		if got := statuses(alwaysOK(script), 5); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		for i, state := range script.List() {
			if state.ID != i+1 || state.Hits != c.hits[i] {
				t.Errorf("%s: %+v, want %d hits", c.name, state, c.hits[i])
			}
		}
	}
}

func TestCombineOutermostFirst(t *testing.T) {
	script := New(time.Now, new(Calls))
	script.Add(Fault{Corrupt: new(int64(1))})
	script.Add(Fault{ExtraBytes: 1})
	script.Add(Fault{Corrupt: new(int64(10)), Header: map[string]string{"X": "y"}})
	w := httptest.NewRecorder()
	alwaysOK(script).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Body.String() != "0023456789x" || w.Header().Get("X") != "y" {
		t.Errorf("%q %v", w.Body, w.Header())
	}
}

func TestPercent(t *testing.T) {
	run := func() []int {
		script := New(time.Now, new(Calls))
		script.Add(Fault{Status: 500, Percent: 30})
		return statuses(alwaysOK(script), 1000)
	}
	first := run()
	failed := 0
	for _, status := range first {
		if status == 500 {
			failed++
		}
	}
	if failed < 250 || failed > 350 {
		t.Errorf("%d of 1000 failed, want about 300", failed)
	}
	if !slices.Equal(first, run()) {
		t.Error("another run failed others")
	}
}

func TestRemoveAndClear(t *testing.T) {
	script := New(time.Now, new(Calls))
	a, b := script.Add(Fault{Status: 500}), script.Add(Fault{Status: 404})
	if script.Remove(99) || !script.Remove(a) || script.Remove(a) {
		t.Error("Remove reports what is not so")
	}
	if got := script.List(); len(got) != 1 || got[0].ID != b {
		t.Errorf("left: %+v", got)
	}
	if got := statuses(alwaysOK(script), 1); got[0] != 404 {
		t.Errorf("status %d", got[0])
	}
	script.Clear()
	if got := statuses(alwaysOK(script), 1); got[0] != 200 || len(script.List()) != 0 {
		t.Errorf("after Clear: %d, %+v", got[0], script.List())
	}
	if c := script.Add(Fault{}); c == a || c == b {
		t.Errorf("id %d was given again", c)
	}
}

func TestHangEndsWithTheFaultOrTheClient(t *testing.T) {
	_, script, calls, server := start(t)
	script.Add(Fault{Hang: true})
	failed := make(chan error, 1)
	go func() {
		_, _, err := fetch(t, server, "")
		failed <- err
	}()
	if err := calls.Await(t.Context(), "s3", "GetObject", 1); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		t.Fatalf("answered while hanging: %v", err)
	default:
	}
	script.Clear()
	if err := <-failed; !errors.Is(err, io.EOF) {
		t.Errorf("after Clear: %v, want the connection closed", err)
	}

	script.Add(Fault{Hang: true})
	ctx, leave := context.WithCancel(t.Context())
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/b/k", nil)
	leave()
	if !aborts(func() { server.Config.Handler.ServeHTTP(httptest.NewRecorder(), req) }) {
		t.Error("a request that hung was answered")
	}
}

// aborts reports whether do panics with http.ErrAbortHandler.
func aborts(do func()) (aborted bool) {
	defer func() {
		err, _ := recover().(error)
		aborted = errors.Is(err, http.ErrAbortHandler)
	}()
	do()
	return false
}

func TestAsJSON(t *testing.T) {
	const text = `{"service":"s3","operation":"GetObject","path":"web","skip":1,"times":2,"percent":50,"status":503,"code":"SlowDown",` +
		`"retry_after":"1","header":{"X":"y"},"delay":"1.5s","jitter":"20ms","bytes_per_second":90000000,"cut":5,"reset_after":6,"corrupt":0,"extra_bytes":7,"ignore_range":true,"held":true,"late":"1m","repeated":true,"date_skew":"-1h"}`
	var f Fault
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	if !f.Held || !f.Repeated || f.Late != Duration(time.Minute) || f.DateSkew != Offset(-time.Hour) {
		t.Errorf("%+v", f)
	}
	if f.Delay != Duration(1500*time.Millisecond) || *f.Corrupt != 0 || f.ResetAfter != 6 || f.Percent != 50 {
		t.Errorf("%+v", f)
	}
	back, err := json.Marshal(State{ID: 3, Fault: f, Hits: 1})
	if err != nil {
		t.Fatal(err)
	}
	var again State
	if err := json.Unmarshal(back, &again); err != nil || again.ID != 3 || again.Hits != 1 || fmt.Sprint(again.Delay, again.Jitter, again.Header, again.DateSkew) != "1.5s 20ms map[X:y] -1h0m0s" {
		t.Errorf("%s: %+v, %v", back, again, err)
	}
	if short, err := json.Marshal(Fault{Hang: true}); err != nil || string(short) != `{"hang":true}` {
		t.Errorf("%s, %v", short, err)
	}
	for _, bad := range []string{`{"delay":"soon"}`, `{"delay":"-1s"}`, `{"delay":5}`, `{"late":"-1s"}`, `{"date_skew":"late"}`} {
		if err := json.Unmarshal([]byte(bad), new(Fault)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
