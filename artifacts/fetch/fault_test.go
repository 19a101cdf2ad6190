package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/fetch"
)

// Everything that S3 and a network do to an artifact. kind is which of the
// exit codes 15 and 16 follows; requests is how many were made in all.
func TestDownloadFaults(t *testing.T) {
	const size, part = 256 << 10, 64 << 10
	data := noise(6, size)
	throttled := errors.New("503 SlowDown after 7 attempts")
	for name, tc := range map[string]struct {
		spoil    func(*memory)
		chunked  error // what becomes of it with chunks; nil = it succeeds
		whole    error // and without
		requests [2]int
	}{
		"404":                {func(m *memory) { delete(m.objects, key) }, bucket.ErrNotFound, bucket.ErrNotFound, [2]int{1, 1}},
		"403":                {func(m *memory) { m.fail = always(bucket.ErrDenied) }, bucket.ErrDenied, bucket.ErrDenied, [2]int{1, 1}},
		"503 from the start": {func(m *memory) { m.fail = always(throttled) }, throttled, throttled, [2]int{1, 1}},
		"503 to a resumed body": {func(m *memory) {
			m.body = first(1, func(_ request, data []byte) io.Reader { return cut(data, 1000) })
			m.fail = func(r request) error {
				if r.Offset%part == 1000 {
					return throttled
				}
				return nil
			}
		}, throttled, throttled, [2]int{}},
		"larger than signed":  {func(m *memory) { m.put(key, append(bytes.Clone(data), 0)) }, artifacts.ErrIntegrity, artifacts.ErrIntegrity, [2]int{1, 1}},
		"smaller than signed": {func(m *memory) { m.put(key, data[1:]) }, artifacts.ErrIntegrity, artifacts.ErrIntegrity, [2]int{1, 1}},
		"bodies longer than asked for": {func(m *memory) {
			m.body = func(_ request, data []byte) io.Reader { return bytes.NewReader(append(bytes.Clone(data), 0)) }
		}, fetch.ErrTransport, fetch.ErrTransport, [2]int{}},
		"one bit flipped on the way": {func(m *memory) { m.body = onceAt(part, flipped) }, nil, artifacts.ErrIntegrity, [2]int{5, 4}},
		"one bit flipped twice": {func(m *memory) {
			m.body = func(r request, data []byte) io.Reader {
				if r.Offset == part && r.n < 3 {
					return flipped(r, data)
				}
				return bytes.NewReader(data)
			}
		}, nil, artifacts.ErrIntegrity, [2]int{6, 4}},
		"one bit flipped in the bucket": {func(m *memory) { m.objects[key] = flip(data, part+5) }, artifacts.ErrIntegrity, artifacts.ErrIntegrity, [2]int{}},
		"every body cut once": {func(m *memory) {
			m.body = func(r request, data []byte) io.Reader {
				if r.Offset%part == 0 {
					return cut(data, part/3)
				}
				return bytes.NewReader(data)
			}
		}, nil, nil, [2]int{8, 8}},
		"a body that never gets on": {func(m *memory) {
			m.body = onceFrom(part, func(request, []byte) io.Reader { return errorReader{errReset} })
		}, errReset, errReset, [2]int{}},
		"1 byte a second": {func(m *memory) { m.body = func(r request, data []byte) io.Reader { return &trickle{r.ctx, data} } }, fetch.ErrTransport, fetch.ErrTransport, [2]int{}},
		"replaced by other bytes": {func(m *memory) {
			m.body = first(1, func(_ request, data []byte) io.Reader { m.put(key, noise(7, size)); return bytes.NewReader(data) })
		}, bucket.ErrChanged, bucket.ErrChanged, [2]int{}},
		"another ETag though pinned": {func(m *memory) {
			n := 0
			m.deaf = true
			m.lie = func(o *bucket.Object) { n++; o.ETag = strconv.Itoa(n) }
		}, artifacts.ErrIntegrity, artifacts.ErrIntegrity, [2]int{}},
	} {
		for i, chunk := range []int{part, 0} {
			want := []error{tc.chunked, tc.whole}[i]
			t.Run(fmt.Sprintf("%s/chunks of %d", name, chunk), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					src := newMemory()
					src.put(key, data)
					tc.spoil(src)
					start := time.Now()
					_, err := download(t, src, artifactOf(data, chunk), data, fetch.Options{Workers: 1, SlotBytes: part})
					if !errors.Is(err, want) {
						t.Fatalf("got %v, want %v", err, want)
					}
					checkKind(t, err, want)
					if n := tc.requests[i]; n > 0 && len(src.log()) != n {
						t.Errorf("%d requests, want %d: %v", len(src.log()), n, src.log())
					}
					if n := len(src.log()); n > 4+32 {
						t.Errorf("%d requests: no budget held", n)
					}
					if took := time.Since(start); took > 5*time.Minute {
						t.Errorf("took %s", took)
					}
				})
			})
		}
	}
}

// checkKind checks that an error has one class: the source's answer, the
// transport, or the bytes.
func checkKind(t *testing.T, err, want error) {
	t.Helper()
	transport, integrity := errors.Is(err, fetch.ErrTransport), errors.Is(err, artifacts.ErrIntegrity)
	answered := errors.Is(want, bucket.ErrNotFound) || errors.Is(want, bucket.ErrDenied)
	wantIntegrity := errors.Is(want, artifacts.ErrIntegrity) || errors.Is(want, bucket.ErrChanged)
	if err != nil && (integrity != wantIntegrity || transport == (answered || integrity)) {
		t.Errorf("%v: transport %v, integrity %v", err, transport, integrity)
	}
}

func always(err error) func(request) error { return func(request) error { return err } }

type bodyFunc = func(request, []byte) io.Reader

func first(n int, body bodyFunc) bodyFunc {
	return func(r request, data []byte) io.Reader {
		if r.n < n {
			return body(r, data)
		}
		return bytes.NewReader(data)
	}
}

// onceAt spoils the first body that begins at offset.
func onceAt(offset int64, body bodyFunc) bodyFunc {
	done := false
	return func(r request, data []byte) io.Reader {
		if r.Offset == offset && !done {
			done = true
			return body(r, data)
		}
		return bytes.NewReader(data)
	}
}

// onceFrom spoils every body that begins at offset.
func onceFrom(offset int64, body bodyFunc) bodyFunc {
	return func(r request, data []byte) io.Reader {
		if r.Offset == offset {
			return body(r, data)
		}
		return bytes.NewReader(data)
	}
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

func flipped(_ request, data []byte) io.Reader { return bytes.NewReader(flip(data, 5)) }

// Wherever a body breaks off, only what is missing is asked for again.
func TestResume(t *testing.T) {
	const size = 10_000
	data := noise(8, size)
	for percent := 0; percent <= 100; percent++ {
		synctest.Test(t, func(t *testing.T) {
			at := size * percent / 100
			src := newMemory()
			src.put(key, data)
			src.body = first(1, func(_ request, data []byte) io.Reader { return cut(data, at) })
			if _, err := download(t, src, artifactOf(data, 3000), data, small); err != nil {
				t.Fatalf("cut at %d: %v", at, err)
			}
			log := src.log()
			if at == size && len(log) != 1 {
				t.Errorf("a body that had brought everything was asked for again: %v", log)
			}
			if at < size && (len(log) != 2 || log[1].Offset != int64(at) || log[1].Length != int64(size-at)) {
				t.Errorf("cut at %d: %v", at, log)
			}
		})
	}
}

// Bodies that deliver a little each time are requested again only so often.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4 << 20
		data := noise(12, size)
		src := newMemory()
		src.put(key, data)
		src.body = func(_ request, data []byte) io.Reader { return cut(data, 64<<10) }
		if _, err := download(t, src, artifactOf(data, 0), data, fetch.Options{Workers: 1, SlotBytes: size}); !errors.Is(err, fetch.ErrTransport) {
			t.Errorf("got %v", err)
		}
		if n := len(src.log()); n != 1+32 {
			t.Errorf("%d requests, want 33", n)
		}
	})
}

// A chunk whose hash is wrong is requested alone, at most three times in all.
func TestBadChunkIsRefetchedAlone(t *testing.T) {
	const chunk = 8 << 10
	data := noise(9, 8*chunk)
	src := newMemory()
	src.put(key, flip(data, 3*chunk+1))
	got, err := download(t, src, artifactOf(data, chunk), data, small)
	mismatch, ok := errors.AsType[*artifacts.MismatchError](err)
	if !ok || mismatch.GotSHA256 != artifacts.Sum(flip(data, 3*chunk+1)[3*chunk:4*chunk]) {
		t.Errorf("got %v, want the mismatch of chunk 3", err)
	}
	if len(got) > 3*chunk {
		t.Errorf("%d bytes came out, the bad chunk begins at %d", len(got), 3*chunk)
	}
	log := src.log()
	if len(log) != 3 {
		t.Fatalf("%d requests, want 3: %v", len(log), log)
	}
	for _, r := range log[1:] {
		if r.Offset != 3*chunk || r.Length != chunk {
			t.Errorf("asked for %v again, want only chunk 3", r)
		}
	}
}

// Without chunks pieces come unverified, and a wrong one ends in an error, not EOF.
func TestWholeHashWithholdsEOF(t *testing.T) {
	data := noise(10, 300<<10)
	src := newMemory()
	for _, at := range []int{0, 150 << 10, len(data) - 1} {
		src.put(key, flip(data, at))
		d := originOf(artifacts.Trust{}, src).Open(t.Context(), artifactOf(data, 0), small)
		_, err := drain(t.Context(), d)
		if _, ok := errors.AsType[*artifacts.MismatchError](err); !ok {
			t.Errorf("bit flipped at %d: %v, want a mismatch", at, err)
		}
		if _, again := d.Next(t.Context()); !errors.Is(again, artifacts.ErrIntegrity) {
			t.Errorf("asked again: %v", again)
		}
		_ = d.Close()
	}
}

// No chunk, or no memory for it: Next returns the error of Open.
func TestOpenFails(t *testing.T) {
	a := artifactOf(nil, 0)
	d := originOf(artifacts.Trust{}, newMemory()).Open(t.Context(), a, small)
	if _, err := d.Next(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("an empty artifact: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// A body that delivers enough is never cut, however long it takes.
func TestSlowIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := noise(11, 256<<10)
		src := newMemory()
		src.put(key, data)
		src.body = func(r request, data []byte) io.Reader { return &slow{bytes.NewReader(data), r.ctx} }
		if _, err := download(t, src, artifactOf(data, 0), data, fetch.Options{Workers: 1, SlotBytes: 64 << 10}); err != nil {
			t.Fatal(err)
		}
		if n := len(src.log()); n != 4 {
			t.Errorf("%d requests, want 4", n)
		}
	})
}

// slow delivers 4 KiB a second.
type slow struct {
	io.Reader
	ctx context.Context
}

func (s *slow) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		return s.Reader.Read(p[:min(len(p), 4<<10)])
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}
