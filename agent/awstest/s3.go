package awstest

import (
	"net/http"
	"time"
)

// S3 is an in-memory S3.
type S3 struct{ now func() time.Time }

func newS3(now func() time.Time) *S3 { return &S3{now: now} }

// ServeHTTP answers the S3 API, path-style.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// describeS3 names S3 requests for Faults.Wrap.
func describeS3(r *http.Request) (operation, instance string) { return s3Operation(r), "" }

func s3Operation(*http.Request) string { return "" }

// s3Error is the ErrorWriter of S3.
func s3Error(w http.ResponseWriter, r *http.Request, status int, code, message string) {}
