package s3_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"koboshi/agent/awstest/faults"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

const text = "0123456789"

var middle = bucket.Range{Offset: 3, Length: 4}

// What is not the answer to the request is never handed on.
func TestWrongAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		fault faults.Fault
		r     bucket.Range
		what  string
	}{
		"range ignored":            {faults.Fault{IgnoreRange: true}, middle, "Content-Range"},
		"range ignored to end":     {faults.Fault{IgnoreRange: true}, bucket.Range{Offset: 3}, "Content-Range"},
		"other range":              {header("Content-Range", "bytes 2-5/10"), middle, "Content-Range"},
		"shorter range":            {header("Content-Range", "bytes 3-5/10"), middle, "Content-Range"},
		"shorter body":             {header("Content-Length", "3"), middle, "Content-Length"},
		"longer range":             {header("Content-Range", "bytes 3-7/10"), middle, "Content-Range"},
		"size left open":           {header("Content-Range", "bytes 3-6/*"), middle, "Content-Range"},
		"size too small":           {header("Content-Range", "bytes 3-6/5"), middle, "Content-Range"},
		"no content range":         {header("Content-Range", ""), middle, "Content-Range"},
		"longer than its range":    {faults.Fault{ExtraBytes: 5}, middle, "Content-Length"},
		"as long, but elsewhere":   {faults.Fault{Header: map[string]string{"Content-Range": "bytes 2-6/10"}, ExtraBytes: 1}, middle, "Content-Range"},
		"a range of the whole":     {header("Content-Range", "bytes 0-9/10"), bucket.Range{}, "Content-Range"},
		"encoded":                  {header("Content-Encoding", "gzip"), middle, "Content-Encoding"},
		"whole, encoded":           {header("Content-Encoding", "br"), bucket.Range{}, "Content-Encoding"},
		"pin ignored":              {header("ETag", `"other"`), bucket.Range{Offset: 3, ETag: pin}, "ETag"},
		"whole, of unknown length": {faults.Fault{Header: map[string]string{"Content-Length": ""}, BytesPerSecond: 1 << 30}, bucket.Range{}, "Content-Length"},
	} {
		t.Run(name, func(t *testing.T) {
			b, server := mocked(t)
			if c.r.ETag == pin {
				c.r.ETag = mustPut(t, b, "k", text).ETag
			}
			mustPut(t, b, "k", text)
			c.fault.Operation = "GetObject"
			server.Faults().Add(c.fault)
			got, err := get(t, b, "k", c.r)
			wrong, ok := errors.AsType[*bucket.AnswerError](err)
			if !ok || wrong.What != c.what {
				t.Fatalf("got %q and %v, want an AnswerError about %s", got, err, c.what)
			}
			if n := server.Calls().Count("s3", "GetObject"); n != 1 {
				t.Errorf("asked %d times, want once", n)
			}
		})
	}
}

// TestOddAnswers: what a store says of its bytes besides their number does not
// count, since the signed hashes decide.
func TestOddAnswers(t *testing.T) {
	for name, f := range map[string]faults.Fault{
		"no ETag":                       header("ETag", ""),
		"a weak ETag":                   header("ETag", `W/"a"`),
		"an upload's encoding":          header("Content-Encoding", "aws-chunked"),
		"an upload's, and the object's": header("Content-Encoding", "aws-chunked,identity"),
	} {
		b, server := mocked(t)
		stored := mustPut(t, b, "k", text)
		server.Faults().Add(f)
		for _, r := range []bucket.Range{{}, middle, {Offset: 3, Length: 4, ETag: stored.ETag}} {
			body, object, err := b.Get(t.Context(), "k", r)
			if err != nil {
				t.Errorf("%s, %+v: %v", name, r, err)
				continue
			}
			data, err := io.ReadAll(body)
			if err := errors.Join(err, body.Close()); err != nil || !strings.Contains(text, string(data)) {
				t.Errorf("%s, %+v: %q and %v", name, r, data, err)
			}
			if _, named := f.Header["ETag"]; named == (object.ETag != "") {
				t.Errorf("%s: the ETag is %q", name, object.ETag)
			}
		}
	}
}

const pin = "the ETag of the object"

func header(name, value string) faults.Fault {
	return faults.Fault{Header: map[string]string{name: value}}
}

func TestErrorsOfGet(t *testing.T) {
	for name, c := range map[string]struct {
		fault    faults.Fault
		sentinel error
		code     string
		requests int
	}{
		"missing":          {faults.Fault{Status: 404, Code: "NoSuchKey"}, bucket.ErrNotFound, "NoSuchKey", 1},
		"no bucket":        {faults.Fault{Status: 404, Code: "NoSuchBucket"}, bucket.ErrNotFound, "NoSuchBucket", 1},
		"denied":           {faults.Fault{Status: 403, Code: "AccessDenied"}, bucket.ErrDenied, "AccessDenied", 1},
		"expired":          {faults.Fault{Status: 400, Code: "ExpiredToken"}, bucket.ErrCredentials, "ExpiredToken", 1},
		"unknown key":      {faults.Fault{Status: 403, Code: "InvalidAccessKeyId"}, bucket.ErrCredentials, "InvalidAccessKeyId", 1},
		"changed":          {faults.Fault{Status: 412, Code: "PreconditionFailed"}, bucket.ErrChanged, "PreconditionFailed", 1},
		"slow down":        {faults.Fault{Status: 503, Code: "SlowDown"}, nil, "SlowDown", attempts},
		"internal":         {faults.Fault{Status: 500, Code: "InternalError"}, nil, "InternalError", attempts},
		"not even XML":     {faults.Fault{Status: 502, Body: "<html>bad gateway"}, nil, "", attempts},
		"reset before all": {faults.Fault{Reset: true}, nil, "", attempts},
	} {
		t.Run(name, func(t *testing.T) {
			b, server := mocked(t)
			c.fault.Operation = "GetObject"
			server.Faults().Add(c.fault)
			_, err := get(t, b, "k", middle)
			wantSentinel(t, err, c.sentinel)
			if api, ok := errors.AsType[smithy.APIError](err); c.code != "" && (!ok || api.ErrorCode() != c.code) {
				t.Errorf("got %v, want an API error %s inside", err, c.code)
			}
			if n := server.Calls().Count("s3", "GetObject"); n != c.requests {
				t.Errorf("asked %d times, want %d", n, c.requests)
			}
			discreet(t, err)
		})
	}
}

// A fault that passes is not noticed.
func TestRetriedUntilFirstByte(t *testing.T) {
	b, server := mocked(t)
	mustPut(t, b, "k", text)
	server.Faults().Add(faults.Fault{Operation: "GetObject", Status: 503, Code: "SlowDown", Times: 1})
	server.Faults().Add(faults.Fault{Operation: "GetObject", Reset: true, Times: 1})
	if got, err := get(t, b, "k", middle); got != "3456" || err != nil {
		t.Errorf("got %q and %v, want the range", got, err)
	}
}

// A body that breaks off is its reader's to resume: no second request.
func TestCutBodyIsNotRetried(t *testing.T) {
	for name, fault := range map[string]faults.Fault{"cut": {Cut: 2}, "reset": {ResetAfter: 2}} {
		b, server := mocked(t)
		mustPut(t, b, "k", text)
		fault.Operation = "GetObject"
		server.Faults().Add(fault)
		got, err := get(t, b, "k", middle)
		if err == nil || !strings.HasPrefix("34", got) || name == "cut" && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: got %q and %v, want at most %q and an error", name, got, err, "34")
		}
		if n := server.Calls().Count("s3", "GetObject"); n != 1 {
			t.Errorf("%s: asked %d times, want once", name, n)
		}
	}
}

// wantSentinel holds err to be that one of package artifacts' and no other.
func wantSentinel(t *testing.T, err, sentinel error) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, other := range []error{bucket.ErrNotFound, bucket.ErrDenied, bucket.ErrCredentials, bucket.ErrChanged, bucket.ErrExists, bucket.ErrConflict} {
		if got, want := errors.Is(err, other), other == sentinel; got != want {
			t.Errorf("got %v, want %v", err, sentinel)
		}
	}
}

// discreet holds err to name the object, and neither a URL nor who asked.
func discreet(t *testing.T, err error) {
	t.Helper()
	if !strings.Contains(err.Error(), "s3://releases/apps/web/k") {
		t.Errorf("%q does not name the object", err)
	}
	for _, secret := range []string{"http:", "x-id", accessKey, secretKey} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q tells %q", err, secret)
		}
	}
}

// Where a bucket is somewhere else S3 says where, and that is all that is done
// about it.
func TestBucketOfAnotherRegion(t *testing.T) {
	for name, c := range map[string]struct {
		fault faults.Fault
		want  string
	}{
		"redirected":      {faults.Fault{Status: 301, Code: "PermanentRedirect"}, "eu-west-1"},
		"a new bucket":    {faults.Fault{Status: 307, Code: "TemporaryRedirect"}, "eu-west-1"},
		"signed for ours": {faults.Fault{Status: 400, Code: "AuthorizationHeaderMalformed"}, "eu-west-1"},
		"in the body only": {faults.Fault{Status: 400, Header: map[string]string{},
			Body: "<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>"}, "eu-west-1"},
		"denied":           {faults.Fault{Status: 403, Code: "AccessDenied"}, ""},
		"our own, renamed": {faults.Fault{Status: 400, Code: "InvalidRequest", Header: map[string]string{"X-Amz-Bucket-Region": "us-east-1"}}, ""},
	} {
		b, server := mocked(t)
		if c.fault.Header == nil {
			c.fault.Header = map[string]string{"X-Amz-Bucket-Region": "eu-west-1", "Location": server.URL() + "/elsewhere"}
		}
		server.Faults().Add(c.fault)
		_, err := get(t, b, "k", bucket.Range{})
		if e, ok := errors.AsType[*s3.Error](err); !ok || e.Region != c.want {
			t.Errorf("%s: got %v, want the region %q", name, err, c.want)
		}
		if n := server.Calls().Count("s3", "GetObject"); n != 1 {
			t.Errorf("%s: asked %d times, want once", name, n)
		}
	}
}
