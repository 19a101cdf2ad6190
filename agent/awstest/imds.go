package awstest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metadataService is the metadata service of one instance: IMDSv2 only.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html
type metadataService struct{ instance *Instance }

const (
	tokenHeader  = "X-Aws-Ec2-Metadata-Token" // #nosec G101 -- the name of a header
	ttlHeader    = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTokenTTL  = 21600
	tokenPath    = "/latest/api/token"
	imdsVersions = "1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15 2008-02-01 2008-09-01 2009-04-04 " +
		"2011-01-01 2011-05-01 2012-01-12 2014-02-25 2014-11-05 2015-10-20 2016-04-19 2016-06-30 2016-09-02 " +
		"2018-03-28 2018-08-17 2018-09-24 2019-10-01 2020-10-27 2021-01-03 2021-03-23 2021-07-15 2022-09-24 2024-04-11 latest"
)

// serve binds the instance's metadata service to its address.
func (m *metadataService) serve(handler http.Handler) error {
	i := m.instance
	url, stop, err := listen(i.options.IMDSAddr, nil, handler)
	if err != nil {
		return fmt.Errorf("binding IMDS: %w", err)
	}
	i.imdsURL, i.stop = url, stop
	return nil
}

// ServeHTTP answers one request. The path is taken as it comes, never cleaned or redirected.
func (m *metadataService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "EC2ws")
	switches := m.switches()
	asksToken := r.Method == http.MethodPut && r.URL.Path == tokenPath
	switch {
	case switches.HopLimit && asksToken:
		<-r.Context().Done()
	case switches.Disabled:
		imdsError(w, http.StatusForbidden)
	case asksToken:
		m.grant(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		imdsError(w, http.StatusMethodNotAllowed)
	default:
		m.read(w, r)
	}
}

func (m *metadataService) switches() (s Switches) {
	m.instance.scaling.do(func(time.Time) { s = m.instance.switches })
	return s
}

// grant answers a token request.
func (m *metadataService) grant(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Forwarded-For") != "" { // a proxy in the way
		imdsError(w, http.StatusForbidden)
		return
	}
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	if err != nil || ttl < 1 || ttl > maxTokenTTL {
		imdsError(w, http.StatusBadRequest)
		return
	}
	token := rand.Text()
	m.instance.scaling.do(func(now time.Time) {
		m.instance.tokens[token] = now.Add(time.Duration(ttl) * time.Second)
	})
	w.Header().Set(ttlHeader, strconv.Itoa(ttl))
	imdsAnswer(w, http.StatusOK, token)
}

// read answers a GET below a version.
func (m *metadataService) read(w http.ResponseWriter, r *http.Request) {
	left, ok := m.tokenLeft(r.Header.Get(tokenHeader))
	if !ok {
		imdsError(w, http.StatusUnauthorized)
		return
	}
	w.Header().Set(ttlHeader, strconv.Itoa(int(left/time.Second)))
	version, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if version == "" && path == "" {
		imdsAnswer(w, http.StatusOK, strings.ReplaceAll(imdsVersions, " ", "\n"))
		return
	}
	body, found := m.tree().get(path)
	if !found || !slices.Contains(strings.Fields(imdsVersions), version) {
		imdsError(w, http.StatusNotFound)
		return
	}
	if path == "user-data" {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	imdsAnswer(w, http.StatusOK, body)
}

func (m *metadataService) tokenLeft(token string) (left time.Duration, ok bool) {
	m.instance.scaling.do(func(now time.Time) {
		left = m.instance.tokens[token].Sub(now)
	})
	return left, left > 0
}

// describe names requests for Faults.Wrap: method and path.
func (m *metadataService) describe(r *http.Request) (operation, instance string) {
	return r.Method + " " + r.URL.Path, m.instance.id
}

func (m *metadataService) tree() (t tree) {
	m.instance.scaling.do(func(now time.Time) { t = m.instance.metadata(now) })
	return t
}

func imdsAnswer(w http.ResponseWriter, status int, body string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // a client that is gone needs no answer
}

// imdsFault is the ErrorWriter of IMDS, which has no codes.
func imdsFault(w http.ResponseWriter, _ *http.Request, status int, _, _ string) {
	imdsError(w, status)
}

func imdsError(w http.ResponseWriter, status int) {
	title := fmt.Sprintf("%d - %s", status, http.StatusText(status))
	w.Header().Set("Content-Type", "text/html")
	imdsAnswer(w, status, `<?xml version="1.0" encoding="iso-8859-1"?>
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
