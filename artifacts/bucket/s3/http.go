package s3

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Limits of [HTTPClient].
const (
	connectionsPerHost = 64
	connectTimeout     = 5 * time.Second
	headerTimeout      = 30 * time.Second // from the end of the request to the first byte
	maxHeaderBytes     = 64 << 10         // of one answer; S3's own metadata has 2 KiB at most
)

// HTTPClient is one that keeps enough connections for parallel ranges. It
// speaks HTTP/1.1, where each range has a connection, and so a congestion
// window, of its own. A proxy in the environment is used. No redirect is
// followed: it ends as a [*RedirectError].
func HTTPClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = (&net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}).DialContext
		t.ForceAttemptHTTP2 = false
		t.MaxIdleConns = 2 * connectionsPerHost
		t.MaxIdleConnsPerHost = connectionsPerHost
		t.TLSHandshakeTimeout = 2 * connectTimeout
		t.ResponseHeaderTimeout = headerTimeout
		t.MaxResponseHeaderBytes = maxHeaderBytes
		t.DisableCompression = true // the signed bytes are the stored ones, and a small answer stays small
		t.Proxy = unlessRedirected
	})
}

// RedirectError is an answer (307 or 308) that sends a request to another URL.
// It is not followed: the request is signed for one host, and carries a session
// token.
type RedirectError struct {
	Status int
	Host   string // where it points to; as it came
	Region string // of the bucket, where S3 says so; as it came
}

func (e *RedirectError) Error() string {
	return fmt.Sprintf("redirected to %.80q (status %d), which is not followed", e.Host, e.Status)
}

// CanceledError keeps every retryer of the SDK from sending the request again,
// which takes it for one whose connection was lost: the answer would be the same.
func (e *RedirectError) CanceledError() bool { return true }

// Advice is what can be done where S3 does not say where the bucket is.
func (e *RedirectError) Advice() string {
	if e.Region != "" {
		return ""
	}
	return "S3 redirects a new bucket until its name is known everywhere, some minutes: name its region behind the source, ?region=eu-west-1; else check AWS_ENDPOINT_URL and the proxy"
}

// unlessRedirected chooses the proxy of a request. The SDK's client follows 307
// and 308 to any host and without end, and has no setting for that; but its
// transport asks for the proxy of each request, before a connection is taken.
func unlessRedirected(request *http.Request) (*url.URL, error) {
	if answer := request.Response; answer != nil { // the one that caused this request
		return nil, &RedirectError{answer.StatusCode, request.URL.Host, answer.Header.Get(regionHeader)}
	}
	return http.ProxyFromEnvironment(request)
}
