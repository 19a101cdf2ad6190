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

// route is one operation: how its requests look, and who serves them.
type route struct {
	operation string
	method    string
	scope     scope
	selector  string   // a query parameter that must be there
	params    []string // further ones that are understood
	copies    bool     // takes its bytes from the object that x-amz-copy-source names
	serve     func(*Store, http.ResponseWriter, *request) error
}

// scope is what an address names.
type scope int

const (
	wholeService scope = iota
	oneBucket
	oneObject
)

// routes is in order: the first that fits a request has it.
func routes() []route {
	list := []string{"prefix", "delimiter", "max-keys", "encoding-type", "fetch-owner"}
	read := []string{
		"response-cache-control", "response-content-disposition", "response-content-encoding",
		"response-content-language", "response-content-type", "response-expires",
	}
	return []route{
		{"ListBuckets", "GET", wholeService, "", nil, false, (*Store).listBuckets},

		{"CreateBucket", "PUT", oneBucket, "", nil, false, (*Store).createBucket},
		{"HeadBucket", "HEAD", oneBucket, "", nil, false, (*Store).headBucket},
		{"DeleteBucket", "DELETE", oneBucket, "", nil, false, (*Store).deleteBucket},
		{"GetBucketLocation", "GET", oneBucket, "location", nil, false, (*Store).getBucketLocation},
		{"GetBucketVersioning", "GET", oneBucket, "versioning", nil, false, (*Store).getBucketVersioning},
		{"ListMultipartUploads", "GET", oneBucket, "uploads", []string{"prefix", "max-uploads", "key-marker", "upload-id-marker", "encoding-type"}, false, (*Store).listMultipartUploads},
		{"ListObjectsV2", "GET", oneBucket, "list-type", append(list, "start-after", "continuation-token"), false, (*Store).listObjectsV2},
		{"ListObjects", "GET", oneBucket, "", append(list, "marker"), false, (*Store).listObjects},
		{"DeleteObjects", "POST", oneBucket, "delete", nil, false, (*Store).deleteObjects},

		{"UploadPartCopy", "PUT", oneObject, "uploadId", []string{"partNumber"}, true, (*Store).uploadPartCopy},
		{"UploadPart", "PUT", oneObject, "uploadId", []string{"partNumber"}, false, (*Store).uploadPart},
		{"CopyObject", "PUT", oneObject, "", nil, true, (*Store).copyObject},
		{"PutObject", "PUT", oneObject, "", nil, false, (*Store).putObject},
		{"ListParts", "GET", oneObject, "uploadId", []string{"max-parts", "part-number-marker"}, false, (*Store).listParts},
		{"GetObjectTagging", "GET", oneObject, "tagging", nil, false, (*Store).getObjectTagging},
		{"GetObject", "GET", oneObject, "", read, false, (*Store).getObject},
		{"HeadObject", "HEAD", oneObject, "", read, false, (*Store).getObject},
		{"AbortMultipartUpload", "DELETE", oneObject, "uploadId", nil, false, (*Store).abortMultipartUpload},
		{"DeleteObject", "DELETE", oneObject, "", nil, false, (*Store).deleteObject},
		{"CreateMultipartUpload", "POST", oneObject, "uploads", []string{"encoding-type"}, false, (*Store).createMultipartUpload},
		{"CompleteMultipartUpload", "POST", oneObject, "uploadId", nil, false, (*Store).completeMultipartUpload},
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

// route returns the operation that a request asks for, or nil where it says
// something that no operation here understands.
func (r *request) route() *route {
	copies := r.Header.Get("X-Amz-Copy-Source") != ""
	for _, route := range routes() {
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

// Describe names a request's operation, and the instance whose role signed it.
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
