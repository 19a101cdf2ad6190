package instance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestIdentityOverLoopback(t *testing.T) {
	s := newService()
	id, err := s.serve(t, 0).Identity(t.Context())
	want := Identity{
		ID: "i-0123456789abcdef0", Region: "eu-central-1", AZ: "eu-central-1a", Type: "m7g.large",
		Image: "ami-0123456789abcdef0", Account: "123456789012", PrivateIP: "10.0.0.7",
	}
	if err != nil || id != want {
		t.Errorf("Identity = %+v, %v, want %+v", id, err, want)
	}
}

func TestEndpointFromTheEnvironment(t *testing.T) {
	server := httptest.NewServer(newService())
	defer server.Close()
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL)
	if id, err := New(Options{}).Identity(t.Context()); err != nil || id.ID != "i-0123456789abcdef0" {
		t.Errorf("Identity = %+v, %v", id, err)
	}
}

func TestNeverAProxy(t *testing.T) {
	proxied := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied++ }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	if proxy := newTransport().base.(*http.Transport).Proxy; proxy != nil {
		t.Error("the transport has a proxy function") // net/http spares loopback, so requests cannot show it
	}
	if _, err := newService().serve(t, 0).Identity(t.Context()); err != nil || proxied != 0 {
		t.Errorf("Identity = %v, %d requests through the proxy", err, proxied)
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	for _, method := range []string{put, get} {
		s := newService()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == method {
				http.Redirect(w, r, other.URL+"/?t="+r.Header.Get("X-Aws-Ec2-Metadata-Token"), http.StatusTemporaryRedirect)
				return
			}
			s.ServeHTTP(w, r)
		}))
		_, err := New(Options{Endpoint: server.URL}).Identity(t.Context())
		server.Close()
		if !errors.Is(err, ErrMalformed) || elsewhere != 0 {
			t.Errorf("%s redirected: %v, %d requests elsewhere, want ErrMalformed and none", method, err, elsewhere)
		}
		noSecret(t, err)
	}
}

// A listener that accepts and never answers looks like a hop limit of 1.
func TestHopLimitOverLoopback(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, err = New(Options{Endpoint: "http://" + listener.Addr().String(), Patience: 200 * time.Millisecond}).Identity(t.Context())
	if !errors.Is(err, ErrHopLimit) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Identity = %v, want ErrHopLimit", err)
	}
}

func TestConnectionRefused(t *testing.T) {
	_, err := New(Options{Endpoint: "http://user:must-not-leak@127.0.0.1:1", Patience: 200 * time.Millisecond}).Identity(t.Context())
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("Identity = %v, want ErrUnreachable", err)
	}
	noSecret(t, err)
}

// An answer that is not HTTP is not quoted: it may echo the token.
func TestAnswersThatAreNotHTTP(t *testing.T) {
	for _, answer := range []string{
		"%s\r\n\r\n", "HTTP/1.1 %s\r\n\r\n", "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
	} {
		s := newService()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == put {
				s.ServeHTTP(w, r)
				return
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = fmt.Fprintf(conn, answer, r.Header.Get("X-Aws-Ec2-Metadata-Token"))
			_ = conn.Close()
		}))
		_, err := New(Options{Endpoint: server.URL}).Identity(t.Context())
		server.Close()
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: Identity = %v, want ErrMalformed", answer, err)
		}
		noSecret(t, err)
	}
}

func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	s := newService()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == put {
			s.ServeHTTP(w, r)
			return
		}
		for chunk := make([]byte, 4096); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	if _, err := New(Options{Endpoint: server.URL}).Identity(t.Context()); !errors.Is(err, ErrMalformed) {
		t.Errorf("Identity = %v, want ErrMalformed", err)
	}
}

// With a connection per request no answer can contain the beginning of the next.
func TestEachRequestHasItsOwnConnection(t *testing.T) {
	s := newService()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(s)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	m := New(Options{Endpoint: server.URL})
	for range 3 {
		if state, err := m.TargetState(t.Context()); err != nil || state != "InService" {
			t.Errorf("TargetState = %q, %v", state, err)
		}
	}
	if n := connections.Load(); n != 4 {
		t.Errorf("%d connections for a token and three answers, want 4", n)
	}
}
