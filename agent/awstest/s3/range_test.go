package s3

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestConditionalReads(t *testing.T) {
	fake := New(func() time.Time { return time.Date(2026, 11, 21, 10, 0, 0, 999, time.UTC) })
	etag := fake.Put("b", "k", []byte("hello"))
	server := httptest.NewServer(fake)
	defer server.Close()
	const same, before, after = "Sat, 21 Nov 2026 10:00:00 GMT", "Sat, 21 Nov 2026 09:59:59 GMT", "Sat, 21 Nov 2026 10:00:01 GMT"
	for _, c := range []struct {
		name   string
		header map[string]string
		status int
	}{
		{"matches", map[string]string{"If-Match": etag}, 200},
		{"matches without quotes", map[string]string{"If-Match": strings.Trim(etag, `"`)}, 200},
		{"matches in a list", map[string]string{"If-Match": `"x", ` + etag}, 200},
		{"does not match", map[string]string{"If-Match": `"x"`}, 412},
		{"has not changed", map[string]string{"If-None-Match": etag}, 304},
		{"any", map[string]string{"If-None-Match": "*"}, 304},
		{"has changed", map[string]string{"If-None-Match": `"x"`}, 200},
		{"not modified since", map[string]string{"If-Modified-Since": same}, 304},
		{"modified since", map[string]string{"If-Modified-Since": before}, 200},
		{"unmodified since", map[string]string{"If-Unmodified-Since": same}, 200},
		{"modified after all", map[string]string{"If-Unmodified-Since": before}, 412},
		{"a tag outweighs a time", map[string]string{"If-Match": etag, "If-Unmodified-Since": before}, 200},
		{"a tag outweighs a time when negated", map[string]string{"If-None-Match": `"x"`, "If-Modified-Since": after}, 200},
		{"a range whose object changed", map[string]string{"If-Match": `"x"`, "Range": "bytes=0-1"}, 412},
		{"a range of the same object", map[string]string{"If-Match": etag, "Range": "bytes=0-1"}, 206},
		{"a malformed time", map[string]string{"If-Modified-Since": "today"}, 200},
	} {
		resp, body := rawRequest(t, "GET", server.URL+"/b/k", nil, c.header)
		if resp.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", c.name, resp.StatusCode, c.status)
		}
		if c.status == 304 && (body != "" || resp.Header.Get("ETag") != etag) {
			t.Errorf("%s: 304 with body %q and ETag %q", c.name, body, resp.Header.Get("ETag"))
		}
		if c.status == 412 && !strings.Contains(body, "<Code>PreconditionFailed</Code>") {
			t.Errorf("%s: %s", c.name, body)
		}
	}
}

func TestRanges(t *testing.T) {
	fake, server, _ := start(t)
	fake.Put("b", "k", []byte("0123456789"))
	fake.Put("b", "empty", nil)
	for _, c := range []struct {
		key, header string
		status      int
		span, body  string
	}{
		{"k", "bytes=0-0", 206, "bytes 0-0/10", "0"},
		{"k", "bytes=2-4", 206, "bytes 2-4/10", "234"},
		{"k", "bytes=7-", 206, "bytes 7-9/10", "789"},
		{"k", "bytes=-3", 206, "bytes 7-9/10", "789"},
		{"k", "bytes=-30", 206, "bytes 0-9/10", "0123456789"},
		{"k", "bytes=8-99", 206, "bytes 8-9/10", "89"},
		{"k", "bytes=0-9", 206, "bytes 0-9/10", "0123456789"},
		{"k", "bytes=10-", 416, "bytes */10", ""},
		{"k", "bytes=10-20", 416, "bytes */10", ""},
		{"k", "bytes=-0", 416, "bytes */10", ""},
		{"empty", "bytes=0-", 416, "bytes */0", ""},
		{"empty", "bytes=-1", 416, "bytes */0", ""},
		{"k", "bytes=4-2", 200, "", "0123456789"},
		{"k", "bytes=0-1,3-4", 200, "", "0123456789"},
		{"k", "bytes=a-b", 200, "", "0123456789"},
		{"k", "bytes=+1-2", 200, "", "0123456789"},
		{"k", "lines=1-2", 200, "", "0123456789"},
	} {
		resp, body := rawRequest(t, "GET", server.URL+"/b/"+c.key, nil, map[string]string{"Range": c.header})
		if resp.StatusCode != c.status || resp.Header.Get("Content-Range") != c.span {
			t.Errorf("%s of %s: %d %q, want %d %q", c.header, c.key, resp.StatusCode, resp.Header.Get("Content-Range"), c.status, c.span)
		}
		if c.status == 416 {
			c.body = body
			if !strings.Contains(body, "<Code>InvalidRange</Code>") {
				t.Errorf("%s: %s", c.header, body)
			}
		}
		if body != c.body {
			t.Errorf("%s: body %q, want %q", c.header, body, c.body)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-0", "bytes=5-", "bytes=-5", "bytes=9-1", "bytes=1-2,3-4", "bytes=-0", "bytes=9223372036854775807-", "bytes=--1", ""} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, total int64) {
		total = max(0, total)
		s, partial, err := parseRange(header, total)
		switch {
		case err != nil:
			if partial {
				t.Errorf("%q of %d: an error and a part", header, total)
			}
		case !partial && s != (span{0, total}):
			t.Errorf("%q of %d: not partial but %+v", header, total, s)
		case partial && (s.offset < 0 || s.size <= 0 || s.offset > total-s.size):
			t.Errorf("%q of %d: %+v is outside", header, total, s)
		}
	})
}

func TestConditionalWrites(t *testing.T) {
	fake, server, client := start(t)
	put := func(body string, condition func(*sdk.PutObjectInput)) (string, error) {
		in := &sdk.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader(body)}
		condition(in)
		out, err := client.PutObject(t.Context(), in)
		return etagOf(out), err
	}
	create := func(in *sdk.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	replace := func(etag string) func(*sdk.PutObjectInput) {
		return func(in *sdk.PutObjectInput) { in.IfMatch = &etag }
	}
	_, err := put("0", replace(`"x"`))
	wantCode(t, err, "NoSuchKey")
	first, err := put("1", create)
	wantCode(t, err, "")
	_, err = put("2", create)
	wantCode(t, err, "PreconditionFailed")
	_, err = put("3", replace(first))
	wantCode(t, err, "")
	_, err = put("4", replace(first))
	wantCode(t, err, "PreconditionFailed")
	if data, _ := fake.Object("b", "k"); string(data) != "3" {
		t.Errorf("object is %q, want 3", data)
	}

	resp, body := rawRequest(t, "PUT", server.URL+"/b/k", strings.NewReader("5"), map[string]string{"If-None-Match": first})
	if resp.StatusCode != http.StatusNotImplemented {
		t.Errorf("If-None-Match with a tag: %d %s", resp.StatusCode, body)
	}
	for _, tags := range []string{"*", first + ", " + first} {
		if resp, body := rawRequest(t, "PUT", server.URL+"/b/k", strings.NewReader("5"), map[string]string{"If-Match": tags}); resp.StatusCode != http.StatusNotImplemented {
			t.Errorf("If-Match: %s: %d %s", tags, resp.StatusCode, body)
		}
	}

	del := func(etag string) error {
		_, err := client.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), IfMatch: &etag})
		return err
	}
	wantCode(t, del(first), "PreconditionFailed")
	wantCode(t, del("*"), "")
	wantCode(t, del("*"), "NoSuchKey")
}

func TestConditionalWritesHaveOneWinner(t *testing.T) {
	_, _, client := start(t)
	for round := range 5 {
		key := "k" + string(rune('0'+round))
		codes := make([]string, 8)
		var wg sync.WaitGroup
		for i := range codes {
			wg.Go(func() {
				_, err := client.PutObject(t.Context(), &sdk.PutObjectInput{
					Bucket: aws.String("b"), Key: &key, IfNoneMatch: aws.String("*"), Body: strings.NewReader(string(rune('a' + i))),
				})
				codes[i] = errorCode(err)
			})
		}
		wg.Wait()
		slices.Sort(codes)
		if codes[0] != "" || codes[1] != "PreconditionFailed" || codes[7] != "PreconditionFailed" {
			t.Errorf("round %d: %q, want one winner", round, codes)
		}
	}
}

func etagOf(out *sdk.PutObjectOutput) string {
	if out == nil {
		return ""
	}
	return aws.ToString(out.ETag)
}
