package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// forwarder is a forward proxy that sends all requests for AWS to the loopback AWS:
// for http:// it forwards, for https:// it tunnels (CONNECT) to a server with a
// certificate of its authority for any name.
type forwarder struct {
	world  *world
	secure *httptest.Server

	mu    sync.Mutex
	hosts []string // that were asked for; of https:// with the port
}

// proxy starts a forwarder at $PROXY and writes the certificate of its authority
// to ca.pem. The loopback AWS is at $MOCK_PORT.
func proxy(ts *testscript.TestScript, _ bool, _ []string) {
	w := of(ts)
	f := &forwarder{world: w}
	authority, vouch := newAuthority(ts)
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}), 0o600))
	f.secure = httptest.NewUnstartedServer(http.HandlerFunc(f.aws))
	f.secure.TLS = &tls.Config{GetCertificate: vouch}
	f.secure.StartTLS()
	server := httptest.NewServer(f)
	ts.Defer(server.Close)
	ts.Defer(f.secure.Close)
	w.proxy = f
	ts.Setenv("PROXY", server.URL)
	ts.Setenv("MOCK_PORT", w.aws.URL()[strings.LastIndex(w.aws.URL(), ":")+1:])
}

// proxied HOST asserts that a host was asked for by way of the proxy since
// proxied reset.
func proxied(ts *testscript.TestScript, neg bool, args []string) {
	f := of(ts).proxy
	f.mu.Lock()
	defer f.mu.Unlock()
	if args[0] == "reset" {
		f.hosts = nil
		return
	}
	if slices.Contains(f.hosts, args[0]) == neg {
		ts.Fatalf("by way of the proxy went %q", f.hosts)
	}
}

func (f *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.hosts = append(f.hosts, r.Host)
	f.mu.Unlock()
	if r.Method != http.MethodConnect {
		f.aws(w, r)
		return
	}
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", f.secure.Listener.Addr().String())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { _, _ = io.Copy(there, here); _ = there.Close() }()
	_, _ = io.Copy(here, there)
	_ = here.Close()
}

// aws answers for every host: one that begins with a bucket's name is that bucket,
// and web.example is a web server without signatures.
func (f *forwarder) aws(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Host, "web.example") {
		f.web(w, r)
		return
	}
	to, _ := url.Parse(f.world.aws.URL())
	(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = to.Scheme, to.Host, ""
		if strings.HasPrefix(r.Host, "releases.s3") {
			p.Out.URL.Path, p.Out.URL.RawPath = "/releases"+p.Out.URL.Path, ""
		}
	}}).ServeHTTP(w, r)
}

func (f *forwarder) web(w http.ResponseWriter, r *http.Request) {
	data, found := f.world.aws.S3().Object("releases", strings.TrimPrefix(r.URL.Path, "/"))
	if !found {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
}

// newAuthority is a certificate authority, and a function that signs certificates.
func newAuthority(t interface{ Check(err error) }) (*x509.Certificate, func(*tls.ClientHelloInfo) (*tls.Certificate, error)) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	t.Check(err)
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	}
	root := template("authority")
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	t.Check(err)
	authority, err := x509.ParseCertificate(der)
	t.Check(err)
	return authority, func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		der, err := x509.CreateCertificate(rand.Reader, template(cmp.Or(hello.ServerName, "nobody")), authority, key.Public(), key)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
	}
}
