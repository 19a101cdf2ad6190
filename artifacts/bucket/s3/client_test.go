package s3_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aws/smithy-go/logging"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/faults"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

// refusing is an HTTP client that notes where requests would go.
type refusing struct {
	urls    []string
	headers http.Header // of the last request
}

var errNoNetwork = errors.New("no network")

func (r *refusing) Do(request *http.Request) (*http.Response, error) {
	r.urls, r.headers = append(r.urls, request.URL.String()), request.Header
	return nil, errNoNetwork
}

func TestWhereRequestsGo(t *testing.T) {
	for name, c := range map[string]struct{ endpoint, prefix, want string }{
		"AWS":        {"", "/apps/web/", "https://releases.s3.us-east-1.amazonaws.com/apps/web/a/k?x-id=GetObject"},
		"an address": {"http://127.0.0.1:9000", "apps/web", "http://127.0.0.1:9000/releases/apps/web/a/k?x-id=GetObject"},
		"a host":     {"https://minio.example:9000/sub", "", "https://minio.example:9000/sub/releases/a/k?x-id=GetObject"},
	} {
		client := &refusing{}
		cfg := config(c.endpoint)
		if cfg.HTTPClient = client; c.endpoint == "" {
			cfg.BaseEndpoint = nil
		}
		_, err := get(t, s3.New(cfg, "releases", c.prefix), "a/k", bucket.Range{})
		if !errors.Is(err, errNoNetwork) || len(client.urls) == 0 || client.urls[0] != c.want {
			t.Errorf("%s: asked %q and got %v, want %s", name, client.urls, err, c.want)
		}
		if mode := client.headers.Get("X-Amz-Checksum-Mode"); mode != "" {
			t.Errorf("%s: asked for checksums: %s", name, mode)
		}
	}
}

func TestNothingIsLogged(t *testing.T) {
	server := awstest.New(t)
	server.S3().CreateBucket("releases")
	cfg := config(server.URL())
	cfg.Logger = logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) {
		t.Errorf("logged "+format, v...)
	})
	b := s3.New(cfg, "releases", "")
	if _, err := put(t, b, "k", large, bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []bucket.Range{{}, {Offset: 3, Length: 4}} {
		if _, err := get(t, b, "k", r); err != nil {
			t.Error(err)
		}
	}
}

func TestListOfAServerThatRepeatsItself(t *testing.T) {
	const page = `<ListBucketResult><Name>releases</Name><IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>` +
		`<Contents><Key>apps/web/k</Key><Size>1</Size></Contents></ListBucketResult>`
	b, server := mocked(t)
	server.Faults().Add(faults.Fault{Operation: "ListObjectsV2", Status: 200, Body: page})
	count := 0
	for _, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		count++
	}
	if count != 2 {
		t.Errorf("listed %d objects, want those of two pages and then the end", count)
	}
}

func TestErrorsOfList(t *testing.T) {
	for name, c := range map[string]struct {
		fault    faults.Fault
		sentinel error
	}{
		"denied":        {faults.Fault{Status: 403, Code: "AccessDenied"}, bucket.ErrDenied},
		"no bucket":     {faults.Fault{Status: 404, Code: "NoSuchBucket"}, bucket.ErrNotFound},
		"another's key": {faults.Fault{Body: `<ListBucketResult><Name>releases</Name><Contents><Key>apps/other/k</Key></Contents></ListBucketResult>`}, nil},
		"not XML":       {faults.Fault{Body: `{}`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b, server := mocked(t)
			c.fault.Operation = "ListObjectsV2"
			server.Faults().Add(c.fault)
			results := 0
			for _, err := range b.List(t.Context(), "k") {
				results++
				wantSentinel(t, err, c.sentinel)
			}
			if results != 1 {
				t.Errorf("yielded %d times, want the error and then the end", results)
			}
		})
	}
}
