package control

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/imds"
)

func FuzzControl(f *testing.F) {
	f.Add("groups", `{"name":"web","hooks":[{"name":"up","transition":"launching"}]}`)
	f.Add("instances", `{"tags":{"a":"b"},"pending_for":"1s"}`)
	f.Add("faults", `{"service":"s3","delay":"1h"}`)
	f.Fuzz(func(t *testing.T, kind, content string) {
		r, err := http.NewRequest(http.MethodPost, "/", strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case "groups":
			roundTrip[autoscaling.Group](t, r)
		case "instances":
			roundTrip[autoscaling.LaunchOptions](t, r)
		default:
			roundTrip[imds.Switches](t, r)
		}
	})
}

// roundTrip reads, writes and reads again, with the same result.
func roundTrip[T any](t *testing.T, r *http.Request) {
	v, err := readJSON[T](r)
	if err != nil {
		return
	}
	w := &bodyWriter{header: http.Header{}}
	writeJSON(w, http.StatusOK, v)
	r.Body = io.NopCloser(strings.NewReader(w.String()))
	again, err := readJSON[T](r)
	if err != nil {
		t.Fatalf("%s: %v", w.String(), err)
	}
	second := &bodyWriter{header: http.Header{}}
	writeJSON(second, http.StatusOK, again)
	if second.String() != w.String() {
		t.Errorf("got  %s\nwant %s", second, w)
	}
}

type bodyWriter struct {
	strings.Builder
	header http.Header
}

func (w *bodyWriter) Header() http.Header { return w.header }
func (w *bodyWriter) WriteHeader(int)     {}
