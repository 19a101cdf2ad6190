//go:build e2e

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/failure"
)

// noise is how large the artifacts of these tests are, about: several parts.
const noise = 20 << 20

// artifactPath is in the path of every artifact, and of nothing else.
const artifactPath = ".tar.zst"

// TestE2ES3 boots with all the faults of S3 and the network, with the real SDK. An
// instance that gets the whole artifact comes into service, any other is abandoned
// with the exit code of the fault.
func TestE2ES3(t *testing.T) {
	l := newLab(t)
	l.release("1", noise)
	artifact, _ := l.aws.S3().Object("releases", l.artifactKey("1"))
	cases := []s3Case{
		{name: "nothing", requests: 22, once: true},
		{name: "503 at first", faults: []faults.Fault{on(faults.Fault{Status: 503, Code: "SlowDown", Times: 3})}, requests: 25, once: true},
		{name: "500, 502, 504", faults: []faults.Fault{on(faults.Fault{Status: 500, Times: 1}), on(faults.Fault{Status: 502, Times: 1}), on(faults.Fault{Status: 504, Times: 1})}, requests: 25, once: true},
		{name: "503 without end", slow: true, faults: []faults.Fault{on(faults.Fault{Status: 503, Code: "SlowDown", Times: 100})}, code: failure.Fetch, says: "SlowDown", requests: maxAttempts},
		{name: "reset before an answer", faults: []faults.Fault{on(faults.Fault{Reset: true, Times: 4})}, requests: 26, once: true},
		{name: "cut at 1", faults: []faults.Fault{on(faults.Fault{Cut: 1, Times: 5})}, requests: 27, once: true},
		{name: "cut at 100,000", faults: []faults.Fault{on(faults.Fault{Cut: 100_000, Times: 5})}, requests: 27, once: true},
		{name: "cut at 1,000,000", faults: []faults.Fault{on(faults.Fault{Cut: 1_000_000, Times: 5})}, requests: 27, once: true},
		{name: "every body cut", slow: true, faults: []faults.Fault{on(faults.Fault{Cut: 1000})}, code: failure.Fetch, says: "could not be fetched"},
		{name: "one body at 1 byte/s", slow: true, faults: []faults.Fault{on(faults.Fault{BytesPerSecond: 1, Times: 1, Skip: 1})}, requests: 23},
		{name: "all at 1 byte/s", faults: []faults.Fault{on(faults.Fault{BytesPerSecond: 1})}, more: "[lifecycle]\ndeadline = \"3s\"\n[health]\ntimeout = \"1s\"\n", code: failure.Deadline, says: "deadline"},
		{name: "Retry-After an hour, twice", faults: []faults.Fault{on(faults.Fault{Status: 503, RetryAfter: "3600", Times: 2})}, requests: 24, once: true},
		{name: "Retry-After an hour, always", faults: []faults.Fault{on(faults.Fault{Status: 503, RetryAfter: "3600"})}, more: "[lifecycle]\ndeadline = \"3s\"\n[health]\ntimeout = \"1s\"\n", code: failure.Deadline, says: "deadline"},
		{name: "Range ignored", faults: []faults.Fault{on(faults.Fault{IgnoreRange: true})}, code: failure.Fetch, says: "Content-Range", requests: 1},
		{name: "Range ignored later", faults: []faults.Fault{on(faults.Fault{IgnoreRange: true, Skip: 1})}, code: failure.Fetch, says: "Content-Range"},
		{name: "wrong Content-Range", faults: []faults.Fault{on(faults.Fault{Header: map[string]string{"Content-Range": "bytes 1-10/11"}})}, code: failure.Fetch, says: "Content-Range", requests: 1},
		{name: "other object in Content-Range", faults: []faults.Fault{on(faults.Fault{Skip: 1, Header: map[string]string{"Content-Range": "bytes 0-9/10"}})}, code: failure.Fetch, says: "Content-Range"},
		{name: "Content-Encoding added", faults: []faults.Fault{on(faults.Fault{Header: map[string]string{"Content-Encoding": "gzip"}})}, code: failure.Fetch, says: "Content-Encoding", requests: 1},
		{name: "ETag taken away", faults: []faults.Fault{on(faults.Fault{Header: map[string]string{"ETag": ""}})}}, // the signed hashes decide
		{name: "longer than signed", faults: []faults.Fault{on(faults.Fault{ExtraBytes: 7})}, code: failure.Fetch, says: "Content-Length"},
		{name: "one bit, once", faults: []faults.Fault{on(faults.Fault{Corrupt: new(int64), Times: 1})}, requests: 23},
		{name: "one bit, always", faults: []faults.Fault{on(faults.Fault{Corrupt: new(int64)})}, code: failure.Integrity, says: "sha256"},
		{name: "redirect", faults: []faults.Fault{on(faults.Fault{Status: http.StatusMovedPermanently, Code: "PermanentRedirect", Header: map[string]string{"Location": "http://127.0.0.1:1/"}})}, code: failure.Fetch, says: "PermanentRedirect", requests: 1},
		{name: "temporary redirect to nowhere", faults: []faults.Fault{on(faults.Fault{Status: http.StatusTemporaryRedirect, Header: map[string]string{"Location": "http://127.0.0.1:1/"}})}, code: failure.Fetch, says: "which is not followed", requests: 1},
		{name: "200 with an error in XML", faults: []faults.Fault{on(faults.Fault{Status: 200, Code: "InternalError"})}, code: failure.Fetch, says: "answered with", requests: 1},
		{name: "403", faults: []faults.Fault{on(faults.Fault{Status: 403, Code: "AccessDenied", Message: "access denied"})}, more: "[lifecycle]\ndeadline = \"4s\"\n[health]\ntimeout = \"1s\"\n", code: failure.Credentials, says: "access denied", requests: 8},
		{name: "403 twice", faults: []faults.Fault{on(faults.Fault{Status: 403, Code: "AccessDenied", Message: "access denied", Times: 2})}, requests: 24, once: true},
		{name: "404", faults: []faults.Fault{on(faults.Fault{Status: 404, Code: "NoSuchKey", Message: "no such key"})}, code: failure.Resolve, says: "no such key", requests: 1},
		{name: "pointer: 503 at first", faults: []faults.Fault{{Service: "s3", Path: "channels/", Status: 503, Times: 3}}},
		{name: "pointer: 200 with an error in XML", faults: []faults.Fault{{Service: "s3", Path: "channels/", Status: 200, Code: "InternalError"}}, code: failure.Untrusted, says: "channels/stable.json"},
		{name: "pointer: cut", faults: []faults.Fault{{Service: "s3", Path: "channels/", Cut: 40, Times: 2}}},
		{name: "pointer: longer than said", faults: []faults.Fault{{Service: "s3", Path: "channels/", ExtraBytes: 1}}, code: failure.Untrusted, says: "verification failed"},
		{name: "manifest: 404", faults: []faults.Fault{{Service: "s3", Path: "manifest.json", Status: 404, Code: "NoSuchKey", Message: "no such key"}}, code: failure.Resolve, says: "no such key"},
	}
	slow := map[string]*s3Boot{}
	for _, c := range cases {
		if c.slow {
			slow[c.name] = l.begin(c)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			boot := slow[c.name]
			if boot == nil {
				boot = l.on(t).begin(c)
			}
			boot.lab = l.on(t)
			boot.judge(c, artifact)
		})
	}
}

// s3Case is one fault of S3, and the outcome that it must have.
type s3Case struct {
	name     string
	slow     bool // it mostly waits: started in parallel with all others
	faults   []faults.Fault
	more     string // configuration
	code     failure.Code
	says     string
	requests int  // for the artifact, at most; 0 = not counted
	once     bool // no byte of it is asked for twice
}

// s3Boot is a boot with that fault.
type s3Boot struct {
	*box
	boot *running
}

func (l *lab) begin(c s3Case) *s3Boot {
	l.Helper()
	b := l.launch(autoscaling.LaunchOptions{})
	b.override("20-more", c.more)
	b.suffers(c.faults...)
	return &s3Boot{b, b.start("boot")}
}

func (b *s3Boot) judge(c s3Case, artifact []byte) {
	b.Helper()
	r := b.boot.wait()
	r.want(b.T, c.code)
	if calls := b.artifactCalls(); c.requests > 0 && len(calls) > c.requests {
		b.Errorf("%d requests for the artifact, want at most %d: %v", len(calls), c.requests, calls)
	}
	if c.once {
		b.sentOnce(artifact)
	}
	if c.code == 0 {
		b.told("CONTINUE")
		b.verifies("1")
		return
	}
	r.says(b.T, c.says, "")
	b.told("ABANDON")
	if got := b.current(); got != "" {
		b.Errorf("current is %s", got)
	}
	b.tidy()
}

// TestE2EFlakyS3 boots twenty times with an S3 that refuses five requests in a
// hundred and resets five more in the middle of their body.
func TestE2EFlakyS3(t *testing.T) {
	l := newLab(t)
	l.release("1", noise)
	l.aws.Faults().Add(faults.Fault{Service: "s3", Status: 503, Code: "SlowDown", Percent: 5})
	l.aws.Faults().Add(faults.Fault{Service: "s3", Path: artifactPath, ResetAfter: 1 << 20, Percent: 5})
	t.Run("boots", func(t *testing.T) {
		for n := range 20 {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				b := l.on(t).launch(autoscaling.LaunchOptions{})
				b.exits(0, "boot")
				b.told("CONTINUE")
				b.verifies("1")
			})
		}
	})
	for _, f := range l.aws.Faults().List() {
		t.Logf("%d of %d requests met %+v", f.Hits, f.Matches, f.Fault)
		if f.Hits == 0 {
			t.Errorf("fault %d hit nothing", f.ID)
		}
	}
}

// TestE2EReplacedObject replaces the artifact while it is being read. Bytes from
// before and after must not be combined to one object.
func TestE2EReplacedObject(t *testing.T) {
	l := newLab(t)
	l.release("1", noise)
	b := l.launch(autoscaling.LaunchOptions{})
	l.aws.Faults().Add(faults.Fault{Service: "s3", Path: artifactPath, Skip: 1, Hang: true})
	boot := b.start("boot")
	b.await("s3", artifactPath, 2)
	l.aws.S3().Mutate("releases", l.artifactKey("1"), func(data []byte) []byte { return append(data[:len(data)-1], data[len(data)-1]^1) })
	l.aws.Faults().Clear()
	r := boot.wait()
	r.want(t, failure.Integrity)
	r.says(t, "the object has changed while it was read", "in the bucket are not the ones that were signed")
	b.told("ABANDON")
	b.tidy()
	for _, c := range b.artifactCalls() {
		if c.Status == http.StatusPreconditionFailed {
			return
		}
	}
	t.Error("no request was pinned to the object that was being read")
}

// on makes a fault one of the requests for artifacts.
func on(f faults.Fault) faults.Fault {
	f.Service, f.Path = "s3", artifactPath
	return f
}

// suffers makes faults this instance's alone, until it recovers.
func (b *box) suffers(faults ...faults.Fault) (recovers func()) {
	var ids []int
	for _, f := range faults {
		f.Instance = b.instance.ID()
		ids = append(ids, b.lab.aws.Faults().Add(f))
	}
	return func() {
		for _, id := range ids {
			b.lab.aws.Faults().Remove(id)
		}
	}
}

func (l *lab) artifactKey(version string) string {
	l.Helper()
	for _, key := range l.aws.S3().Keys("releases") {
		if strings.Contains(key, "/"+version+"/") && strings.HasSuffix(key, artifactPath) {
			return key
		}
	}
	l.Fatalf("version %s has no artifact", version)
	return ""
}

func (b *box) artifactCalls() []faults.Call {
	return b.calls("s3", artifactPath)
}

// calls are this instance's to a service, with a part of their path.
func (b *box) calls(service, path string) []faults.Call {
	return b.lab.aws.Calls().Filter(func(c faults.Call) bool {
		return c.Service == service && c.Instance == b.instance.ID() && strings.Contains(c.Path, path)
	})
}

// await waits for the nth such call.
func (b *box) await(service, path string, n int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	for all := 0; len(b.calls(service, path)) < n; all++ {
		all = max(all, b.lab.aws.Calls().Count("", ""))
		must(b.T, b.lab.aws.Calls().Await(ctx, "", "", all+1))
	}
}

// sentOnce asserts that no byte of the artifact was asked for again once it had
// come.
func (b *box) sentOnce(artifact []byte) {
	b.Helper()
	var sent int64
	for _, c := range b.artifactCalls() {
		if c.Status == http.StatusPartialContent {
			sent += c.Bytes
		}
	}
	if sent != int64(len(artifact)) {
		b.Errorf("%d bytes of the artifact were sent, it has %d", sent, len(artifact))
	}
}
