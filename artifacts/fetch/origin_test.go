package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/fetch"
)

// late begins its answers after a while, if the caller still waits.
type late struct {
	after  time.Duration
	asked  int
	answer bucket.Reader
}

func (l *late) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	l.asked++
	select {
	case <-time.After(l.after):
		return l.answer.Get(ctx, key, r)
	case <-ctx.Done():
		return nil, bucket.Object{}, ctx.Err()
	}
}

func copyOf(m *memory) *memory { return &memory{objects: maps.Clone(m.objects)} }

// A source that does not answer is left after five seconds, and not asked first
// any more.
func TestSilentSourceIsLeftSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, trust, _ := published(t)
		silent := &late{time.Hour, 0, src}
		o := originOf(trust, silent, src)
		start := time.Now()
		p, err := o.Pointer(t.Context(), "stable", fetch.Known{})
		if err != nil || time.Since(start) != 5*time.Second {
			t.Fatalf("got %v after %s, want the other's pointer after 5s", err, time.Since(start))
		}
		if _, err := o.Manifest(t.Context(), p.Pointer.Choose("")); err != nil || silent.asked != 1 {
			t.Errorf("got %v, and the silent source was asked %d times, want once", err, silent.asked)
		}
	})
}

// A second source never makes a run fail that would have succeeded with one: a
// source that was hurried is asked again, with patience.
func TestLateSourceIsWaitedForInTheEnd(t *testing.T) {
	data := noise(51, 100<<10)
	synctest.Test(t, func(t *testing.T) {
		src, trust, _ := published(t)
		src.put(key, data)
		slow := &late{20 * time.Second, 0, src}
		o := originOf(trust, slow, newMemory())
		if _, err := o.Pointer(t.Context(), "stable", fetch.Known{}); err != nil || slow.asked != 2 {
			t.Errorf("pointer: got %v after asking %d times, want it at the second", err, slow.asked)
		}
		if got, err := download(t, slow, artifactOf(data, 32<<10), data, small, newMemory()); err != nil || !bytes.Equal(got, data) {
			t.Errorf("artifact: got %d bytes and %v", len(got), err)
		}
	})
}

// Hurrying limits the time until an answer begins: a body that moves may take
// longer.
func TestSlowBodyIsNotLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := []byte("ten bytes.")
		src, other := newMemory(), newMemory()
		src.put(key, data)
		src.body = func(r request, data []byte) io.Reader { return &trickle{r.ctx, data} }
		got, err := originOf(artifacts.Trust{}, src, other).Blob(t.Context(), artifacts.Blob{Key: key, Size: 10, SHA256: artifacts.Sum(data)})
		if err != nil || !bytes.Equal(got, data) || len(other.log()) != 0 {
			t.Errorf("got %q and %v, and the other was asked %d times", got, err, len(other.log()))
		}
		if err := src.log()[0].ctx.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("a body that was closed: %v, want its context to have ended", err)
		}
	})
}

// A source that begins its answers and never ends them is left as soon, for a
// document as for an artifact.
func TestSourceWhoseBodiesStall(t *testing.T) {
	const most = 2*10*time.Second + time.Second // two stalls and the pause between
	data := noise(34, 100<<10)
	stalling := newMemory()
	stalling.put(key, data)
	stalling.body = func(r request, data []byte) io.Reader { return &trickle{r.ctx, data} }
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		blob := artifacts.Blob{Key: key, Size: int64(len(data)), SHA256: artifacts.Sum(data)}
		_, err := originOf(artifacts.Trust{}, stalling, mirrored(data)).Blob(t.Context(), blob)
		if err != nil || time.Since(start) > most {
			t.Errorf("document: got %v after %s, want the mirror's within %s", err, time.Since(start), most)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if _, err := download(t, stalling, artifactOf(data, 0), data, small, mirrored(data)); err != nil || time.Since(start) > most {
			t.Errorf("artifact: got %v after %s, want the mirror's bytes within %s", err, time.Since(start), most)
		}
	})
}

// Where the others lack an object, a source whose bodies stalled is asked again,
// with the patience that a single source gets.
func TestSourceWhoseBodiesStallIsAskedAgainInTheEnd(t *testing.T) {
	data := noise(35, 100<<10)
	recovering := func() *memory {
		m := newMemory()
		m.put(key, data)
		m.body = first(3, func(r request, data []byte) io.Reader { return &trickle{r.ctx, data} })
		return m
	}
	synctest.Test(t, func(t *testing.T) {
		blob := artifacts.Blob{Key: key, Size: int64(len(data)), SHA256: artifacts.Sum(data)}
		if _, err := originOf(artifacts.Trust{}, recovering(), newMemory()).Blob(t.Context(), blob); err != nil {
			t.Errorf("document: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		o := fetch.Options{Workers: 1, SlotBytes: len(data)}
		if _, err := download(t, recovering(), artifactOf(data, 0), data, o, newMemory()); err != nil {
			t.Errorf("artifact: %v", err)
		}
	})
}

// Where the caller's context ends, its cause is the error, whatever a source has
// answered before.
func TestCallerLeaves(t *testing.T) {
	data := noise(53, 1000)
	why := errors.New("deadline of the boot")
	for name, sources := range map[string]func(src *memory) []bucket.Reader{
		"a hurried source": func(src *memory) []bucket.Reader { return []bucket.Reader{&late{time.Hour, 0, src}, src} },
		"the last source":  func(src *memory) []bucket.Reader { return []bucket.Reader{newMemory(), &late{time.Hour, 0, src}} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
				defer cancel()
				src, trust, _ := published(t)
				o := originOf(trust, sources(src)...)
				d := o.Open(ctx, artifactOf(data, 0), small)
				if _, err := drain(t.Context(), d); err != why { //nolint:errorlint // it must be bare
					t.Errorf("artifact: got %v, want the cause of the context", err)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
				if n := len(src.log()); n > 0 {
					t.Errorf("another source was asked %d times after the end", n)
				}
				if _, err := o.Pointer(ctx, "stable", fetch.Known{}); err != why { //nolint:errorlint // it must be bare
					t.Errorf("pointer: got %v, want the cause of the context", err)
				}
			})
		})
	}
}

// Where no source has it, the error is that of the first one, and one that has
// answered is not asked again: for documents and artifacts alike.
func TestErrorIsThatOfTheFirstSource(t *testing.T) {
	data := noise(52, 1000)
	for name, tc := range map[string]struct {
		first, second, want error
	}{
		"missing, down":      {bucket.ErrNotFound, errReset, bucket.ErrNotFound},
		"down, missing":      {errReset, bucket.ErrNotFound, fetch.ErrTransport},
		"forbidden, down":    {bucket.ErrDenied, errReset, bucket.ErrDenied},
		"missing, missing":   {bucket.ErrNotFound, bucket.ErrNotFound, bucket.ErrNotFound},
		"down, down":         {errReset, errReset, fetch.ErrTransport},
		"missing, forbidden": {bucket.ErrNotFound, bucket.ErrDenied, bucket.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, trust, pointer := published(t)
			first, second := newMemory(), newMemory()
			first.fail, second.fail = always(tc.first), always(tc.second)
			_, document := originOf(trust, first, second).Manifest(t.Context(), pointer.Choose(""))
			_, blob := originOf(trust, first, second).Blob(t.Context(), artifacts.Blob{Key: key, Size: 1000, SHA256: artifacts.Sum(data)})
			_, artifact := download(t, first, artifactOf(data, 0), data, small, second)
			for _, err := range []error{document, blob, artifact} {
				for _, class := range []error{bucket.ErrNotFound, bucket.ErrDenied, fetch.ErrTransport} {
					if errors.Is(err, class) != (class == tc.want) {
						t.Errorf("got %v, want %v", err, tc.want)
					}
				}
			}
			if len(first.log()) != 3 || len(second.log()) != 3 {
				t.Errorf("asked %d and %d times, want once each for manifest, blob and artifact", len(first.log()), len(second.log()))
			}
		})
	}
}

// Where a document is not verified, the next source is asked, and it is asked
// first from then on. An artifact that it lacks comes from the other source; that
// does not change the order.
func TestSourceWithAVerifiedDocumentIsAskedFirst(t *testing.T) {
	good, trust, pointer := published(t)
	forged := copyOf(good)
	forged.put("channels/stable.json", []byte("<Error>"))
	forged.put("index", []byte("only here"))
	o := originOf(trust, forged, good)
	if _, err := o.Pointer(t.Context(), "stable", fetch.Known{}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Blob(t.Context(), artifacts.Blob{Key: "index", Size: 9, SHA256: artifacts.Sum([]byte("only here"))}); err != nil {
		t.Fatal(err)
	}
	before := len(forged.log())
	if _, err := o.Manifest(t.Context(), pointer.Choose("")); err != nil || len(forged.log()) != before {
		t.Errorf("got %v, and the source with the forged pointer was asked %d times more", err, len(forged.log())-before)
	}
}
