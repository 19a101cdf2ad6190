package awstest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Server is a loopback AWS: S3, Auto Scaling and STS at one URL, each
// instance's IMDS at its own, and the control endpoint under /_mock/.
type Server struct {
	now      func() time.Time
	addr     string
	imdsAddr string // default address of each instance's IMDS
	s3       *S3
	calls    Calls
	faults   *Faults
	scaling  *scaling
	url      string
	stop     func()
	tls      *tls.Config
	tlsURL   string
	tlsStop  func()
}

// Option changes a Server before it starts.
type Option func(*Server)

// WithClock gives the server another clock. Waits are still as long as the
// time package makes them: shift the clock, do not freeze it.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// WithAddr makes it listen elsewhere than on a free port of 127.0.0.1.
// Use an IP address: SDKs put the bucket's name before a host name.
func WithAddr(addr string) Option { return func(s *Server) { s.addr = addr } }

// WithIMDSAddr makes each instance's metadata service listen elsewhere than on
// a free port of 127.0.0.1, such as at the real 169.254.169.254:80 in a
// network namespace that has it. Only one instance at a time can.
func WithIMDSAddr(addr string) Option { return func(s *Server) { s.imdsAddr = addr } }

// WithTLS makes it listen for HTTPS as well, on a free port of 127.0.0.1, and
// prove itself with a certificate that names that address. See [Server.TLSURL].
func WithTLS(certificate tls.Certificate) Option {
	return func(s *Server) {
		s.tls = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
}

// Start returns a running Server, which the caller must Close.
func Start(options ...Option) (*Server, error) {
	s := &Server{now: time.Now, addr: "127.0.0.1:0", imdsAddr: "127.0.0.1:0"}
	for _, set := range options {
		set(s)
	}
	s.s3 = newS3(s.now)
	s.faults = newFaults(s.now, &s.calls)
	s.scaling = newScaling(s.now, s.boot)
	var err error
	if s.url, s.stop, err = listen(s.addr, nil, s.handler()); err != nil {
		return nil, fmt.Errorf("starting the mock: %w", err)
	}
	if s.tls == nil {
		return s, nil
	}
	if s.tlsURL, s.tlsStop, err = listen("127.0.0.1:0", s.tls, s.handler()); err != nil {
		s.stop()
		return nil, fmt.Errorf("starting the mock: %w", err)
	}
	return s, nil
}

// TB is what New needs of a testing.TB.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// New is Start for tests: it fails the test on an error and closes the server at its end.
func New(t TB, options ...Option) *Server {
	t.Helper()
	s, err := Start(options...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// listen serves at an address until stop, which frees the address before it
// returns. With a TLS configuration it speaks HTTPS, and as S3 only HTTP/1.1.
func listen(addr string, secure *tls.Config, handler http.Handler) (url string, stop func(), err error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", nil, err
	}
	url = "http://" + reachable(l.Addr())
	if secure != nil {
		url, l = "https://"+reachable(l.Addr()), tls.NewListener(l, secure)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // however it ends, clients see the refusal
	stop = func() {
		_ = l.Close() // Close alone would miss a listener that is not being served yet
		_ = server.Close()
	}
	return url, stop, nil
}

// reachable is an address for clients of a listener that may be bound to all.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return a.String()
}

// URL is where the APIs are, without a slash at the end.
func (s *Server) URL() string { return s.url }

// TLSURL is where the same APIs are by HTTPS, "" without [WithTLS].
func (s *Server) TLSURL() string { return s.tlsURL }

// S3 is the object store.
func (s *Server) S3() *S3 { return s.s3 }

// Faults is the script of what goes wrong, for every service.
func (s *Server) Faults() *Faults { return s.faults }

// Calls is the log of all requests but those to the control endpoint.
func (s *Server) Calls() *Calls { return &s.calls }

// Close stops everything. Requests under way are cut off.
func (s *Server) Close() {
	s.faults.Clear() // a request held up before its body was read would not notice the rest
	s.stop()
	if s.tlsStop != nil {
		s.tlsStop()
	}
	for _, i := range s.Instances() {
		i.stop()
	}
	s.scaling.close()
}

// handler sends each request to its service: the control endpoint by its path,
// the query APIs by their form, and all else to S3.
func (s *Server) handler() http.Handler {
	autoscaling, sts := newAutoScaling(s.scaling), newSTS()
	toAutoScaling := s.faults.Wrap("autoscaling", autoscaling.describe, autoscaling.fail, autoscaling)
	toSTS := s.faults.Wrap("sts", sts.describe, sts.fail, sts)
	toS3 := s.faults.Wrap("s3", describeS3BySigner, s3Error, s.s3)
	toControl := newControl(s)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, controlRoot):
			toControl.ServeHTTP(w, r)
		case !isQuery(r):
			toS3.ServeHTTP(w, r)
		case parseForm(w, r) != nil:
			autoscaling.fail(w, r, http.StatusBadRequest, "MalformedQueryString", "the body is not a form")
		case sts.actions[r.PostForm.Get("Action")] != nil:
			toSTS.ServeHTTP(w, r)
		default:
			toAutoScaling.ServeHTTP(w, r)
		}
	})
}

func isQuery(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == "/" &&
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

func parseForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	return r.ParseForm()
}

func describeS3BySigner(r *http.Request) (operation, instance string) {
	operation, _ = describeS3(r)
	return operation, signer(r)
}
