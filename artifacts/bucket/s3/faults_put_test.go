package s3_test

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/faults"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

func TestErrorsOfPut(t *testing.T) {
	absent, etag := bucket.Condition{Absent: true}, bucket.Condition{ETag: `"x"`}
	onceAbsent, onceETag := bucket.Condition{Absent: true, Once: true}, bucket.Condition{ETag: `"x"`, Once: true}
	for name, c := range map[string]struct {
		fault    faults.Fault
		when     bucket.Condition
		sentinel error
		requests int
	}{
		"exists":               {faults.Fault{Status: 412, Code: "PreconditionFailed"}, absent, bucket.ErrExists, 1},
		"changed":              {faults.Fault{Status: 412, Code: "PreconditionFailed"}, etag, bucket.ErrChanged, 1},
		"object gone":          {faults.Fault{Status: 404, Code: "NoSuchKey"}, etag, bucket.ErrChanged, 1},
		"bucket gone":          {faults.Fault{Status: 404, Code: "NoSuchBucket"}, etag, bucket.ErrNotFound, 1},
		"denied":               {faults.Fault{Status: 403, Code: "AccessDenied"}, absent, bucket.ErrDenied, 1},
		"conflict without end": {faults.Fault{Status: 409, Code: "ConditionalRequestConflict"}, absent, bucket.ErrConflict, attempts},
		"conflict, once":       {faults.Fault{Status: 409, Code: "ConditionalRequestConflict", Times: 1}, onceAbsent, bucket.ErrConflict, 1},
		"conflict of a swap":   {faults.Fault{Status: 409, Code: "ConditionalRequestConflict", Times: 1}, onceETag, bucket.ErrConflict, 1},
		"changed, once":        {faults.Fault{Status: 412, Code: "PreconditionFailed"}, onceETag, bucket.ErrChanged, 1},
		"down":                 {faults.Fault{Status: 503, Code: "SlowDown"}, absent, nil, attempts},
	} {
		t.Run(name, func(t *testing.T) {
			b, server := mocked(t)
			c.fault.Operation = "PutObject"
			server.Faults().Add(c.fault)
			_, err := put(t, b, "k", []byte(text), c.when)
			wantSentinel(t, err, c.sentinel)
			if n := server.Calls().Count("s3", "PutObject"); n != c.requests {
				t.Errorf("asked %d times, want %d", n, c.requests)
			}
			discreet(t, err)
		})
	}
}

func TestConflictPasses(t *testing.T) {
	b, server := mocked(t)
	server.Faults().Add(faults.Fault{Operation: "PutObject", Status: 409, Code: "ConditionalRequestConflict", Times: 2})
	if _, err := put(t, b, "k", []byte(text), bucket.Condition{Absent: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, b, "k", bucket.Range{}); got != text || err != nil {
		t.Errorf("stored %q and %v", got, err)
	}
}

// The doc comment of Put warns of it; package publish has to cope.
func TestLostReplyLooksLikeARival(t *testing.T) {
	b, server := mocked(t)
	server.Faults().Add(faults.Fault{Operation: "PutObject", Applied: true, Reset: true, Times: 1})
	_, err := put(t, b, "k", []byte(text), bucket.Condition{Absent: true})
	wantSentinel(t, err, bucket.ErrExists)
	if got, err := get(t, b, "k", bucket.Range{}); got != text || err != nil {
		t.Errorf("stored %q and %v, want our own bytes", got, err)
	}
}

var large = bytes.Repeat([]byte("large object "), 17<<20/13)

func TestLargePutIsAbortedOnFailure(t *testing.T) {
	for name, c := range map[string]struct {
		fault    faults.Fault
		sentinel error
		aborts   int
	}{
		"a part is denied":    {faults.Fault{Operation: "UploadPart", Status: 403, Code: "AccessDenied"}, bucket.ErrDenied, 1},
		"a part never passes": {faults.Fault{Operation: "UploadPart", Reset: true}, nil, 1},
		"lost at the end":     {faults.Fault{Operation: "CompleteMultipartUpload", Status: 412, Code: "PreconditionFailed"}, bucket.ErrExists, 1},
		"200 with an error":   {faults.Fault{Operation: "CompleteMultipartUpload", Body: "<Error><Code>AccessDenied</Code></Error>"}, nil, 1},
		"not even begun":      {faults.Fault{Operation: "CreateMultipartUpload", Status: 403, Code: "AccessDenied"}, bucket.ErrDenied, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b, server := mocked(t)
			server.Faults().Add(c.fault)
			_, err := put(t, b, "k", large, bucket.Condition{Absent: true})
			wantSentinel(t, err, c.sentinel)
			discreet(t, err)
			if n := server.Calls().Count("s3", "AbortMultipartUpload"); n != c.aborts {
				t.Errorf("aborted %d times, want %d", n, c.aborts)
			}
			if keys := server.S3().Keys("releases"); len(keys) != 0 {
				t.Errorf("stored %q", keys)
			}
		})
	}
}

// After a conflict S3 wants the upload begun anew, every part of it; after a
// lost answer the upload is no more, and the rival is ourselves.
func TestLargePutBeginsAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fault    faults.Fault
		once     bool
		sentinel error
		stored   bool
	}{
		"conflict":         {faults.Fault{Status: 409, Code: "ConditionalRequestConflict", Times: 1}, false, nil, true},
		"conflict, once":   {faults.Fault{Status: 409, Code: "ConditionalRequestConflict", Times: 1}, true, bucket.ErrConflict, false},
		"lost reply":       {faults.Fault{Applied: true, Reset: true, Times: 1}, false, bucket.ErrExists, true},
		"lost reply, once": {faults.Fault{Applied: true, Reset: true, Times: 1}, true, bucket.ErrConflict, true},
	} {
		t.Run(name, func(t *testing.T) {
			b, server := mocked(t)
			c.fault.Operation = "CompleteMultipartUpload"
			server.Faults().Add(c.fault)
			_, err := put(t, b, "k", large, bucket.Condition{Absent: true, Once: c.once})
			if c.sentinel != nil || err != nil {
				wantSentinel(t, err, c.sentinel)
			}
			if got, ok := server.S3().Object("releases", "apps/web/k"); ok != c.stored || ok && !bytes.Equal(got, large) {
				t.Errorf("stored %v: %d bytes, want %v: %d", ok, len(got), c.stored, len(large))
			}
		})
	}
}

func TestLargePutIsAbortedWhenCancelled(t *testing.T) {
	b, server := mocked(t)
	server.Faults().Add(faults.Fault{Operation: "UploadPart", Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := b.Put(ctx, "k", bytes.NewReader(large), int64(len(large)), bucket.Condition{})
		done <- err
	}()
	if err := server.Calls().Await(t.Context(), "s3", "UploadPart", 2); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if n := server.Calls().Count("s3", "AbortMultipartUpload"); n != 1 {
		t.Errorf("aborted %d times, want once", n)
	}
}

// What an attempt has sent that failed does not count.
func TestProgress(t *testing.T) {
	plain, server := mocked(t)
	t.Run("HTTP", func(t *testing.T) { reportsProgress(t, plain, server) })
	certified := httptest.NewTLSServer(nil) // over TLS the SDK sends the checksum behind the body
	defer certified.Close()
	server = awstest.New(t, awstest.WithTLS(certified.TLS.Certificates[0]))
	server.S3().CreateBucket("releases")
	cfg := config(server.TLSURL())
	cfg.HTTPClient = certified.Client()
	t.Run("HTTPS", func(t *testing.T) { reportsProgress(t, s3.New(cfg, "releases", ""), server) })
}

func reportsProgress(t *testing.T, b *s3.Bucket, server *awstest.Server) {
	t.Helper()
	for _, operation := range []string{"UploadPart", "PutObject"} {
		server.Faults().Add(faults.Fault{Operation: operation, Applied: true, Status: 503, Code: "SlowDown", Times: 1})
	}
	var mu sync.Mutex
	seen := map[string][]int64{}
	b.Progress = func(key string, sent, size int64) {
		mu.Lock()
		defer mu.Unlock()
		if size != map[string]int64{"large": int64(len(large)), "small": int64(len(text))}[key] || sent > size {
			t.Errorf("progress of %q: %d of %d bytes", key, sent, size)
		}
		seen[key] = append(seen[key], sent)
	}
	for key, data := range map[string][]byte{"large": large, "small": []byte(text)} {
		if _, err := put(t, b, key, data, bucket.Condition{}); err != nil {
			t.Fatal(err)
		}
		last := seen[key][len(seen[key])-1]
		if back := !slices.IsSorted(seen[key]); last != int64(len(data)) || !back {
			t.Errorf("progress of %q ends at %d of %d bytes, and a failed attempt was taken back: %v", key, last, len(data), back)
		}
	}
}
