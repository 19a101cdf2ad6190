// Package imds is the metadata service of one instance: IMDSv2 only.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html
package imds

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Instance is what a metadata service shows of its instance.
type Instance struct {
	ID          string
	IP          netip.Addr
	Launched    time.Time
	AZ          string // such as us-east-1a; the region follows from it
	AMI         string
	Type        string
	Role        string
	UserData    []byte            // nil = none
	Tags        map[string]string // nil = IMDS shows no tags
	TargetState string            // "" = in no group
	Spot        bool
}

// Service is the metadata service of one instance. Its methods may be called at
// any time.
type Service struct {
	now      func() time.Time
	instance func() Instance

	mu       sync.Mutex
	switches Switches
	tokens   map[string]time.Time // to when they expire
}

// New returns the service of an instance. It reads the instance's current values
// at each request.
func New(now func() time.Time, switches Switches, instance func() Instance) *Service {
	return &Service{now: now, instance: instance, switches: switches, tokens: map[string]time.Time{}}
}

// Set changes how the service behaves, from the next request on.
func (s *Service) Set(change func(*Switches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.switches)
}

// ExpireTokens makes it forget every token it gave out: 401 to all of them.
func (s *Service) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

const (
	tokenHeader = "X-Aws-Ec2-Metadata-Token" // #nosec G101 -- the name of a header
	ttlHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTokenTTL = 21600
	tokenPath   = "/latest/api/token"
	versions    = "1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15 2008-02-01 2008-09-01 2009-04-04 " +
		"2011-01-01 2011-05-01 2012-01-12 2014-02-25 2014-11-05 2015-10-20 2016-04-19 2016-06-30 2016-09-02 " +
		"2018-03-28 2018-08-17 2018-09-24 2019-10-01 2020-10-27 2021-01-03 2021-03-23 2021-07-15 2022-09-24 2024-04-11 latest"
)

// ServeHTTP answers one request. The path is taken as it comes, never cleaned or redirected.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "EC2ws")
	switches := s.currentSwitches()
	asksToken := r.Method == http.MethodPut && r.URL.Path == tokenPath
	switch {
	case switches.HopLimit && asksToken:
		<-r.Context().Done()
	case switches.Disabled:
		refuse(w, http.StatusForbidden)
	case asksToken:
		s.grant(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuse(w, http.StatusMethodNotAllowed)
	default:
		s.read(w, r)
	}
}

func (s *Service) currentSwitches() Switches {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.switches
}

// grant answers a token request.
func (s *Service) grant(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Forwarded-For") != "" { // sent through a proxy
		refuse(w, http.StatusForbidden)
		return
	}
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	if err != nil || ttl < 1 || ttl > maxTokenTTL {
		refuse(w, http.StatusBadRequest)
		return
	}
	token := rand.Text()
	s.keepToken(token, time.Duration(ttl)*time.Second)
	w.Header().Set(ttlHeader, strconv.Itoa(ttl))
	answer(w, http.StatusOK, token)
}

func (s *Service) keepToken(token string, ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = s.now().Add(ttl)
}

// read answers a GET below a version.
func (s *Service) read(w http.ResponseWriter, r *http.Request) {
	left, ok := s.tokenLeft(r.Header.Get(tokenHeader))
	if !ok {
		refuse(w, http.StatusUnauthorized)
		return
	}
	w.Header().Set(ttlHeader, strconv.Itoa(int(left/time.Second)))
	version, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if version == "" && path == "" {
		answer(w, http.StatusOK, strings.ReplaceAll(versions, " ", "\n"))
		return
	}
	body, found := s.tree().get(path)
	if !found || !slices.Contains(strings.Fields(versions), version) {
		refuse(w, http.StatusNotFound)
		return
	}
	if path == "user-data" {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	answer(w, http.StatusOK, body)
}

func (s *Service) tokenLeft(token string) (left time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left = s.tokens[token].Sub(s.now())
	return left, left > 0
}

// Describe names a request's operation, its method and path, and the instance.
func (s *Service) Describe(r *http.Request) (operation, instance string) {
	return r.Method + " " + r.URL.Path, s.instance().ID
}

func (s *Service) tree() tree { return s.instance().metadata(s.currentSwitches(), s.now()) }

func answer(w http.ResponseWriter, status int, body string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may have gone
}

// WriteError answers with an error. IMDS has no error codes.
func WriteError(w http.ResponseWriter, _ *http.Request, status int, _, _ string) {
	refuse(w, status)
}

func refuse(w http.ResponseWriter, status int) {
	title := fmt.Sprintf("%d - %s", status, http.StatusText(status))
	w.Header().Set("Content-Type", "text/html")
	answer(w, status, `<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>`+title+`</title>
 </head>
 <body>
  <h1>`+title+`</h1>
 </body>
</html>
`)
}
