package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

// calls are the three ways in which a bucket is asked.
func calls(t *testing.T, b *s3.Bucket) map[string]func() error {
	return map[string]func() error{
		"get": func() error {
			_, err := get(t, b, "k", bucket.Range{})
			return err
		},
		"put": func() error {
			_, err := put(t, b, "k", []byte("data"), bucket.Condition{})
			return err
		},
		"list": func() error {
			for _, err := range b.List(t.Context(), "") {
				return err
			}
			return nil
		},
	}
}

// TestNoRedirectIsFollowed: neither to the same host nor to another one, which
// would get the session token. One request, one error that is not tried again.
func TestNoRedirectIsFollowed(t *testing.T) {
	for _, status := range []int{http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusFound} {
		var asked, elsewhere atomic.Int64
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
		defer other.Close()
		for _, to := range []string{other.URL, ""} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", fmt.Sprintf("%s/round/%d", to, asked.Add(1)))
				w.WriteHeader(status)
			}))
			defer server.Close()
			for name, call := range calls(t, s3.New(config(server.URL), "releases", "apps/web")) {
				asked.Store(0)
				err := call()
				if e, ok := errors.AsType[*s3.Error](err); !ok || e.Status != status {
					t.Errorf("%s, %d to %q: %v", name, status, to, err)
				}
				if asked.Load() != 1 || elsewhere.Load() != 0 {
					t.Errorf("%s, %d to %q: asked %d times, and %d times elsewhere, want once and never", name, status, to, asked.Load(), elsewhere.Load())
				}
			}
		}
	}
}

// TestAnswersAreBounded sends answers that are larger than the SDK may read.
func TestAnswersAreBounded(t *testing.T) {
	const most = 8 * s3.MaxAnswerBytes
	for begin, status := range map[string]int{
		`<ListBucketResult><Name>releases</Name><Contents><Key>`: 200,
		`<Error><Code>AccessDenied</Code><Message>`:              403,
	} {
		var sent atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, err := w.Write([]byte(begin))
			for err == nil && sent.Load() < most {
				var n int
				n, err = w.Write([]byte(strings.Repeat("x", 64<<10)))
				sent.Add(int64(n))
			}
		}))
		defer server.Close()
		for name, call := range calls(t, s3.New(config(server.URL), "releases", "apps/web")) {
			if name != "list" && status < 300 {
				continue
			}
			sent.Store(0)
			if err := call(); err == nil || sent.Load() >= most {
				t.Errorf("%s of %s…: %v after %d bytes", name, begin, err, sent.Load())
			}
		}
	}
}
