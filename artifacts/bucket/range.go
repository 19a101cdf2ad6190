package bucket

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Range is a part of an object. The zero Range is the whole of it.
type Range struct {
	Offset int64
	Length int64  // 0 = to the end
	ETag   string // "" = whatever is there; else the object must have it, or the error is ErrChanged
	Unless string // "" = in any case; else an ETag: while the object has it, nothing is read and the error is ErrUnchanged
}

// Whole reports whether every byte of the object is meant.
func (r Range) Whole() bool { return r.Offset == 0 && r.Length == 0 }

// Check refuses a range that no object can have.
func (r Range) Check() error {
	if r.Offset < 0 || r.Length < 0 || r.Length > math.MaxInt64-r.Offset {
		return fmt.Errorf("range %d+%d", r.Offset, r.Length)
	}
	return nil
}

// Of is how many bytes of an object of size bytes the range has: at least one,
// except for the whole of an empty object.
func (r Range) Of(size int64) (int64, error) {
	if r.Check() != nil || r.Offset >= size && !r.Whole() {
		return 0, fmt.Errorf("range %d+%d of %d bytes", r.Offset, r.Length, size)
	}
	if r.Length == 0 {
		return size - r.Offset, nil
	}
	return min(r.Length, size-r.Offset), nil
}

// Header is the range as HTTP's Range has it, whose last position is inclusive
// (RFC 9110, section 14.1.2); "" for the whole.
func (r Range) Header() string {
	switch {
	case r.Whole():
		return ""
	case r.Length == 0:
		return fmt.Sprintf("bytes=%d-", r.Offset)
	}
	return fmt.Sprintf("bytes=%d-%d", r.Offset, r.Offset+r.Length-1)
}

// Answered compares the head of an HTTP answer with the range that was asked
// for, and returns the size of the whole object. contentRange is "" where the
// answer has none, length is -1 where it does not say. whole means that the
// answer is the whole object (status 200), which may stand for a range that
// reaches its end. Errors are [*AnswerError].
func (r Range) Answered(whole bool, contentRange string, length int64) (size int64, err error) {
	if !whole {
		return r.answeredPart(contentRange, length)
	}
	covered := r.Whole() || r.Offset == 0 && 0 < length && length <= r.Length
	switch {
	case length < 0:
		return 0, &AnswerError{"Content-Length", "", "a number of bytes"}
	case contentRange != "" || !covered:
		return 0, &AnswerError{"Content-Range", contentRange, r.asked()}
	}
	return length, nil
}

func (r Range) answeredPart(contentRange string, length int64) (int64, error) {
	first, last, size, ok := parseContentRange(contentRange)
	want := size - 1
	if r.Length > 0 {
		want = min(want, r.Offset+r.Length-1)
	}
	if !ok || r.Whole() || first != r.Offset || last != want {
		return 0, &AnswerError{"Content-Range", contentRange, r.asked()}
	}
	if want := last - first + 1; length >= 0 && length != want {
		return 0, &AnswerError{"Content-Length", strconv.FormatInt(length, 10), strconv.FormatInt(want, 10)}
	}
	return size, nil
}

func (r Range) asked() string {
	return cmp.Or(strings.TrimPrefix(r.Header(), "bytes="), "the whole object")
}

// parseContentRange reads "bytes 0-9/10" (RFC 9110, section 14.4). A range that is
// inconsistent, or without the size, is refused.
func parseContentRange(s string) (first, last, size int64, ok bool) {
	s, unit := strings.CutPrefix(s, "bytes ")
	span, total, slash := strings.Cut(s, "/")
	from, to, dash := strings.Cut(span, "-")
	first, ok1 := digits(from)
	last, ok2 := digits(to)
	size, ok3 := digits(total)
	ok = unit && slash && dash && ok1 && ok2 && ok3 && first <= last && last < size
	return first, last, size, ok
}

func digits(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63) // no sign
	return int64(n), err == nil            //nolint:gosec // 63 bits
}

// CheckEncoding refuses a Content-Encoding under which the body would not be the
// stored bytes. aws-chunked is how an upload was sent: some stores keep it and
// send it again with an object whose bytes are plain.
func CheckEncoding(header string) error {
	for coding := range strings.SplitSeq(header, ",") {
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "", "identity", "aws-chunked":
		default:
			return &AnswerError{"Content-Encoding", header, "none"}
		}
	}
	return nil
}

// AnswerError is an answer to another question than was asked: by a server,
// proxy or cache that does not honour ranges, or changes bytes on their way.
type AnswerError struct {
	What      string // such as "Content-Range"
	Got, Want string
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("answered with %s %.40q, want %s", e.What, e.Got, e.Want)
}
