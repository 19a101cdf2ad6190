package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/fetch"
)

// published is a source with a signed channel and manifest, and the trust
// that verifies them.
func published(t *testing.T) (*memory, artifacts.Trust, *artifacts.VerifiedPointer) {
	t.Helper()
	private, err := artifacts.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	trust, err := artifacts.NewTrust("1.0.0", 1, private.Public())
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	a := artifacts.Artifact{OS: "linux", Arch: "amd64", Key: "releases/1.0/web", Format: artifacts.File, Size: 1, SHA256: artifacts.Sum([]byte("x")), UnpackedBytes: 1, Entries: 1}
	manifest, err := artifacts.Manifest{Schema: 1, App: "web", Version: "1.0", Created: noon, Artifacts: []artifacts.Artifact{a}}.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	pointer, err := artifacts.Pointer{Schema: 1, App: "web", Channel: "stable", Sequence: 1, Version: "1.0", ManifestSHA256: artifacts.Sum(manifest), Issued: noon}.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	src := newMemory()
	src.put("channels/stable.json", pointer)
	src.put("releases/1.0/manifest.json", manifest)
	verified, err := trust.Pointer(pointer, "web", "stable")
	if err != nil {
		t.Fatal(err)
	}
	return src, trust, verified
}

func TestDocuments(t *testing.T) {
	src, trust, _ := published(t)
	p, err := originOf(trust, src).Pointer(t.Context(), "stable", fetch.Known{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := originOf(trust, src).Manifest(t.Context(), p.Pointer.Choose(""))
	if err != nil || m.Manifest().Version != "1.0" {
		t.Fatalf("%+v, %v", m, err)
	}
	if len(src.log()) != 2 {
		t.Errorf("requests: %v", src.log())
	}
}

// A document that is missing is ErrNotFound or ErrDenied, one that cannot be
// read ErrTransport, one that is read and not verified ErrUntrusted: never two of
// them.
func TestDocumentFaults(t *testing.T) {
	down := errors.New("503")
	for name, tc := range map[string]struct {
		spoil func(*memory)
		want  error // nil = it is read
		most  int   // requests
	}{
		"404":                 {func(m *memory) { m.objects = nil }, bucket.ErrNotFound, 1},
		"403":                 {func(m *memory) { m.fail = always(bucket.ErrDenied) }, bucket.ErrDenied, 1},
		"401":                 {func(m *memory) { m.fail = always(bucket.ErrCredentials) }, bucket.ErrCredentials, 1},
		"503":                 {func(m *memory) { m.fail = always(down) }, down, 1},
		"garbage":             {func(m *memory) { m.put("channels/stable.json", []byte("<Error>")) }, artifacts.ErrUntrusted, 1},
		"empty":               {func(m *memory) { m.put("channels/stable.json", nil) }, artifacts.ErrUntrusted, 1},
		"flipped":             {func(m *memory) { m.body = flipped }, artifacts.ErrUntrusted, 1},
		"oversize":            {func(m *memory) { m.put("channels/stable.json", make([]byte, artifacts.MaxPointerBytes+1)) }, artifacts.ErrUntrusted, 1},
		"cut once":            {func(m *memory) { m.body = first(1, func(_ request, b []byte) io.Reader { return cut(b, 10) }) }, nil, 2},
		"cut again and again": {func(m *memory) { m.body = func(_ request, b []byte) io.Reader { return cut(b, 1) } }, errReset, 8},
		"cut at once":         {func(m *memory) { m.body = func(_ request, b []byte) io.Reader { return cut(b, 0) } }, errReset, 8},
		"longer than it says": {func(m *memory) {
			m.body = func(_ request, b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b), bytes.NewReader(b)) }
		}, fetch.ErrTransport, 1},
		"size that cannot be":   {func(m *memory) { m.lie = func(o *bucket.Object) { o.Size = -1 } }, fetch.ErrTransport, 1},
		"a petabyte":            {func(m *memory) { m.lie = func(o *bucket.Object) { o.Size = 1 << 50 } }, artifacts.ErrUntrusted, 1},
		"1 byte a second":       {func(m *memory) { m.body = func(r request, b []byte) io.Reader { return &trickle{r.ctx, b} } }, fetch.ErrTransport, 8},
		"promoted while read":   {promote(1), nil, 3},
		"promoted all the time": {promote(100), fetch.ErrTransport, 8},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, trust, _ := published(t)
				tc.spoil(src)
				p, err := originOf(trust, src).Pointer(t.Context(), "stable", fetch.Known{})
				if !errors.Is(err, tc.want) || (err == nil) != (p.Pointer != nil) {
					t.Fatalf("%v, %v: want %v", p, err, tc.want)
				}
				classes := 0
				for _, class := range []error{bucket.ErrNotFound, bucket.ErrDenied, bucket.ErrCredentials, fetch.ErrTransport, artifacts.ErrUntrusted} {
					if errors.Is(err, class) {
						classes++
					}
				}
				if err != nil && classes != 1 || errors.Is(err, artifacts.ErrIntegrity) {
					t.Errorf("%v is %d classes of errors, want one", err, classes)
				}
				if n := len(src.log()); n > tc.most {
					t.Errorf("%d requests, want at most %d", n, tc.most)
				}
			})
		})
	}
}

// promote cuts the body and changes the object while it is read, n times.
func promote(n int) func(*memory) {
	return func(m *memory) {
		pointer := m.objects["channels/stable.json"]
		changed := 0
		m.body = func(_ request, b []byte) io.Reader {
			if changed++; changed > n {
				return bytes.NewReader(b)
			}
			m.put("channels/stable.json", append(bytes.Clone(pointer), bytes.Repeat([]byte("\n"), changed)...))
			return cut(b, 10)
		}
	}
}

func TestDocumentNames(t *testing.T) {
	src, trust, _ := published(t)
	for _, channel := range []string{"", "../stable", "Stable", "a/b"} {
		if _, err := originOf(trust, src).Pointer(t.Context(), channel, fetch.Known{}); err == nil {
			t.Errorf("channel %q was asked for", channel)
		}
	}
	if _, err := originOf(trust, src).Manifest(t.Context(), artifacts.Reference{App: "web", Version: "../1.0"}); err == nil {
		t.Error("a version that is a path was asked for")
	}
	if len(src.log()) != 0 {
		t.Errorf("requests: %v", src.log())
	}
}

// Where the context ends, the error is its cause and nothing else: that says
// nothing about the document or the network.
func TestDocumentCancelled(t *testing.T) {
	cause := errors.New("deadline of the boot")
	for name, spoil := range map[string]func(*memory, context.CancelCauseFunc){
		"in a body": func(m *memory, cancel context.CancelCauseFunc) {
			m.body = func(r request, b []byte) io.Reader { cancel(cause); return &trickle{r.ctx, b} }
		},
		"in a request": func(m *memory, cancel context.CancelCauseFunc) {
			m.fail = func(r request) error { cancel(cause); <-r.ctx.Done(); return r.ctx.Err() }
		},
		"in a pause": func(m *memory, cancel context.CancelCauseFunc) {
			m.body = func(_ request, b []byte) io.Reader {
				time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
				return cut(b, 0)
			}
		},
		"in the last body that would have been tried": func(m *memory, cancel context.CancelCauseFunc) {
			m.body = func(r request, b []byte) io.Reader {
				if r.n == 7 {
					cancel(cause)
				}
				return cut(b, 0)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, trust, pointer := published(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				spoil(src, cancel)
				if _, err := originOf(trust, src).Manifest(ctx, pointer.Choose("")); err != cause { //nolint:errorlint // it must be bare
					t.Errorf("got %v, want the context's cause", err)
				}
			})
		})
	}
}

func TestBlob(t *testing.T) {
	data := noise(30, 10_000)
	b := artifacts.Blob{Key: "index", Size: 10_000, SHA256: artifacts.Sum(data)}
	for name, tc := range map[string]struct {
		stored []byte
		want   error
	}{
		"right":   {data, nil},
		"flipped": {flip(data, 77), artifacts.ErrIntegrity},
		"longer":  {append(bytes.Clone(data), 0), artifacts.ErrIntegrity},
		"shorter": {data[1:], artifacts.ErrIntegrity},
	} {
		src := newMemory()
		src.put("index", tc.stored)
		got, err := originOf(artifacts.Trust{}, src).Blob(t.Context(), b)
		if !errors.Is(err, tc.want) || (err == nil) != bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := originOf(artifacts.Trust{}, newMemory()).Blob(t.Context(), b); errors.Is(err, fetch.ErrTransport) || !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
}
