package s3

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// sdkClient returns a client of the kind that real programs use.
func sdkClient(server *httptest.Server, options ...func(*sdk.Options)) *sdk.Client {
	return sdk.New(sdk.Options{
		Region:           "us-east-1",
		BaseEndpoint:     aws.String(server.URL),
		UsePathStyle:     true,
		Credentials:      credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		HTTPClient:       server.Client(),
		RetryMaxAttempts: 1,
		// What a configuration loaded from the environment has.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}, options...)
}

// start runs an S3 with a bucket "b".
func start(t *testing.T) (*Store, *httptest.Server, *sdk.Client) {
	t.Helper()
	fake := New(time.Now)
	fake.CreateBucket("b")
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, server, sdkClient(server)
}

// wantCode checks the error code of S3, "" for none.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if got := errorCode(err); got != code {
		t.Errorf("error code %q, want %q (error: %v)", got, code, err)
	}
}

func errorCode(err error) string {
	if err == nil {
		return ""
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return err.Error()
}

// rawRequest sends a request that no SDK would and returns the answer and its body.
func rawRequest(t *testing.T, method, url string, body io.Reader, header map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestObjectKeepsWhatItWasUploadedWith(t *testing.T) {
	fake, _, client := start(t)
	ctx := t.Context()
	for _, key := range []string{"plain", "a+b", "with space", "ünï/çødé/日本", "per%20cent", "a//b/../c", "q?x=1&y#z", "trailing/"} {
		put, err := client.PutObject(ctx, &sdk.PutObjectInput{
			Bucket: aws.String("b"), Key: aws.String(key), Body: strings.NewReader("body of " + key),
			ContentType: aws.String("text/x-test"), ContentEncoding: aws.String("zstd"), CacheControl: aws.String("no-store"),
			Metadata: map[string]string{"colour": "red"},
		})
		if err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
		if data, _ := fake.Object("b", key); string(data) != "body of "+key {
			t.Errorf("key %q holds %q; keys are %q", key, data, fake.Keys("b"))
		}
		got, err := client.GetObject(ctx, &sdk.GetObjectInput{Bucket: aws.String("b"), Key: aws.String(key)})
		if err != nil {
			t.Fatalf("get %q: %v", key, err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil || string(body) != "body of "+key {
			t.Errorf("got %q, %v", body, err)
		}
		if *got.ETag != *put.ETag || *got.ContentType != "text/x-test" || *got.ContentEncoding != "zstd" ||
			*got.CacheControl != "no-store" || got.Metadata["colour"] != "red" || *got.AcceptRanges != "bytes" {
			t.Errorf("headers of %q were not kept: %+v", key, got)
		}
		head, err := client.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String(key)})
		if err != nil || *head.ContentLength != int64(len(body)) || *head.ETag != *put.ETag {
			t.Errorf("head %q: %+v, %v", key, head, err)
		}
	}
}

func TestReadsBarePlusAsSpace(t *testing.T) {
	fake, server, _ := start(t)
	fake.Put("b", "a b", []byte("space"))
	fake.Put("b", "a+b", []byte("plus"))
	for path, want := range map[string]string{"/b/a+b": "space", "/b/a%20b": "space", "/b/a%2Bb": "plus"} {
		if _, body := rawRequest(t, "GET", server.URL+path, nil, nil); body != want {
			t.Errorf("GET %s: %q, want %q", path, body, want)
		}
	}
}

func TestMissing(t *testing.T) {
	fake, server, client := start(t)
	fake.Put("b", "k", []byte("x"))
	ctx := t.Context()
	_, err := client.GetObject(ctx, &sdk.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("none")})
	wantCode(t, err, "NoSuchKey")
	if _, ok := errors.AsType[*types.NoSuchKey](err); !ok {
		t.Errorf("error %v is no NoSuchKey of the SDK", err)
	}
	_, err = client.GetObject(ctx, &sdk.GetObjectInput{Bucket: aws.String("none"), Key: aws.String("k")})
	wantCode(t, err, "NoSuchBucket")
	_, err = client.PutObject(ctx, &sdk.PutObjectInput{Bucket: aws.String("none"), Key: aws.String("k"), Body: strings.NewReader("")})
	wantCode(t, err, "NoSuchBucket")
	_, err = client.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("none")})
	wantCode(t, err, "NotFound")
	_, err = client.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: aws.String("b"), Key: aws.String("none")})
	wantCode(t, err, "")

	resp, body := rawRequest(t, "GET", server.URL+"/b/no%20ne", nil, nil)
	id := resp.Header.Get("X-Amz-Request-Id")
	for _, want := range []string{"<?xml", "<Error><Code>NoSuchKey</Code><Message>", "<Resource>/b/no ne</Resource>", "<RequestId>" + id + "</RequestId>"} {
		if !strings.Contains(body, want) {
			t.Errorf("error document lacks %q: %s", want, body)
		}
	}
	if len(id) != 16 || resp.Header.Get("Content-Type") != "application/xml" {
		t.Errorf("request id %q, content type %q", id, resp.Header.Get("Content-Type"))
	}
}

func TestRefusesWhatIsNotSignedOrNotKnown(t *testing.T) {
	fake, server, client := start(t)
	fake.Put("b", "k", []byte("x"))
	signed := map[string]string{}
	unsigned := map[string]string{"Authorization": ""}
	for _, c := range []struct {
		method, path string
		header       map[string]string
		status       int
		code         string
	}{
		{"GET", "/b/k", unsigned, 403, "AccessDenied"},
		{"GET", "/b/k?X-Amz-Signature=00", unsigned, 200, ""},
		{"GET", "/b/k?AWSAccessKeyId=a&Expires=1&Signature=00", unsigned, 200, ""},
		{"GET", "/b/k?tagging", signed, 501, "NotImplemented"},
		{"PUT", "/b/k?tagging", signed, 501, "NotImplemented"},
		{"PUT", "/b/k", map[string]string{"x-amz-tagging": "a=b"}, 501, "NotImplemented"},
		{"GET", "/b/k?acl", signed, 501, "NotImplemented"},
		{"GET", "/b/k?versionId=7", signed, 501, "NotImplemented"},
		{"PUT", "/b?acl", signed, 501, "NotImplemented"},
		{"PUT", "/b/copy", map[string]string{"x-amz-copy-source": "/b/k"}, 501, "NotImplemented"},
		{"GET", "/b?list-type=2&unheard=of", signed, 501, "NotImplemented"},
		{"PATCH", "/b/k", signed, 405, "MethodNotAllowed"},
		{"GET", "/b/" + strings.Repeat("k", 1025), signed, 400, "KeyTooLongError"},
	} {
		resp, body := rawRequest(t, c.method, server.URL+c.path, nil, c.header)
		if resp.StatusCode != c.status || c.code != "" && !strings.Contains(body, "<Code>"+c.code+"</Code>") {
			t.Errorf("%s %.40s: %d %s, want %d %s", c.method, c.path, resp.StatusCode, body, c.status, c.code)
		}
	}

	presigned, err := sdk.NewPresignClient(client).PresignGetObject(t.Context(), &sdk.GetObjectInput{
		Bucket: aws.String("b"), Key: aws.String("k"),
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, body := rawRequest(t, "GET", presigned.URL, nil, unsigned)
	if resp.StatusCode != http.StatusOK || body != "x" {
		t.Errorf("presigned: %d %q", resp.StatusCode, body)
	}
}

func TestForItsOwner(t *testing.T) {
	fake, _, client := start(t)
	etag := fake.Put("new", "k", []byte("hello"))
	if etag != `"5d41402abc4b2a76b9719d911017c592"` {
		t.Errorf("etag %s is not the MD5", etag)
	}
	data, ok := fake.Object("new", "k")
	if !ok || string(data) != "hello" {
		t.Fatalf("object: %q, %v", data, ok)
	}
	data[0] = 'J'
	if again, _ := fake.Object("new", "k"); string(again) != "hello" {
		t.Errorf("Object gave away its own bytes: %q", again)
	}
	if !fake.Mutate("new", "k", func(b []byte) []byte { b[0] ^= 1; return b }) {
		t.Error("Mutate found no object")
	}
	head, err := client.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: aws.String("new"), Key: aws.String("k")})
	if err != nil || *head.ETag == etag {
		t.Errorf("after Mutate: %+v, %v", head, err)
	}
	if fake.Mutate("new", "none", bytes.ToUpper) || fake.Mutate("none", "k", bytes.ToUpper) {
		t.Error("Mutate made an object")
	}
	if _, ok := fake.Object("none", "k"); ok || fake.Keys("none") != nil {
		t.Error("a bucket came from nowhere")
	}
}

// aliasWriter checks that the stored bytes themselves are written, not a copy.
type aliasWriter struct {
	http.ResponseWriter
	want []byte // what has yet to be written
	t    *testing.T
}

func (w *aliasWriter) Write(p []byte) (int, error) {
	if len(p) > 0 && &p[0] != &w.want[0] {
		w.t.Error("an answer was made of a copy")
	}
	w.want = w.want[len(p):]
	return len(p), nil
}

func TestLargeObjectsAreNotCopied(t *testing.T) {
	fake, server, _ := start(t)
	large := make([]byte, 64<<20)
	large[len(large)-1] = 7
	fake.Put("b", "large", large)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/b/large", nil)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256")
	r.Header.Set("Range", "bytes=1000-")
	w := &aliasWriter{ResponseWriter: httptest.NewRecorder(), want: large[1000:], t: t}
	fake.ServeHTTP(w, r)
	if len(w.want) > 0 {
		t.Errorf("%d bytes were not served", len(w.want))
	}
	_, body := rawRequest(t, "GET", server.URL+"/b/large", nil, map[string]string{"Range": "bytes=67108862-"})
	if body != "\x00\x07" {
		t.Errorf("end of the object is %q", body)
	}
}
