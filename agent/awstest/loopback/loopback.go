// Package loopback runs HTTP handlers at local addresses.
package loopback

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Listener is a bound address, which runs a handler from Serve to Close.
type Listener struct {
	URL string // without a slash at its end

	listener net.Listener
	server   http.Server
}

// Bind binds an address (IP:port, port 0 = a free one). With a TLS configuration
// it uses HTTPS, and like S3 only HTTP/1.1.
func Bind(addr string, secure *tls.Config) (*Listener, error) {
	bound, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	if secure == nil {
		return &Listener{URL: "http://" + reachable(bound.Addr()), listener: bound}, nil
	}
	return &Listener{URL: "https://" + reachable(bound.Addr()), listener: tls.NewListener(bound, secure)}, nil
}

// Serve answers with a handler, in the background.
func (l *Listener) Serve(handler http.Handler) {
	l.server.Handler, l.server.ReadHeaderTimeout = handler, 10*time.Second
	go func() { _ = l.server.Serve(l.listener) }() // clients notice when it ends
}

// Close cuts requests off and frees the address before it returns.
func (l *Listener) Close() {
	_ = l.listener.Close() // the server alone would miss a listener that it has not taken over yet
	_ = l.server.Close()
}

// reachable is an address for clients of a listener that may be bound to all.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return a.String()
}
