package failure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"koboshi/agent/config"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts/bucket/s3"
)

// MaxMessage bounds an error's text, in bytes. Errors quote what is not trusted.
const MaxMessage = 600

// CodeOf is the exit code of an error; OK for nil.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	return find(err).code
}

// Kind is what fallback.when calls the failure: unavailable, untrusted or
// unhealthy. What is "" (a full disk, the deadline) never ends as stale at launch.
func Kind(err error) string { return find(err).kind }

// Explain is an error as people and reports see it: its exit code, one line of
// text, what can be done about it, and what the app last wrote.
func Explain(err error) *report.Error {
	e := &report.Error{Code: int(CodeOf(err)), Message: report.Clean(text(err), MaxMessage), Hint: report.Redact(hint(err))}
	if start, ok := errors.AsType[*service.StartError](err); ok {
		e.Output = start.Last
	}
	return e
}

// text is the message of an error, in one line also where several were joined. An
// interruption gets a plain one, not Go's.
func text(err error) string {
	said := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; ")
	if CodeOf(err) != Interrupted {
		return said
	}
	return ErrInterrupted.Error() + ": " + strings.TrimSuffix(strings.TrimPrefix(said, ErrInterrupted.Error()+": "), ": "+context.Canceled.Error())
}

func hint(err error) string {
	if a, ok := errors.AsType[Adviser](err); ok && a.Advice() != "" {
		return a.Advice()
	}
	if e, ok := errors.AsType[*s3.Error](err); ok && config.IsRegion(e.Region) {
		return fmt.Sprintf("the bucket is in %s: write its source as s3://%s/…?region=%s", e.Region, e.Bucket, e.Region)
	}
	row := find(err)
	return cmp.Or(causeOf(err, row.code), row.hint)
}

func find(err error) row {
	for _, r := range table {
		if r.is(err) {
			return r
		}
	}
	return unsorted
}
