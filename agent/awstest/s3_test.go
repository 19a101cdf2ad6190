package awstest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// sdkClient returns a client of the kind that real programs use.
func sdkClient(server *httptest.Server, options ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{
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

// startS3 serves an S3 with a bucket "b".
func startS3(t *testing.T) (*S3, *httptest.Server, *s3.Client) {
	t.Helper()
	fake := newS3(time.Now)
	fake.CreateBucket("b")
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, server, sdkClient(server)
}

// wantCode checks the error code that S3 told, "" for none.
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
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestS3ObjectKeepsWhatItWasUploadedWith(t *testing.T) {
	fake, _, client := startS3(t)
	ctx := t.Context()
	for _, key := range []string{"plain", "a+b", "with space", "ünï/çødé/日本", "per%20cent", "a//b/../c", "q?x=1&y#z", "trailing/"} {
		put, err := client.PutObject(ctx, &s3.PutObjectInput{
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
		got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String(key)})
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
		head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String(key)})
		if err != nil || *head.ContentLength != int64(len(body)) || *head.ETag != *put.ETag {
			t.Errorf("head %q: %+v, %v", key, head, err)
		}
	}
}

func TestS3ReadsBarePlusAsSpace(t *testing.T) {
	fake, server, _ := startS3(t)
	fake.Put("b", "a b", []byte("space"))
	fake.Put("b", "a+b", []byte("plus"))
	for path, want := range map[string]string{"/b/a+b": "space", "/b/a%20b": "space", "/b/a%2Bb": "plus"} {
		if _, body := rawRequest(t, "GET", server.URL+path, nil, nil); body != want {
			t.Errorf("GET %s: %q, want %q", path, body, want)
		}
	}
}

func TestS3Missing(t *testing.T) {
	fake, server, client := startS3(t)
	fake.Put("b", "k", []byte("x"))
	ctx := t.Context()
	_, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("none")})
	wantCode(t, err, "NoSuchKey")
	if _, ok := errors.AsType[*types.NoSuchKey](err); !ok {
		t.Errorf("error %v is no NoSuchKey of the SDK", err)
	}
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("none"), Key: aws.String("k")})
	wantCode(t, err, "NoSuchBucket")
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("none"), Key: aws.String("k"), Body: strings.NewReader("")})
	wantCode(t, err, "NoSuchBucket")
	_, err = client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("none")})
	wantCode(t, err, "NotFound")
	_, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("b"), Key: aws.String("none")})
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

func TestS3RefusesWhatIsNotSignedOrNotKnown(t *testing.T) {
	fake, server, client := startS3(t)
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
		{"GET", "/b/k?tagging", signed, 200, ""},
		{"GET", "/b/none?tagging", signed, 404, "NoSuchKey"},
		{"PUT", "/b/k?tagging", signed, 501, "NotImplemented"},
		{"PUT", "/b/k", map[string]string{"x-amz-tagging": "a=b"}, 501, "NotImplemented"},
		{"GET", "/b/k?acl", signed, 501, "NotImplemented"},
		{"GET", "/b/k?versionId=7", signed, 501, "NotImplemented"},
		{"PUT", "/b?policy", signed, 501, "NotImplemented"},
		{"GET", "/b?list-type=2&unheard=of", signed, 501, "NotImplemented"},
		{"PATCH", "/b/k", signed, 405, "MethodNotAllowed"},
		{"GET", "/b/" + strings.Repeat("k", 1025), signed, 400, "KeyTooLongError"},
	} {
		resp, body := rawRequest(t, c.method, server.URL+c.path, nil, c.header)
		if resp.StatusCode != c.status || c.code != "" && !strings.Contains(body, "<Code>"+c.code+"</Code>") {
			t.Errorf("%s %.40s: %d %s, want %d %s", c.method, c.path, resp.StatusCode, body, c.status, c.code)
		}
	}

	presigned, err := s3.NewPresignClient(client).PresignGetObject(t.Context(), &s3.GetObjectInput{
		Bucket: aws.String("b"), Key: aws.String("k"), ResponseContentType: aws.String("text/plain"),
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, body := rawRequest(t, "GET", presigned.URL, nil, unsigned)
	if resp.StatusCode != 200 || body != "x" || resp.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("presigned: %d %q %q", resp.StatusCode, body, resp.Header.Get("Content-Type"))
	}
}

func TestS3ConditionalReads(t *testing.T) {
	fake := newS3(func() time.Time { return time.Date(2026, 11, 21, 10, 0, 0, 999, time.UTC) })
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

func TestS3Ranges(t *testing.T) {
	fake, server, _ := startS3(t)
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

func FuzzS3ParseRange(f *testing.F) {
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

func TestS3ConditionalWrites(t *testing.T) {
	fake, server, client := startS3(t)
	put := func(body string, condition func(*s3.PutObjectInput)) (string, error) {
		in := &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader(body)}
		condition(in)
		out, err := client.PutObject(t.Context(), in)
		return etagOf(out), err
	}
	create := func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	replace := func(etag string) func(*s3.PutObjectInput) {
		return func(in *s3.PutObjectInput) { in.IfMatch = &etag }
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
	if resp.StatusCode != 501 {
		t.Errorf("If-None-Match with a tag: %d %s", resp.StatusCode, body)
	}

	del := func(etag string) error {
		_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), IfMatch: &etag})
		return err
	}
	wantCode(t, del(first), "PreconditionFailed")
	wantCode(t, del("*"), "")
	wantCode(t, del("*"), "NoSuchKey")
}

func TestS3ConditionalWritesHaveOneWinner(t *testing.T) {
	_, _, client := startS3(t)
	for round := range 5 {
		key := "k" + string(rune('0'+round))
		codes := make([]string, 8)
		var wg sync.WaitGroup
		for i := range codes {
			wg.Go(func() {
				_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
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

func TestS3Copy(t *testing.T) {
	fake, _, client := startS3(t)
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("b"), Key: aws.String("from +ü"), Body: strings.NewReader("hello"), Metadata: map[string]string{"a": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	cp := func(key string, change func(*s3.CopyObjectInput)) error {
		in := &s3.CopyObjectInput{Bucket: aws.String("b"), Key: &key, CopySource: aws.String("b/from%20%2B%C3%BC")}
		change(in)
		_, err := client.CopyObject(t.Context(), in)
		return err
	}
	metadata := func(key string) map[string]string {
		head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("b"), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		return head.Metadata
	}
	wantCode(t, cp("to", func(*s3.CopyObjectInput) {}), "")
	if data, _ := fake.Object("b", "to"); string(data) != "hello" || metadata("to")["a"] != "1" {
		t.Errorf("copy is %q with %v", data, metadata("to"))
	}
	wantCode(t, cp("to", func(in *s3.CopyObjectInput) {
		in.MetadataDirective, in.Metadata = types.MetadataDirectiveReplace, map[string]string{"b": "2"}
	}), "")
	if m := metadata("to"); m["a"] != "" || m["b"] != "2" {
		t.Errorf("replaced metadata are %v", m)
	}
	wantCode(t, cp("from +ü", func(*s3.CopyObjectInput) {}), "InvalidRequest")
	wantCode(t, cp("x", func(in *s3.CopyObjectInput) { in.CopySource = aws.String("b/none") }), "NoSuchKey")
	wantCode(t, cp("x", func(in *s3.CopyObjectInput) { in.CopySourceIfMatch = aws.String("x") }), "PreconditionFailed")
	wantCode(t, cp("to", func(in *s3.CopyObjectInput) { in.IfNoneMatch = aws.String("*") }), "PreconditionFailed")
	if slices.Contains(fake.Keys("b"), "x") {
		t.Error("a refused copy left an object")
	}
}

func TestS3Buckets(t *testing.T) {
	fake, _, client := startS3(t)
	ctx := t.Context()
	create := func(name string, configuration *types.CreateBucketConfiguration) error {
		_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name, CreateBucketConfiguration: configuration})
		return err
	}
	wantCode(t, create("second", &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}), "")
	wantCode(t, create("second", nil), "BucketAlreadyOwnedByYou")
	wantCode(t, create("Not_Valid", nil), "InvalidBucketName")

	list, err := client.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil || len(list.Buckets) != 2 || *list.Buckets[1].Name != "second" || list.Buckets[1].CreationDate.IsZero() {
		t.Errorf("buckets: %+v, %v", list, err)
	}
	where, err := client.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: aws.String("second")})
	if err != nil || where.LocationConstraint != "eu-west-1" {
		t.Errorf("location: %+v, %v", where, err)
	}
	where, err = client.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: aws.String("b")})
	if err != nil || where.LocationConstraint != "" {
		t.Errorf("location of the default: %+v, %v", where, err)
	}
	versioning, err := client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: aws.String("b")})
	if err != nil || versioning.Status != "" {
		t.Errorf("versioning: %+v, %v", versioning, err)
	}
	head, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("second")})
	if err != nil || aws.ToString(head.BucketRegion) != "eu-west-1" {
		t.Errorf("head: %+v, %v", head, err)
	}
	_, err = client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("none")})
	wantCode(t, err, "NotFound")

	fake.Put("second", "k", nil)
	_, err = client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("second")})
	wantCode(t, err, "BucketNotEmpty")
	fake.Delete("second", "k")
	_, err = client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("second")})
	wantCode(t, err, "")
	_, err = client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("second")})
	wantCode(t, err, "NotFound")
}

func TestS3DeleteObjects(t *testing.T) {
	fake, server, client := startS3(t)
	etag := fake.Put("b", "a", []byte("1"))
	fake.Put("b", "b", []byte("2"))
	fake.Put("b", "c", []byte("3"))
	out, err := client.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String("b"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: aws.String("a"), ETag: &etag}, {Key: aws.String("b"), ETag: &etag}, {Key: aws.String("none")},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Deleted) != 2 || len(out.Errors) != 1 || *out.Errors[0].Key != "b" || *out.Errors[0].Code != "PreconditionFailed" {
		t.Errorf("deleted %+v, errors %+v", out.Deleted, out.Errors)
	}
	if keys := fake.Keys("b"); !slices.Equal(keys, []string{"b", "c"}) {
		t.Errorf("left: %q", keys)
	}
	const document = "<Delete><Object><Key>c</Key></Object></Delete>"
	for name, c := range map[string]struct{ body, want string }{
		"unproven":  {document, "InvalidRequest"},
		"malformed": {"<Delete><Object>", "MalformedXML"},
		"trailing":  {document + "<x/>", "MalformedXML"},
	} {
		resp, body := rawRequest(t, "POST", server.URL+"/b?delete", strings.NewReader(c.body), nil)
		if resp.StatusCode != 400 || !strings.Contains(body, "<Code>"+c.want+"</Code>") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

func TestS3ForItsOwner(t *testing.T) {
	fake, _, client := startS3(t)
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
	head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("new"), Key: aws.String("k")})
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

// aliasWriter checks that what is written is the stored bytes themselves.
type aliasWriter struct {
	discardWriter
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

func TestS3ServesLargeObjectsWithoutCopying(t *testing.T) {
	fake, server, _ := startS3(t)
	large := make([]byte, 64<<20)
	large[len(large)-1] = 7
	fake.Put("b", "large", large)
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/b/large", nil)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256")
	r.Header.Set("Range", "bytes=1000-")
	w := &aliasWriter{discardWriter: discardWriter{header: http.Header{}}, want: large[1000:], t: t}
	fake.ServeHTTP(w, r)
	if len(w.want) > 0 {
		t.Errorf("%d bytes were not served", len(w.want))
	}
	_, body := rawRequest(t, "GET", server.URL+"/b/large", nil, map[string]string{"Range": "bytes=67108862-"})
	if body != "\x00\x07" {
		t.Errorf("end of the object is %q", body)
	}
}

func etagOf(out *s3.PutObjectOutput) string {
	if out == nil {
		return ""
	}
	return aws.ToString(out.ETag)
}
