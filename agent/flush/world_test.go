package flush

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/agent/config"
)

// web is an HTTP server without a network, so that it works with synctest.
type web func(path string) (status int, body string)

func (w web) RoundTrip(req *http.Request) (*http.Response, error) {
	status, body := w(req.URL.Path)
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	header := http.Header{}
	if status/100 == 3 {
		header.Set("Location", "http://127.0.0.1/secret")
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// flusher is one of that kind, with the defaults of the configuration.
func flusher(t *testing.T, f config.Flush, deps Deps) *Flusher {
	t.Helper()
	if f.Timeout == 0 && f.Kind != config.FlushWait {
		f.Timeout = config.Duration(time.Minute)
	}
	if f.Kind == config.FlushMetrics && f.For == 0 {
		f.For = config.Duration(time.Second)
	}
	flusher, err := New("app", f, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(flusher.Close)
	return flusher
}

func expect(t *testing.T, got Answer, outcome Outcome, left, lost int64, note string) {
	t.Helper()
	if got.Outcome != outcome || got.Left != left || got.Lost != lost || !strings.Contains(got.Note, note) || strings.Contains(got.Note, "\n") {
		t.Errorf("answer %+v, want %s, %d left, %d lost, %q", got, outcome, left, lost, note)
	}
}

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func add(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// after runs f once that time is over; within a bubble of synctest only.
func after(d time.Duration, f func()) { time.AfterFunc(d, f) }

// limited is a context that ends after d.
func limited(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// transport answers each request by a function that may wait for its context.
type transport func(ctx context.Context) (string, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := f(req.Context())
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}
