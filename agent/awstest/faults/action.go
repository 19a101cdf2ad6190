package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// action is one fault that acts on one request.
type action struct {
	Fault
	gone   <-chan struct{} // closed once the fault is removed
	script *Script
}

// around returns a handler that answers like next, but with the fault.
func (a *action) around(next http.Handler, fail ErrorWriter) http.Handler {
	if a.postpones() {
		next = a.postponed(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.wait(r.Context(), time.Duration(a.Delay)) {
			panic(http.ErrAbortHandler)
		}
		body := newWriter(w, r, a)
		if a.replaces() {
			a.replace(body, r, next, fail)
		} else {
			next.ServeHTTP(body, a.request(r))
		}
		body.finish()
	})
}

// postponed returns a handler that lets a request take effect later. It does not answer
// before that, unless the fault replaces the answer or only repeats the request.
func (a *action) postponed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		again := func() *http.Request {
			r := r.Clone(context.WithoutCancel(r.Context()))
			r.Body = io.NopCloser(bytes.NewReader(content))
			return r
		}
		switch {
		case a.Repeated:
			a.inBackground(again(), next)
			next.ServeHTTP(w, again())
		case a.replaces():
			a.inBackground(again(), next)
		default:
			a.afterwards(w, again(), next)
		}
	})
}

// inBackground is afterwards for a request whose answer is not needed.
func (a *action) inBackground(r *http.Request, next http.Handler) {
	a.script.count(1, 0)
	go func() {
		defer a.script.count(-1, 0)
		defer func() {
			failed := recover()
			if err, _ := failed.(error); failed != nil && !errors.Is(err, http.ErrAbortHandler) { // by which a further fault ends its handler
				panic(failed)
			}
		}()
		a.afterwards(&discardWriter{header: http.Header{}}, r, next)
	}()
}

// afterwards waits until the request is due, whether its client waits or not.
func (a *action) afterwards(w http.ResponseWriter, r *http.Request, next http.Handler) {
	a.script.count(0, 1)
	if a.Held {
		<-a.gone
	} else {
		a.wait(r.Context(), time.Duration(a.Late))
	}
	a.script.count(0, -1)
	next.ServeHTTP(w, r)
}

// request returns the request as the service gets it.
func (a *action) request(r *http.Request) *http.Request {
	if !a.IgnoreRange {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Del("Range")
	return r
}

// replace answers instead of the service. It reads the whole request first: a
// client that is still sending would see a broken pipe instead of the answer.
func (a *action) replace(w *writer, r *http.Request, next http.Handler, fail ErrorWriter) {
	if a.Applied {
		next.ServeHTTP(&discardWriter{header: http.Header{}}, a.request(r))
	}
	_, _ = io.Copy(io.Discard, r.Body)
	switch {
	case a.Hang:
		a.hang(r.Context())
		panic(http.ErrAbortHandler)
	case a.Reset && a.ResetAfter <= 0:
		resetConnection(w)
	default:
		a.answer(w, r, fail)
	}
}

func (a *action) answer(w *writer, r *http.Request, fail ErrorWriter) {
	stamp(w, a.script.now())
	if a.RetryAfter != "" {
		w.Header().Set("Retry-After", a.RetryAfter)
	}
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	if a.Body == "" && (a.Code != "" || status >= 400) {
		fail(w, r, status, a.Code, a.Message)
		return
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, a.Body)
}

// stamp dates an answer.
func stamp(w http.ResponseWriter, now time.Time) {
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
}

// wait sleeps for d, or until the fault is removed. It reports whether the
// client is still there.
func (a *action) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.gone:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (a *action) hang(ctx context.Context) {
	select {
	case <-a.gone:
	case <-ctx.Done():
	}
}

// resetConnection drops the connection so that the peer sees ECONNRESET.
// It does not return.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		if secure, ok := conn.(*tls.Conn); ok {
			conn = secure.NetConn()
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}

// discardWriter discards an answer.
type discardWriter struct{ header http.Header }

func (d *discardWriter) Header() http.Header         { return d.header }
func (d *discardWriter) WriteHeader(int)             {}
func (d *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
