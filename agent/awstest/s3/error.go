package s3

import (
	"bytes"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
)

// failure is an error as S3 answers it.
type failure struct {
	status        int
	code, message string
}

func (f *failure) Error() string { return f.code + ": " + f.message }

func badRequest(code, message string) error {
	return &failure{http.StatusBadRequest, code, message}
}

func notImplemented(what string) error {
	return &failure{http.StatusNotImplemented, "NotImplemented", what + " implies functionality that is not implemented"}
}

var (
	errAccessDenied     = &failure{http.StatusForbidden, "AccessDenied", "Access Denied"}
	errNoSuchBucket     = &failure{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist"}
	errNoSuchKey        = &failure{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
	errNoSuchUpload     = &failure{http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."}
	errNotModified      = &failure{http.StatusNotModified, "NotModified", "Not Modified"}
	errPrecondition     = &failure{http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"}
	errInvalidPart      = &failure{http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."}
	errIncompleteBody   = &failure{http.StatusBadRequest, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"}
	errMissingLength    = &failure{http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header."}
	errEntityTooLarge   = &failure{http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"}
	errMalformedXML     = &failure{http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"}
	errUnsatisfiable    = &failure{http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable"}
	errMethodNotAllowed = &failure{http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource."}
)

// WriteError answers with an error in S3's format.
func WriteError(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	id := identify(w)
	if r.Method == http.MethodHead || status == http.StatusNotModified {
		w.WriteHeader(status)
		return
	}
	writeXML(w, status, struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Resource  string
		RequestID string `xml:"RequestId"`
		HostID    string `xml:"HostId"`
	}{Code: code, Message: message, Resource: r.URL.Path, RequestID: id, HostID: w.Header().Get("X-Amz-Id-2")})
}

// fail answers with err, which is a *failure unless this package has a bug.
func (s *Store) fail(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = &failure{http.StatusInternalServerError, "InternalError", err.Error()}
	}
	WriteError(w, r, f.status, f.code, f.message)
}

// identify gives an answer its request id.
func identify(w http.ResponseWriter) (id string) {
	if id = w.Header().Get("X-Amz-Request-Id"); id == "" {
		id = rand.Text()[:16]
		w.Header().Set("X-Amz-Request-Id", id)
		w.Header().Set("X-Amz-Id-2", rand.Text())
		w.Header().Set("Server", "AmazonS3")
	}
	return id
}

// writeXML answers with a document and its length, so that a cut one shows.
func writeXML(w http.ResponseWriter, status int, document any) {
	var body bytes.Buffer
	body.WriteString(xml.Header)
	if err := xml.NewEncoder(&body).Encode(document); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
