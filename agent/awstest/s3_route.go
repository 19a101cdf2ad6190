package awstest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// s3Request is a request with its address taken apart.
type s3Request struct {
	*http.Request
	bucket, key string
	query       url.Values
}

// s3Route is one operation: how its requests look, and who serves them.
type s3Route struct {
	operation string
	method    string
	scope     s3Scope
	selector  string   // a query parameter that must be there
	params    []string // further ones that are understood
	copies    bool     // takes its bytes from the object that x-amz-copy-source names
	serve     func(*S3, http.ResponseWriter, *s3Request) error
}

// s3Scope is what an address names.
type s3Scope int

const (
	s3Service s3Scope = iota
	s3OneBucket
	s3OneObject
)

// s3Routes is in order: the first that fits a request has it.
func s3Routes() []s3Route {
	list := []string{"prefix", "delimiter", "max-keys", "encoding-type", "fetch-owner"}
	read := []string{
		"response-cache-control", "response-content-disposition", "response-content-encoding",
		"response-content-language", "response-content-type", "response-expires",
	}
	return []s3Route{
		{"ListBuckets", "GET", s3Service, "", nil, false, (*S3).listBuckets},

		{"CreateBucket", "PUT", s3OneBucket, "", nil, false, (*S3).createBucket},
		{"HeadBucket", "HEAD", s3OneBucket, "", nil, false, (*S3).headBucket},
		{"DeleteBucket", "DELETE", s3OneBucket, "", nil, false, (*S3).deleteBucket},
		{"GetBucketLocation", "GET", s3OneBucket, "location", nil, false, (*S3).getBucketLocation},
		{"GetBucketVersioning", "GET", s3OneBucket, "versioning", nil, false, (*S3).getBucketVersioning},
		{"ListMultipartUploads", "GET", s3OneBucket, "uploads", []string{"prefix", "max-uploads", "key-marker", "upload-id-marker", "encoding-type"}, false, (*S3).listMultipartUploads},
		{"ListObjectsV2", "GET", s3OneBucket, "list-type", append(list, "start-after", "continuation-token"), false, (*S3).listObjectsV2},
		{"ListObjects", "GET", s3OneBucket, "", append(list, "marker"), false, (*S3).listObjects},
		{"DeleteObjects", "POST", s3OneBucket, "delete", nil, false, (*S3).deleteObjects},

		{"UploadPartCopy", "PUT", s3OneObject, "uploadId", []string{"partNumber"}, true, (*S3).uploadPartCopy},
		{"UploadPart", "PUT", s3OneObject, "uploadId", []string{"partNumber"}, false, (*S3).uploadPart},
		{"CopyObject", "PUT", s3OneObject, "", nil, true, (*S3).copyObject},
		{"PutObject", "PUT", s3OneObject, "", nil, false, (*S3).putObject},
		{"ListParts", "GET", s3OneObject, "uploadId", []string{"max-parts", "part-number-marker"}, false, (*S3).listParts},
		{"GetObjectTagging", "GET", s3OneObject, "tagging", nil, false, (*S3).getObjectTagging},
		{"GetObject", "GET", s3OneObject, "", read, false, (*S3).getObject},
		{"HeadObject", "HEAD", s3OneObject, "", read, false, (*S3).getObject},
		{"AbortMultipartUpload", "DELETE", s3OneObject, "uploadId", nil, false, (*S3).abortMultipartUpload},
		{"DeleteObject", "DELETE", s3OneObject, "", nil, false, (*S3).deleteObject},
		{"CreateMultipartUpload", "POST", s3OneObject, "uploads", []string{"encoding-type"}, false, (*S3).createMultipartUpload},
		{"CompleteMultipartUpload", "POST", s3OneObject, "uploadId", nil, false, (*S3).completeMultipartUpload},
	}
}

// newS3Request takes a path-style address apart.
func newS3Request(r *http.Request) *s3Request {
	path := r.URL.Path
	// S3 has always read a bare + in a path as a space; clients send %2B.
	if raw := r.URL.EscapedPath(); strings.Contains(raw, "+") {
		if decoded, err := url.QueryUnescape(raw); err == nil {
			path = decoded
		}
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return &s3Request{Request: r, bucket: bucket, key: key, query: r.URL.Query()}
}

func (r *s3Request) scope() s3Scope {
	switch {
	case r.key != "":
		return s3OneObject
	case r.bucket != "":
		return s3OneBucket
	default:
		return s3Service
	}
}

// route returns the operation that a request asks for, or nil where it says
// something that no operation here understands.
func (r *s3Request) route() *s3Route {
	copies := r.Header.Get("X-Amz-Copy-Source") != ""
	for _, route := range s3Routes() {
		if route.method == r.Method && route.scope == r.scope() && route.copies == copies &&
			(route.selector == "" || r.query.Has(route.selector)) {
			if route.understands(r.query) {
				return &route
			}
			return nil
		}
	}
	return nil
}

// understands reports whether a query has nothing that would be passed over.
func (route *s3Route) understands(query url.Values) bool {
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

// describeS3 names requests for Faults.Wrap. S3 does not know instances.
func describeS3(r *http.Request) (operation, instance string) { return s3Operation(r), "" }

// s3Operation is the name of the API operation that a request asks for, empty
// where there is none.
func s3Operation(r *http.Request) string {
	if route := newS3Request(r).route(); route != nil {
		return route.operation
	}
	return ""
}

// ServeHTTP answers one request of the S3 REST API.
func (s *S3) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	identify(w)
	r := newS3Request(hr)
	if err := s.serve(w, r); err != nil {
		s.fail(w, hr, err)
	}
}

func (s *S3) serve(w http.ResponseWriter, r *s3Request) error {
	route := r.route()
	switch {
	case !r.signed():
		return errAccessDenied
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
func (r *s3Request) signed() bool {
	return r.Header.Get("Authorization") != "" || r.query.Has("X-Amz-Signature") || r.query.Has("Signature")
}
