package faults

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"
)

const (
	// paceChunk is the most that a paced response writes at a time: 3 ms at 90 MB/s.
	paceChunk = 256 << 10
	// paceCredit is how late a chunk may be so that the next ones make up for it.
	paceCredit = 50 * time.Millisecond
)

// errCut stops a handler whose answer has been cut.
var errCut = errors.New("awstest: the answer was cut")

// writer changes one answer while it is written.
type writer struct {
	http.ResponseWriter
	act     *action
	request *http.Request
	started bool
	limit   int64 // bytes that get out; below 0 is no limit
	offset  int64 // bytes that got out
	cut     bool  // the handler wrote more than limit
}

func newWriter(w http.ResponseWriter, r *http.Request, a *action) *writer {
	limit := int64(-1)
	switch {
	case a.ResetAfter > 0:
		limit = a.ResetAfter
	case a.Cut > 0:
		limit = a.Cut
	}
	return &writer{ResponseWriter: w, act: a, request: r, limit: limit}
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the header as the fault has it.
func (w *writer) WriteHeader(status int) {
	if w.started {
		return
	}
	w.started = true
	header := w.Header()
	for name, value := range w.act.Header {
		switch {
		case value != "":
			header.Set(name, value)
		case http.CanonicalHeaderKey(name) == "Date":
			header["Date"] = nil // or the server would add its own
		default:
			header.Del(name)
		}
	}
	if at, err := http.ParseTime(header.Get("Date")); err == nil {
		stamp(w, at.Add(time.Duration(w.act.DateSkew)))
	}
	if size, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil {
		header.Set("Content-Length", strconv.FormatInt(size+max(0, w.act.ExtraBytes), 10))
	}
	w.ResponseWriter.WriteHeader(status)
}

// Flush sends what is buffered, the header first.
func (w *writer) Flush() {
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Write sends p as the fault has it. It never changes p.
func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	allowed := p
	if w.limit >= 0 && int64(len(p)) > w.limit-w.offset {
		allowed, w.cut = p[:w.limit-w.offset], true
	}
	n, err := w.pace(allowed)
	if err == nil && w.cut {
		err = errCut
	}
	return n, err
}

// pace writes p in chunks, each after the time that its sending takes.
func (w *writer) pace(p []byte) (written int, err error) {
	rate := w.act.BytesPerSecond
	if rate <= 0 {
		return w.corrupt(p)
	}
	chunk := min(max(rate/50, 1), paceChunk)
	w.Flush()
	due := time.Now()
	for len(p) > 0 {
		n := min(int64(len(p)), chunk)
		due = later(due, time.Now().Add(-paceCredit)).Add(transmission(n, rate))
		if !w.act.wait(w.request.Context(), time.Until(due)) {
			return written, w.request.Context().Err()
		}
		sent, err := w.corrupt(p[:n])
		written += sent
		if err != nil {
			return written, err
		}
		w.Flush()
		p = p[n:]
	}
	return written, nil
}

// corrupt writes p with the chosen bit flipped.
func (w *writer) corrupt(p []byte) (written int, err error) {
	pieces := [][]byte{p}
	if w.act.Corrupt != nil {
		if at := *w.act.Corrupt - w.offset; at >= 0 && at < int64(len(p)) {
			pieces = [][]byte{p[:at], {p[at] ^ 1}, p[at+1:]}
		}
	}
	for _, piece := range pieces {
		n, err := w.ResponseWriter.Write(piece)
		written += n
		w.offset += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// finish appends what the fault adds and ends the connection if the fault does.
func (w *writer) finish() {
	extra := bytes.Repeat([]byte{'x'}, int(min(max(0, w.act.ExtraBytes), paceChunk)))
	for left := w.act.ExtraBytes; left > 0; left -= int64(len(extra)) {
		if _, err := w.Write(extra[:min(left, int64(len(extra)))]); err != nil {
			break
		}
	}
	if !w.cut {
		return
	}
	w.Flush()
	if w.act.ResetAfter > 0 {
		resetConnection(w)
	}
	// The rest of the body is missing: net/http closes without ending it.
	panic(http.ErrAbortHandler)
}

// transmission is how long n bytes take at rate bytes a second.
func transmission(n, rate int64) time.Duration {
	return time.Duration(float64(n) / float64(rate) * float64(time.Second))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
