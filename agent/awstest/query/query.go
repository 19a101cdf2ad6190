// Package query implements AWS's query protocol (a form in, XML out), which Auto
// Scaling and STS use.
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
package query

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"koboshi/agent/awstest/account"
)

// API is one service.
type API struct {
	namespace string
	actions   map[string]Action
	unsigned  string // the action that needs no signature
}

// New returns a service with the actions of one XML namespace.
func New(namespace string, actions map[string]Action) *API {
	return &API{namespace: namespace, actions: actions}
}

// Unsigned lets requests for one action come without a signature.
func (q *API) Unsigned(action string) *API {
	q.unsigned = action
	return q
}

// Action runs one action. Its result is marshalled as the children of
// <Action>Result; nil is an action that has none.
type Action func(p Params, r *http.Request) (result any, err error)

// Error is what a service answers instead of a result.
type Error struct {
	Status        int
	Code, Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Invalid is a ValidationError.
func Invalid(message string) error {
	return &Error{http.StatusBadRequest, "ValidationError", message}
}

// Is reports whether a request uses the query protocol.
func Is(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == "/" &&
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// ParseForm reads the form, which may have 1 MiB.
func ParseForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	return r.ParseForm()
}

// Has reports whether the request asks for one of the service's actions.
func (q *API) Has(r *http.Request) bool { return q.actions[r.PostForm.Get("Action")] != nil }

// ServeHTTP expects that the form has been parsed.
func (q *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	action := r.PostForm.Get("Action")
	if r.Header.Get("Authorization") == "" && action != q.unsigned {
		q.Fail(w, r, http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token")
		return
	}
	run, ok := q.actions[action]
	if !ok {
		q.Fail(w, r, http.StatusBadRequest, "InvalidAction", fmt.Sprintf("Could not find operation %s for version %s", action, r.PostForm.Get("Version")))
		return
	}
	result, err := run(Params{r.PostForm}, r)
	if err != nil {
		q.refuse(w, r, err)
		return
	}
	q.answer(w, action, result)
}

func (q *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if e, ok := errors.AsType[*Error](err); ok {
		q.Fail(w, r, e.Status, e.Code, e.Message)
		return
	}
	q.Fail(w, r, http.StatusInternalServerError, "InternalFailure", err.Error())
}

// Describe returns a request's operation, and the instance whose role signed it.
func (q *API) Describe(r *http.Request) (operation, instance string) {
	return r.PostForm.Get("Action"), account.Signer(r)
}

func (q *API) answer(w http.ResponseWriter, action string, result any) {
	response := struct {
		XMLName   xml.Name
		Result    any
		RequestID string `xml:"ResponseMetadata>RequestId"`
	}{XMLName: xml.Name{Space: q.namespace, Local: action + "Response"}, RequestID: requestID}
	if result != nil {
		response.Result = named{action + "Result", result}
	}
	writeQuery(w, http.StatusOK, response)
}

// Fail answers with an error.
func (q *API) Fail(w http.ResponseWriter, _ *http.Request, status int, code, message string) {
	kind := "Sender"
	if status >= http.StatusInternalServerError {
		kind = "Receiver"
	}
	writeQuery(w, status, struct {
		XMLName   xml.Name
		Type      string `xml:"Error>Type"`
		Code      string `xml:"Error>Code"`
		Message   string `xml:"Error>Message"`
		RequestID string `xml:"RequestId"`
	}{xml.Name{Space: q.namespace, Local: "ErrorResponse"}, kind, code, message, requestID})
}

const requestID = "00000000-0000-4000-8000-000000000000"

// named marshals a value as an element of that name.
type named struct {
	name  string
	value any
}

// MarshalXML implements xml.Marshaler.
func (n named) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	return e.EncodeElement(n.value, xml.StartElement{Name: xml.Name{Local: n.name}})
}

func writeQuery(w http.ResponseWriter, status int, v any) {
	body, err := xml.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
}
