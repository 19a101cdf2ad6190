package faults

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/awstest/s3"
)

// timed answers one request for size bytes with script and returns how long it
// took, the answer, and whether it was broken off.
func timed(ctx context.Context, size int, faults ...Fault) (time.Duration, *httptest.ResponseRecorder, bool) {
	script := New(time.Now, new(Calls))
	for _, f := range faults {
		script.Add(f)
	}
	handler := script.Wrap("s3", s3.Describe, s3.WriteError, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size))
	}))
	w, start := httptest.NewRecorder(), time.Now()
	broken := aborts(func() { handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/b/k", nil)) })
	return time.Since(start).Round(time.Millisecond), w, broken
}

func TestTiming(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name   string
		script []Fault
		size   int
		took   time.Duration
	}{
		{"delay", []Fault{{Delay: Duration(2 * time.Second)}}, 10, 2 * time.Second},
		{"delays add up", []Fault{{Delay: Duration(2 * time.Second)}, {Delay: Duration(time.Second)}}, 10, 3 * time.Second},
		{"delayed error", []Fault{{Delay: Duration(2 * time.Second), Status: 500}}, 10, 2 * time.Second},
		{"a byte a second", []Fault{{BytesPerSecond: 1}}, 3, 3 * time.Second},
		{"an odd rate", []Fault{{BytesPerSecond: 3 * mib}}, 10 * mib, 3333 * time.Millisecond},
		{"the shape of S3", []Fault{{BytesPerSecond: 90e6, Delay: Duration(30 * time.Millisecond)}}, 9e6, 130 * time.Millisecond},
		{"less than a chunk", []Fault{{BytesPerSecond: mib}}, mib / 64, 16 * time.Millisecond},
		{"what is appended", []Fault{{BytesPerSecond: 1, ExtraBytes: 2}}, 3, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			took, w, broken := timed(t.Context(), c.size, c.script...)
			if took != c.took || broken {
				t.Errorf("%s: took %v, broken off %v, want %v", c.name, took, broken, c.took)
			}
			if w.Code == 200 && w.Body.Len() < c.size {
				t.Errorf("%s: %d bytes of %d", c.name, w.Body.Len(), c.size)
			}
		})
	}
}

// A token bucket lets through as many requests as AWS would, and throttles the rest.
func TestBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := New(time.Now, new(Calls))
		script.Add(Fault{Status: 503, Burst: 3, PerSecond: 0.5})
		handler := script.Wrap("s3", s3.Describe, s3.WriteError, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		for _, round := range []struct {
			after  time.Duration
			passes int
		}{{0, 3}, {0, 0}, {time.Second, 0}, {time.Second, 1}, {4 * time.Second, 2}, {time.Hour, 3}} {
			<-time.After(round.after)
			passed := 0
			for range 10 {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/b/k", nil))
				if w.Code == http.StatusOK {
					passed++
				}
			}
			if passed != round.passes {
				t.Errorf("%v later %d pass, want %d", round.after, passed, round.passes)
			}
		}
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := New(time.Now, new(Calls))
		script.Add(Fault{Delay: Duration(20 * time.Millisecond), Jitter: Duration(20 * time.Millisecond)})
		handler := alwaysOK(script)
		seen := map[time.Duration]bool{}
		for range 100 {
			start := time.Now()
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			took := time.Since(start)
			if took < 20*time.Millisecond || took >= 40*time.Millisecond {
				t.Errorf("delay of %v", took)
			}
			seen[took] = true
		}
		if len(seen) < 50 {
			t.Errorf("only %d different delays", len(seen))
		}
	})
}

func TestWaitsEndWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			fault Fault
			bytes int
		}{
			"delay": {Fault{Delay: Duration(time.Hour)}, 0},
			"hang":  {Fault{Hang: true}, 0},
			"pace":  {Fault{BytesPerSecond: 1}, 2},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
			took, w, _ := timed(ctx, 10, c.fault)
			cancel()
			if took != 2500*time.Millisecond || w.Body.Len() != c.bytes {
				t.Errorf("%s: %v, %d bytes", name, took, w.Body.Len())
			}
		}
	})
}

func TestRemovedWhileItDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := New(time.Now, new(Calls))
		script.Add(Fault{Delay: Duration(time.Hour)})
		time.AfterFunc(time.Second, script.Clear)
		w, start := httptest.NewRecorder(), time.Now()
		alwaysOK(script).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if took := time.Since(start); took != time.Second || w.Body.Len() != 10 {
			t.Errorf("%v, %d bytes", took, w.Body.Len())
		}
	})
}

// slowClient takes the given time for each write, and counts flushes.
type slowClient struct {
	discardWriter
	writes  []time.Duration // the last one repeats
	flushes int
}

func (c *slowClient) Write(p []byte) (int, error) {
	<-time.After(c.writes[0])
	if len(c.writes) > 1 {
		c.writes = c.writes[1:]
	}
	return len(p), nil
}

func (c *slowClient) Flush() { c.flushes++ }

// TestPaceMakesUpForALittle sends ten chunks of 20 ms.
func TestPaceMakesUpForALittle(t *testing.T) {
	for _, c := range []struct {
		name   string
		writes []time.Duration
		took   time.Duration
	}{
		{"writes that take a while", []time.Duration{5 * time.Millisecond}, 205 * time.Millisecond},
		{"a stall is no credit", []time.Duration{10 * time.Second, 0}, 10150 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			act := &action{Fault: Fault{BytesPerSecond: 5000}}
			client, start := &slowClient{writes: c.writes}, time.Now()
			w := newWriter(client, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), act)
			if n, err := w.Write(make([]byte, 1000)); n != 1000 || err != nil {
				t.Errorf("%s: %d bytes, %v", c.name, n, err)
			}
			if took := time.Since(start); took != c.took {
				t.Errorf("%s: took %v, want %v", c.name, took, c.took)
			}
			if client.flushes != 11 {
				t.Errorf("%s: %d flushes, want one for the header and one a chunk", c.name, client.flushes)
			}
		})
	}
}

// TestWritersAreTransparent shows that handlers reach the connection
// through both writers.
func TestWritersAreTransparent(t *testing.T) {
	script := New(time.Now, new(Calls))
	script.Add(Fault{Header: map[string]string{"X": "y"}})
	released := make(chan struct{})
	server := httptest.NewServer(script.Wrap("any", s3.Describe, s3.WriteError, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if r.URL.Path == "/hijack" {
			conn, _, err := control.Hijack()
			if err != nil {
				t.Errorf("hijack: %v", err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.0 299 Mine\r\n\r\n")
			_ = conn.Close()
			return
		}
		if err := control.Flush(); err != nil {
			t.Errorf("flush: %v", err)
		}
		<-released
	})))
	defer server.Close()
	resp, err := http.Get(server.URL + "/flush") // returns with the header
	if err != nil || resp.Header.Get("X") != "y" {
		t.Errorf("flushed: %v, %v", resp, err)
	}
	close(released)
	_ = resp.Body.Close()
	if resp, err = http.Get(server.URL + "/hijack"); err != nil || resp.StatusCode != 299 {
		t.Errorf("hijacked: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
}
