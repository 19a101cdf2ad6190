package fetch

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"koboshi/artifacts/bucket"
)

// rangeHeader is RFC 9110 section 14.1.2; its last position is inclusive.
func rangeHeader(r bucket.Range) string {
	if r.Length == 0 {
		return fmt.Sprintf("bytes=%d-", r.Offset)
	}
	return fmt.Sprintf("bytes=%d-%d", r.Offset, r.Offset+r.Length-1)
}

// readHead says what an answer is of, and refuses one to another question.
func readHead(answer *http.Response, key string, r bucket.Range) (bucket.Object, error) {
	object := bucket.Object{Key: key, ETag: strongETag(answer.Header.Get("ETag"))}
	object.Modified, _ = http.ParseTime(answer.Header.Get("Last-Modified")) // only told
	if e := answer.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return object, fmt.Errorf("the answer has Content-Encoding %.20q", e)
	}
	var err error
	switch answer.StatusCode {
	case http.StatusOK:
		object.Size, err = readWhole(answer, r)
	case http.StatusPartialContent:
		object.Size, err = readPartial(answer, r)
	default:
		return object, statusError(answer)
	}
	if err == nil && r.ETag != "" && object.ETag != r.ETag {
		err = bucket.ErrChanged // a server that does not know If-Match
	}
	return object, err
}

func statusError(answer *http.Response) error {
	switch answer.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		return bucket.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return bucket.ErrDenied
	case http.StatusPreconditionFailed:
		return bucket.ErrChanged
	}
	return fmt.Errorf("status %d", answer.StatusCode)
}

// readWhole takes a whole object for a range only where that is the same.
func readWhole(answer *http.Response, r bucket.Range) (int64, error) {
	size := answer.ContentLength
	switch {
	case size < 0:
		return 0, fmt.Errorf("the answer has no Content-Length")
	case r.Offset > 0 || r.Length > 0 && r.Length < size:
		return 0, fmt.Errorf("the server ignores Range")
	}
	return size, nil
}

// readPartial takes exactly the range that was asked for, or what of it there
// is before the object's end.
func readPartial(answer *http.Response, r bucket.Range) (int64, error) {
	from, to, size, err := parseContentRange(answer.Header.Get("Content-Range"))
	if err != nil {
		return 0, err
	}
	end := size
	if r.Length > 0 {
		end = min(end, r.Offset+r.Length)
	}
	length := answer.ContentLength
	if from != r.Offset || to != end-1 || length >= 0 && length != to-from+1 {
		return 0, fmt.Errorf("bytes %d-%d of %d (%d of them) came for the range %s", from, to, size, length, rangeHeader(r))
	}
	return size, nil
}

// parseContentRange reads "bytes FROM-TO/SIZE" (RFC 9110 section 14.4). An
// unknown size is refused.
func parseContentRange(s string) (from, to, size int64, err error) {
	span, total, ok1 := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	first, last, ok2 := strings.Cut(span, "-")
	var numbers [3]uint64
	for i, text := range []string{first, last, total} {
		if numbers[i], err = strconv.ParseUint(text, 10, 63); err != nil {
			break
		}
	}
	from, to, size = int64(numbers[0]), int64(numbers[1]), int64(numbers[2]) //nolint:gosec // 63 bits
	if !strings.HasPrefix(s, "bytes ") || !ok1 || !ok2 || err != nil || from > to || to >= size {
		return 0, 0, 0, fmt.Errorf("malformed Content-Range %.40q", s)
	}
	return from, to, size, nil
}

// strongETag is empty for a weak one (RFC 9110 section 8.8.3), which may stand
// for other bytes and never satisfies If-Match.
func strongETag(etag string) string {
	if !strings.HasPrefix(etag, `"`) {
		return ""
	}
	return etag
}
