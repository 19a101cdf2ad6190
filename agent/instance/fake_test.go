package instance

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	secretToken = "TOKEN-that-must-not-leak=="
	secretKey   = "KEY-that-must-not-leak"
	document    = `{
  "accountId" : "123456789012", "architecture" : "arm64", "availabilityZone" : "eu-central-1a",
  "billingProducts" : null, "imageId" : "ami-0123456789abcdef0", "instanceId" : "i-0123456789abcdef0",
  "instanceType" : "m7g.large", "kernelId" : null, "pendingTime" : "2026-11-21T10:00:00Z",
  "privateIp" : "10.0.0.7", "region" : "eu-central-1", "version" : "2017-09-30"
}`
	identityPath = "/latest/dynamic/instance-identity/document"
	tokenPath    = "/latest/api/token"
	tagsPath     = "/latest/meta-data/tags/instance"
	statePath    = "/latest/meta-data/autoscaling/target-lifecycle-state"
	rolePath     = "/latest/meta-data/iam/security-credentials/"
)

// service is IMDS in memory: an http.Handler, and a RoundTripper for tests in
// fake time. Its switches are functions of the time since it was made.
type service struct {
	slow  time.Duration // before each answer
	begun time.Time
	mu    sync.Mutex
	pages map[string]string // by path
	// answer comes before the pages: a status other than 0 is given with body
	// and, as for a token, with the lifetime.
	answer   func(t time.Duration, r *http.Request) (status int, body string)
	lifetime string
	down     func(t time.Duration) error // the connection cannot be made
	stuck    func(t time.Duration) bool  // the connection is neither made nor refused
	mute     func(r *http.Request) bool  // the connection is made, but there is no answer
	v1       bool                        // answers without a token
	tokens   int                         // tokens given
	spent    int                         // tokens up to this one have expired
	asked    []string                    // methods and paths
}

func newService() *service {
	return &service{
		begun:    time.Now(),
		lifetime: "21600",
		pages: map[string]string{
			identityPath:                    document,
			statePath:                       "InService",
			tagsPath:                        "Name\nkoboshi:channel\nkoboshi:hold",
			tagsPath + "/Name":              "web",
			tagsPath + "/koboshi:channel":   "canary",
			tagsPath + "/koboshi:hold":      "",
			rolePath:                        "web-role",
			rolePath + "web-role":           roleDocument("Success", time.Now().Add(time.Hour)),
			"/latest/meta-data/instance-id": "i-0123456789abcdef0",
		},
	}
}

func roleDocument(code string, expires time.Time) string {
	return fmt.Sprintf(`{"Code":%q,"Type":"AWS-HMAC","AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":%q,"Token":%q,"Expiration":%q}`,
		code, secretKey, secretToken, expires.UTC().Format(time.RFC3339))
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	if s.answer != nil {
		if status, body := s.answer(time.Since(s.begun), r); status != 0 {
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", s.lifetime)
			w.Header().Set("Location", "http://"+r.Host+identityPath)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return
		}
	}
	if r.Method == http.MethodPut && r.URL.Path == tokenPath {
		s.tokens++
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"))
		_, _ = fmt.Fprint(w, secretToken, s.tokens)
		return
	}
	page, ok := s.pages[r.URL.Path]
	switch {
	case !s.admits(r.Header.Get("X-Aws-Ec2-Metadata-Token")):
		w.WriteHeader(http.StatusUnauthorized)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		_, _ = io.WriteString(w, page)
	}
}

func (s *service) admits(token string) bool {
	if token == "" {
		return s.v1
	}
	var n int
	_, err := fmt.Sscanf(token, secretToken+"%d", &n)
	return err == nil && n > s.spent && n <= s.tokens
}

// RoundTrip implements http.RoundTripper without a network.
func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.slow > 0 {
		<-time.After(s.slow)
	}
	if s.down != nil {
		if err := s.down(time.Since(s.begun)); err != nil {
			return nil, err
		}
	}
	if s.stuck != nil && s.stuck(time.Since(s.begun)) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	if s.mute != nil && s.mute(r) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

// memory returns a Metadata that asks s without a network.
func (s *service) memory() *Metadata {
	return newMetadata(Options{Endpoint: "http://imds.test"}, &transport{base: s})
}

// serve returns a Metadata that asks s over loopback.
func (s *service) serve(t *testing.T, patience time.Duration) *Metadata {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return New(Options{Endpoint: server.URL, Patience: patience})
}

func (s *service) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, asked := range s.asked {
		if asked == what {
			n++
		}
	}
	return n
}

func refused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// noSecret fails the test if an error contains a secret.
func noSecret(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{secretToken, secretKey, "AKID", "must-not-leak"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("an error tells a secret: %v", err)
		}
	}
}
