package https_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/https"
)

const key = "releases/1/web-linux-amd64-0"

// site serves objects with ranges and ETags, as net/http does, and keeps the
// requests.
type site struct {
	mu       sync.Mutex
	objects  map[string][]byte
	requests []*http.Request
	answer   http.HandlerFunc // in place of the object; nil = none
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	data, ok := s.objects[strings.TrimPrefix(r.URL.Path, "/apps/web/")]
	s.mu.Unlock()
	switch {
	case s.answer != nil:
		s.answer(w, r)
	case !ok:
		http.NotFound(w, r)
	default:
		w.Header().Set("ETag", `"`+artifacts.Sum(data).Short()+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

// serve starts a site and a source over it.
func serve(t *testing.T, s *site) bucket.Reader {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	src, err := https.New(server.URL+"/apps/web", "seed", nil)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestGet(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100)
	s := &site{objects: map[string][]byte{key: data}}
	src := serve(t, s)
	etag := `"` + artifacts.Sum(data).Short() + `"`
	for _, r := range []bucket.Range{{}, {Offset: 10, Length: 20}, {Offset: 990}, {Offset: 990, Length: 500}, {Length: 5000}, {Offset: 1, Length: 1, ETag: etag}} {
		body, object, err := src.Get(t.Context(), key, r)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		got, err := io.ReadAll(body)
		want := data[r.Offset:]
		if r.Length > 0 {
			want = want[:min(r.Length, int64(len(want)))]
		}
		if err != nil || !bytes.Equal(got, want) || object.Size != 1000 || object.ETag != etag {
			t.Errorf("%+v: %d bytes of %+v, %v", r, len(got), object, err)
		}
		_ = body.Close()
	}
	if _, _, err := src.Get(t.Context(), "none", bucket.Range{}); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("no object: %v", err)
	}
	if _, _, err := src.Get(t.Context(), key, bucket.Range{Length: 5, ETag: `"other"`}); !errors.Is(err, bucket.ErrChanged) {
		t.Errorf("another ETag: %v", err)
	}
	for _, r := range s.requests {
		if r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("asked for encoding %q", r.Header.Get("Accept-Encoding"))
		}
	}
}

func head(code int, pairs ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			w.Header().Set(pairs[i], pairs[i+1])
		}
		w.WriteHeader(code)
		_, _ = w.Write(make([]byte, 10))
	}
}

// An answer to another question is refused after one request.
func TestBadAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"range ignored":        {head(200, "Content-Length", "1000"), "answered with Content-Range"},
		"no Content-Range":     {head(206), "answered with Content-Range"},
		"other offset":         {head(206, "Content-Range", "bytes 99-109/1000", "Content-Length", "11"), "answered with Content-Range"},
		"other length":         {head(206, "Content-Range", "bytes 100-108/1000"), "answered with Content-Range"},
		"too long":             {head(206, "Content-Range", "bytes 100-110/1000", "Content-Length", "11"), "answered with Content-Range"},
		"unknown size":         {head(206, "Content-Range", "bytes 100-109/*"), "answered with Content-Range"},
		"backwards":            {head(206, "Content-Range", "bytes 109-100/1000"), "answered with Content-Range"},
		"overflow":             {head(206, "Content-Range", "bytes 100-99999999999999999999/1"), "answered with Content-Range"},
		"body of other length": {head(206, "Content-Range", "bytes 100-109/1000", "Content-Length", "9"), "answered with Content-Length"},
		"encoded":              {head(206, "Content-Range", "bytes 100-109/1000", "Content-Encoding", "gzip"), "Content-Encoding"},
		"another ETag":         {head(206, "Content-Range", "bytes 100-109/1000", "ETag", `"b"`), "changed"},
		"412":                  {head(412), "changed"},
		"403":                  {head(403), "denied"},
		"401":                  {head(401), "credentials"},
		"407":                  {head(407), "credentials"},
		"404":                  {head(404), "no such object"},
		"404, encoded":         {head(404, "Content-Encoding", "gzip"), "no such object"},
		"418":                  {head(418), "status 418"},
		"redirect to another host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/x?secret", http.StatusFound)
		}, "redirected"},
		"redirect to another scheme": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+"/x", http.StatusFound)
		}, "redirected"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{answer: tc.answer}
			_, _, err := serve(t, s).Get(t.Context(), key, bucket.Range{Offset: 100, Length: 10, ETag: `"a"`})
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if len(s.requests) != 1 {
				t.Errorf("%d requests", len(s.requests))
			}
		})
	}
}

// Under a weak ETag, none, or the encoding of an upload the hash decides, also
// where an earlier answer had an ETag.
func TestOddAnswers(t *testing.T) {
	for name, header := range map[string][]string{
		"a weak ETag":          {"ETag", `W/"a"`},
		"no ETag":              {},
		"an upload's encoding": {"Content-Encoding", "aws-chunked"},
	} {
		s := &site{answer: head(206, append(header, "Content-Range", "bytes 100-109/1000")...)}
		body, object, err := serve(t, s).Get(t.Context(), key, bucket.Range{Offset: 100, Length: 10, ETag: `"a"`})
		if err != nil || object.ETag != "" {
			t.Errorf("%s: ETag %q and %v", name, object.ETag, err)
			continue
		}
		_ = body.Close()
	}
}

// A weak ETag cannot pin anything.
func TestDate(t *testing.T) {
	const header = "Thu, 26 Nov 2026 12:56:50 GMT"
	for age, want := range map[string]time.Time{"": time.Date(2026, 11, 26, 12, 56, 50, 0, time.UTC), "120": {}} {
		src := serve(t, &site{answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", header)
			if age != "" {
				w.Header().Set("Age", age)
			}
		}})
		body, object, err := src.Get(t.Context(), key, bucket.Range{})
		if err != nil {
			t.Fatal(err)
		}
		_ = body.Close()
		if !object.Date.Equal(want) {
			t.Errorf("Age %q: the store's clock is %v, want %v", age, object.Date, want)
		}
	}
}

func TestWeakETag(t *testing.T) {
	s := &site{answer: head(200, "ETag", `W/"a"`)}
	if _, object, err := serve(t, s).Get(t.Context(), key, bucket.Range{}); err != nil || object.ETag != "" || object.Size != 10 {
		t.Errorf("%+v, %v", object, err)
	}
}

func TestRedirects(t *testing.T) {
	for hops, want := range map[int]bool{3: true, 4: false} {
		n := 0
		s := &site{answer: func(w http.ResponseWriter, r *http.Request) {
			if n++; n <= hops {
				http.Redirect(w, r, fmt.Sprint("/hop/", n), http.StatusTemporaryRedirect)
				return
			}
			_, _ = w.Write([]byte("found"))
		}}
		_, object, err := serve(t, s).Get(t.Context(), key, bucket.Range{})
		if ok := err == nil && object.Size == 5; ok != want {
			t.Errorf("%d redirects: %+v, %v", hops, object, err)
		}
	}
}

// roundTrip answers without a network, so that time can be fake.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRetries(t *testing.T) {
	for name, tc := range map[string]struct {
		code   int
		header http.Header
		err    error
		tries  int
		atMost time.Duration
	}{
		"503":                {503, nil, nil, 8, 20 * time.Second},
		"429":                {429, nil, nil, 8, 20 * time.Second},
		"Retry-After: 3600":  {503, http.Header{"Retry-After": {"3600"}}, nil, 8, 40 * time.Second},
		"connection refused": {0, nil, errors.New("connection refused"), 8, 20 * time.Second},
		"bad certificate":    {0, nil, &tls.CertificateVerificationError{Err: errors.New("unknown authority")}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
					tries++
					if tc.err != nil {
						return nil, tc.err
					}
					return &http.Response{StatusCode: tc.code, Header: tc.header, Body: http.NoBody}, nil
				})}
				src, err := https.New("https://user:hunter2@example.com/apps?token=hunter2", "seed", client)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				_, _, err = src.Get(t.Context(), "channels/stable.json", bucket.Range{})
				if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "https://example.com/apps/channels/stable.json") {
					t.Errorf("error %v", err)
				}
				if took := time.Since(start); tries != tc.tries || took > tc.atMost {
					t.Errorf("%d tries in %s, want %d in at most %s", tries, took, tc.tries, tc.atMost)
				}
			})
		})
	}
}

func TestSecretsAreSent(t *testing.T) {
	var got *http.Request
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		got = r
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})}
	src, err := https.New("https://user:hunter2@example.com/apps?token=1", "seed", client)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := src.Get(t.Context(), "k", bucket.Range{}); err != nil {
		t.Fatal(err)
	}
	if _, password, _ := got.BasicAuth(); password != "hunter2" || got.URL.RawQuery != "token=1" {
		t.Errorf("sent to %s", got.URL)
	}
}

func TestRefusesURLs(t *testing.T) {
	for base, ok := range map[string]bool{
		"https://example.com/apps": true, "http://127.0.0.1:9000/apps": true, "http://[::1]/": true, "http://localhost:1/": true,
		"http://example.com/": false, "http://127.0.0.1.example.com/": false, "http://user:hunter2@169.254.169.254/": false,
		"ftp://example.com/": false, "https:///apps": false, "example.com": false, "https://user:hunter2@[::1/": false,
	} {
		_, err := https.New(base, "seed", nil)
		if (err == nil) != ok {
			t.Errorf("%s: %v", base, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the password: %v", base, err)
		}
	}
}
