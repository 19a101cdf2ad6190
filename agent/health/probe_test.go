package health

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// ask runs one try as the gate does, with a short limit.
func ask(t *testing.T, p Probe) error {
	t.Helper()
	probe, err := p.compile()
	if err != nil {
		t.Fatal(err)
	}
	return limited(t.Context(), p.timeout(), fmt.Errorf("no answer within %v", p.timeout()), probe)
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestURLStatus(t *testing.T) {
	tests := []struct {
		status int
		want   string // part of the error; "" is green
	}{
		{200, ""}, {204, ""}, {299, ""},
		{301, "301 Moved Permanently"}, {302, "302 Found"}, {307, "307"}, {304, "304"},
		{404, "404 Not Found"}, {500, "500"}, {503, "503 Service Unavailable"},
	}
	for _, test := range tests {
		var asked []string
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Method+" "+r.URL.Path)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(test.status)
		})
		checkError(t, ask(t, Probe{URL: url + "/healthz"}), test.want)
		if len(asked) != 1 || asked[0] != "GET /healthz" {
			t.Errorf("%d: asked for %v, want one GET /healthz", test.status, asked)
		}
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil {
		t.Errorf("red: %v", err)
	}
	if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

func TestURLOtherStatuses(t *testing.T) {
	answer := http.StatusNotFound
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(answer)
	})
	p := Probe{URL: url, Statuses: "204,301,404"}
	checkError(t, ask(t, p), "")
	answer = http.StatusMovedPermanently
	checkError(t, ask(t, p), "") // and it is not followed
	answer = http.StatusOK
	checkError(t, ask(t, p), "200 OK to "+url+"/elsewhere, want 204,301,404")
}

// An app such as Django's accepts its own names only.
func TestURLHost(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "www.example.com" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	checkError(t, ask(t, Probe{URL: url}), "400 Bad Request, want 200-299; the app may want a Host header: health.host")
	checkError(t, ask(t, Probe{URL: url, Host: "www.example.com"}), "")
	err := ask(t, Probe{URL: url, Host: "example.com"})
	checkError(t, err, "400 Bad Request, want 200-299")
	if strings.Contains(err.Error(), "may want") {
		t.Errorf("with a host of its own: %v", err)
	}
}

func TestURLFloods(t *testing.T) {
	endless := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, strings.Repeat("flood", 1000))
		}
	})
	checkError(t, ask(t, Probe{URL: endless}), "")

	headers := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Flood", strings.Repeat("x", 2*maxHeader))
	})
	checkError(t, ask(t, Probe{URL: headers}), "header")
}

func TestURLHangs(t *testing.T) {
	silent := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	checkError(t, ask(t, Probe{URL: silent + "/h", Timeout: 50 * time.Millisecond}), silent+"/h: no answer within 50ms")

	stalls := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	checkError(t, ask(t, Probe{URL: stalls, Timeout: 50 * time.Millisecond}), "no answer within 50ms")
}

func TestURLBreaksOff(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "only this")
	})
	checkError(t, ask(t, Probe{URL: url}), "unexpected EOF")
}

// A process that is being replaced must not go on answering over a connection
// from before.
func TestURLConnectsAnew(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	probe, err := Probe{URL: server.URL}.compile()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(probe(t.Context()), probe(t.Context())); err != nil || connections.Load() != 2 {
		t.Errorf("%d connections for 2 tries (%v)", connections.Load(), err)
	}
}

// net/http looks at the environment once in a process, so that is set for all
// tests: a proxy at an address where none can be.
func TestMain(m *testing.M) {
	_ = os.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	os.Exit(m.Run())
}

// 0.0.0.0 leads to this machine but, unlike localhost, is not exempt from proxies.
func TestURLUsesNoProxy(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	checkError(t, ask(t, Probe{URL: strings.Replace(url, "127.0.0.1", "0.0.0.0", 1)}), "")
}

// The test server's certificate is for example.com and 127.0.0.1.
func TestURLCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.ServerName)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for _, tt := range []struct {
		name  string
		probe Probe
		want  string
	}{
		{"the machine's authorities", Probe{}, "certificate signed by unknown authority"},
		{"no authority", Probe{Roots: x509.NewCertPool()}, "certificate signed by unknown authority"},
		{"its authority", Probe{Roots: roots}, ""},
		{"its authority and name", Probe{Roots: roots, Host: "example.com"}, ""},
		{"its authority and name, with a port", Probe{Roots: roots, Host: "example.com:8443"}, ""},
		{"another name", Probe{Roots: roots, Host: "web.internal"}, "not web.internal"},
		{"not verified", Probe{Insecure: true, Host: "web.internal"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.probe.URL = server.URL
			checkError(t, ask(t, tt.probe), tt.want)
		})
	}
}

func TestURLErrorsHideSecrets(t *testing.T) {
	url := "http://user:hunter2@127.0.0.1:1/healthz?token=hunter2"
	err := ask(t, Probe{URL: url})
	checkError(t, err, "/healthz: dial tcp")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("secret in %q", err)
	}
}

func TestTCP(t *testing.T) {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listen.Close() }()
	checkError(t, ask(t, Probe{TCP: listen.Addr().String()}), "")
	checkError(t, ask(t, Probe{TCP: "127.0.0.1:1"}), "refused")

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("cut"))
	checkError(t, probeTCP(ctx, listen.Addr().String()), "cut")
}

func TestAskingProbe(t *testing.T) {
	answer := errors.New("not yet")
	p := Probe{Ask: func(ctx context.Context) error {
		if _, limited := ctx.Deadline(); !limited {
			return errors.New("asked without a limit")
		}
		return answer
	}, Timeout: time.Minute}
	checkError(t, ask(t, p), "not yet")
	answer = nil
	checkError(t, ask(t, p), "")
}

func TestProbeMustBeOne(t *testing.T) {
	tests := []Probe{
		{},
		{URL: "http://127.0.0.1", TCP: "127.0.0.1:80"},
		{TCP: "127.0.0.1:80", Ask: func(context.Context) error { return nil }},
		{URL: "127.0.0.1:80/healthz"},
		{URL: "file:///etc/passwd"},
		{URL: "http://"},
	}
	for _, probe := range tests {
		if _, err := (Gate{Probe: probe}).Wait(t.Context(), &app{}); err == nil || errors.Is(err, ErrUnhealthy) {
			t.Errorf("%+v: got %v, want an error about the probe", probe, err)
		}
	}
}

func TestAddress(t *testing.T) {
	tests := map[string]Probe{
		"127.0.0.1:8080": {URL: "http://127.0.0.1:8080/healthz"},
		"localhost:80":   {URL: "http://localhost"},
		"[::1]:443":      {URL: "https://user@[::1]/"},
		"[::1]:8443":     {URL: "https://[::1]:8443/"},
		":9000":          {TCP: ":9000"},
		"":               {Ask: func(context.Context) error { return nil }},
	}
	for want, probe := range tests {
		if got := probe.address(); got != want {
			t.Errorf("address of %+v: %q, want %q", probe, got, want)
		}
	}
}
