package s3

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// span is a part of an object.
type span struct{ offset, size int64 }

// contentRange is the Content-Range of s within an object of total bytes.
func (s span) contentRange(total int64) string {
	return "bytes " + strconv.FormatInt(s.offset, 10) + "-" + strconv.FormatInt(s.offset+s.size-1, 10) + "/" + strconv.FormatInt(total, 10)
}

// parseRange reads a Range header for an object of total bytes. It is not partial
// where S3 ignores the header and sends the whole object: a malformed range, and
// several ranges at once. The error is errUnsatisfiable where no byte of the
// object is in the range.
func parseRange(header string, total int64) (s span, partial bool, err error) {
	whole := span{0, total}
	text, isBytes := strings.CutPrefix(header, "bytes=")
	first, last, ok := strings.Cut(text, "-")
	if !isBytes || !ok {
		return whole, false, nil
	}
	from, fromOK := parseOffset(first)
	to, toOK := parseOffset(last)
	switch {
	case first == "" && toOK:
		size := min(to, total)
		s = span{total - size, size}
	case fromOK && last == "":
		s = span{from, total - from}
	case fromOK && toOK && from <= to:
		s = span{from, min(to, total-1) - from + 1}
	default:
		return whole, false, nil
	}
	if s.size <= 0 {
		return span{}, false, errUnsatisfiable
	}
	return s, true, nil
}

// parseOffset reads digits and nothing else.
func parseOffset(text string) (int64, bool) {
	v, err := strconv.ParseUint(text, 10, 63)
	return int64(v), err == nil
}

// checkRead checks the conditions of a read for an object. The errors are
// errPrecondition and errNotModified. (RFC 9110, section 13.2.2)
func checkRead(h http.Header, o *object) error {
	// Last-Modified has no fractions of a second.
	modified := o.modified.Truncate(time.Second)
	if tags := h.Get("If-Match"); tags != "" {
		if !etagListed(tags, o.etag) {
			return errPrecondition
		}
	} else if at, err := http.ParseTime(h.Get("If-Unmodified-Since")); err == nil && modified.After(at) {
		return errPrecondition
	}
	if tags := h.Get("If-None-Match"); tags != "" {
		if etagListed(tags, o.etag) {
			return errNotModified
		}
	} else if at, err := http.ParseTime(h.Get("If-Modified-Since")); err == nil && !modified.After(at) {
		return errNotModified
	}
	return nil
}

// etagListed reports whether a condition's list of tags, with quotes or
// without, has an object's.
func etagListed(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.Trim(tag, `"`) == strings.Trim(etag, `"`) {
			return true
		}
	}
	return false
}

// writeCondition is a condition on the object that a write replaces.
type writeCondition struct{ match, noneMatch string }

// parseWriteCondition reads If-Match, which has one tag, and If-None-Match, which is "*".
func parseWriteCondition(h http.Header) (writeCondition, error) {
	c := writeCondition{match: h.Get("If-Match"), noneMatch: h.Get("If-None-Match")}
	if c.noneMatch != "" && c.noneMatch != "*" {
		return c, notImplemented("The header If-None-Match with a value other than *")
	}
	if c.match == "*" || strings.Contains(c.match, ",") {
		return c, notImplemented("The header If-Match with a value other than one ETag")
	}
	return c, nil
}

// check checks the condition for what b has under key.
func (c writeCondition) check(b *keyspace, key string) error {
	o, exists := b.objects[key]
	switch {
	case c.noneMatch != "" && exists:
		return errPrecondition
	case c.match != "" && !exists:
		return errNoSuchKey
	case c.match != "" && !etagListed(c.match, o.etag):
		return errPrecondition
	}
	return nil
}
