package s3

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"koboshi/agent/awstest/account"
)

// request is a request with its address taken apart.
type request struct {
	*http.Request
	bucket, key string
	query       url.Values
}

// route is one operation: how its requests look, and the method that answers them.
type route struct {
	operation string
	method    string
	scope     scope
	selector  string   // a query parameter that must be there
	params    []string // further ones that are understood
	serve     func(*Store, http.ResponseWriter, *request) error
}

// scope is what an address points to.
type scope int

const (
	wholeService scope = iota
	oneBucket
	oneObject
)

// routes is in order: the first that fits a request is used.
func routes() []route {
	return []route{
		{"PutBucketPolicy", "PUT", oneBucket, "policy", nil, (*Store).putBucketPolicy},
		{"GetBucketPolicy", "GET", oneBucket, "policy", nil, (*Store).getBucketPolicy},
		{"DeleteBucketPolicy", "DELETE", oneBucket, "policy", nil, (*Store).deleteBucketPolicy},
		{"CreateBucket", "PUT", oneBucket, "", nil, (*Store).createBucket},
		{"ListObjectsV2", "GET", oneBucket, "list-type", []string{"prefix", "delimiter", "max-keys", "encoding-type", "fetch-owner", "start-after", "continuation-token"}, (*Store).listObjectsV2},

		{"UploadPart", "PUT", oneObject, "uploadId", []string{"partNumber"}, (*Store).uploadPart},
		{"PutObject", "PUT", oneObject, "", nil, (*Store).putObject},
		{"GetObject", "GET", oneObject, "", nil, (*Store).getObject},
		{"HeadObject", "HEAD", oneObject, "", nil, (*Store).getObject},
		{"AbortMultipartUpload", "DELETE", oneObject, "uploadId", nil, (*Store).abortMultipartUpload},
		{"DeleteObject", "DELETE", oneObject, "", nil, (*Store).deleteObject},
		{"CreateMultipartUpload", "POST", oneObject, "uploads", []string{"encoding-type"}, (*Store).createMultipartUpload},
		{"CompleteMultipartUpload", "POST", oneObject, "uploadId", nil, (*Store).completeMultipartUpload},
	}
}

// newRequest takes a path-style address apart.
func newRequest(r *http.Request) *request {
	path := r.URL.Path
	// S3 has always read a bare + in a path as a space; clients send %2B.
	if raw := r.URL.EscapedPath(); strings.Contains(raw, "+") {
		if decoded, err := url.QueryUnescape(raw); err == nil {
			path = decoded
		}
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return &request{Request: r, bucket: bucket, key: key, query: r.URL.Query()}
}

func (r *request) scope() scope {
	switch {
	case r.key != "":
		return oneObject
	case r.bucket != "":
		return oneBucket
	default:
		return wholeService
	}
}

// route returns the operation that a request asks for, or nil where no operation
// here understands all of it.
func (r *request) route() *route {
	for _, route := range routes() {
		if route.method == r.Method && route.scope == r.scope() &&
			(route.selector == "" || r.query.Has(route.selector)) {
			if route.understands(r.query) {
				return &route
			}
			return nil
		}
	}
	return nil
}

// understands reports whether a query has no parameter that would be ignored.
func (route *route) understands(query url.Values) bool {
	for param := range query {
		known := param == route.selector || param == "x-id" || slices.Contains(route.params, param)
		if !known && !isSignature(param) {
			return false
		}
	}
	return true
}

// isSignature reports whether a query parameter belongs to a presigned URL, of
// signature version 4 or 2.
func isSignature(param string) bool {
	return strings.HasPrefix(strings.ToLower(param), "x-amz-") ||
		param == "AWSAccessKeyId" || param == "Signature" || param == "Expires"
}

// Describe returns a request's operation, and the instance whose role signed it.
func Describe(r *http.Request) (operation, instance string) {
	return operationOf(r), account.Signer(r)
}

// operationOf is the name of the API operation that a request asks for, empty
// where there is none.
func operationOf(r *http.Request) string {
	if route := newRequest(r).route(); route != nil {
		return route.operation
	}
	return ""
}

// ServeHTTP answers one request of the S3 REST API.
func (s *Store) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	identify(w)
	r := newRequest(hr)
	if err := s.serve(w, r); err != nil {
		s.fail(w, hr, err)
	}
}

func (s *Store) serve(w http.ResponseWriter, r *request) error {
	route := r.route()
	switch {
	case !r.signed():
		return errAccessDenied
	case r.Header.Get("X-Amz-Copy-Source") != "":
		return notImplemented("The header x-amz-copy-source")
	case route == nil && len(r.query) == 0:
		return errMethodNotAllowed
	case route == nil:
		return notImplemented("The query ?" + r.URL.RawQuery)
	case len(r.key) > 1024:
		return badRequest("KeyTooLongError", "Your key is too long")
	}
	return route.serve(s, w, r)
}

// signed reports whether a request carries a signature, right or wrong.
func (r *request) signed() bool {
	return r.Header.Get("Authorization") != "" || r.query.Has("X-Amz-Signature") || r.query.Has("Signature")
}
