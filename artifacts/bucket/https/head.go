package https

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"koboshi/artifacts/bucket"
)

// readHead describes the object that was answered, and refuses an answer to
// another question.
func readHead(answer *http.Response, key string, r bucket.Range) (bucket.Object, error) {
	object := bucket.Object{Key: key, ETag: strongETag(answer.Header.Get("ETag"))}
	object.Modified, _ = http.ParseTime(answer.Header.Get("Last-Modified")) // for people only
	object.Date = date(answer.Header)
	if answer.StatusCode == http.StatusNotModified && r.Unless != "" {
		return object, bucket.ErrUnchanged
	}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusPartialContent {
		return object, statusError(answer.StatusCode)
	}
	if err := bucket.CheckEncoding(strings.Join(answer.Header.Values("Content-Encoding"), ",")); err != nil {
		return object, err
	}
	var err error
	whole := answer.StatusCode == http.StatusOK
	object.Size, err = r.Answered(whole, answer.Header.Get("Content-Range"), answer.ContentLength)
	if err == nil && r.ETag != "" && object.ETag != "" && object.ETag != r.ETag {
		err = bucket.ErrChanged // a server that does not know If-Match
	}
	if err == nil && r.Unless != "" && object.ETag == r.Unless {
		err = bucket.ErrUnchanged // a server that does not know If-None-Match
	}
	return object, err
}

// date is zero for an answer that a cache has stored, with the Date of then (RFC 9111).
func date(head http.Header) time.Time {
	if head.Get("Age") != "" {
		return time.Time{}
	}
	at, err := http.ParseTime(head.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return at
}

func statusError(status int) error {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return bucket.ErrNotFound
	case http.StatusForbidden:
		return bucket.ErrDenied
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return bucket.ErrCredentials
	case http.StatusPreconditionFailed:
		return bucket.ErrChanged
	}
	return fmt.Errorf("status %d", status)
}

// strongETag is empty for a weak one (RFC 9110, section 8.8.3), which may stand
// for other bytes and never satisfies If-Match, and for what is no ETag.
func strongETag(etag string) string {
	if !strings.HasPrefix(etag, `"`) {
		return ""
	}
	return etag
}
