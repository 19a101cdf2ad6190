package awstest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// query speaks AWS's query protocol (a form in, XML out) for one service.
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
type query struct {
	namespace string
	actions   map[string]operation
}

// operation runs one action. Its result is marshalled as the children of
// <Action>Result; nil is an action that has none.
type operation func(p params, r *http.Request) (result any, err error)

// apiError is what a service answers instead of a result.
type apiError struct {
	status        int
	code, message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func invalid(message string) error {
	return &apiError{http.StatusBadRequest, "ValidationError", message}
}

// ServeHTTP expects that the form has been parsed.
func (q *query) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	action := r.PostForm.Get("Action")
	if r.Header.Get("Authorization") == "" {
		q.fail(w, r, http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token")
		return
	}
	run, ok := q.actions[action]
	if !ok {
		q.fail(w, r, http.StatusBadRequest, "InvalidAction", fmt.Sprintf("Could not find operation %s for version %s", action, r.PostForm.Get("Version")))
		return
	}
	result, err := run(params{r.PostForm}, r)
	if err != nil {
		q.refuse(w, r, err)
		return
	}
	q.answer(w, action, result)
}

func (q *query) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if e, ok := errors.AsType[*apiError](err); ok {
		q.fail(w, r, e.status, e.code, e.message)
		return
	}
	q.fail(w, r, http.StatusInternalServerError, "InternalFailure", err.Error())
}

// describe names the operation for Faults.Wrap.
func (q *query) describe(r *http.Request) (operation, instance string) {
	return r.PostForm.Get("Action"), signer(r)
}

func (q *query) answer(w http.ResponseWriter, action string, result any) {
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

// fail is the ErrorWriter of the service.
func (q *query) fail(w http.ResponseWriter, _ *http.Request, status int, code, message string) {
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
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// params reads a query form: nested names are joined with dots, lists are <name>.member.<n>.
type params struct{ form url.Values }

func (p params) has(name string) bool   { return p.form.Has(name) }
func (p params) str(name string) string { return p.form.Get(name) }

// list reads name.member.1, .2 and so on.
func (p params) list(name string) []string {
	var values []string
	for n := 1; p.has(member(name, n)); n++ {
		values = append(values, p.str(member(name, n)))
	}
	return values
}

func member(name string, n int) string { return fmt.Sprintf("%s.member.%d", name, n) }

// integer reads a number, or otherwise when there is none.
func (p params) integer(name string, otherwise int) (int, error) {
	if !p.has(name) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(p.str(name))
	if err != nil {
		return 0, invalid(fmt.Sprintf("%s: %q is not a number", name, p.str(name)))
	}
	return n, nil
}

// seconds reads a duration; 0 when there is none.
func (p params) seconds(name string) (time.Duration, error) {
	n, err := p.integer(name, 0)
	return time.Duration(n) * time.Second, err
}
