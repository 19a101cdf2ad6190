// Package jsonrpc implements AWS's JSON 1.1 protocol (JSON in and out, the action in
// a header), which Systems Manager and Secrets Manager use.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
package jsonrpc

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"koboshi/agent/awstest/account"
)

// target is the header that names service and action: AmazonSSM.GetParameter.
const target = "X-Amz-Target"

const maxBody = 1 << 20

// API is one service.
type API struct {
	name    string
	lock    sync.Locker
	actions map[string]Action
}

// New returns the service that requests name so in their header. Its actions run
// one at a time, holding the lock.
func New(name string, lock sync.Locker, actions map[string]Action) *API {
	return &API{name, lock, actions}
}

// Action runs one action. Its result is the answer's JSON.
type Action func(r Request) (result any, err error)

// Request is one request.
type Request struct {
	body   []byte
	Region string // that it was signed for
}

// Into reads the parameters. Those that are not known are ignored.
func (r Request) Into(parameters any) error {
	if err := json.Unmarshal(r.body, parameters); err != nil {
		return &Error{"SerializationException", err.Error()}
	}
	return nil
}

// Error is what a service answers instead of a result, with status 400.
type Error struct{ Code, Message string }

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Has reports whether a request is for the service.
func (a *API) Has(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get(target), a.name+".")
}

// Describe returns a request's operation, and the instance whose role signed it.
func (a *API) Describe(r *http.Request) (operation, instance string) {
	return strings.TrimPrefix(r.Header.Get(target), a.name+"."), account.Signer(r)
}

// scope is the part of a signature that has the region.
var scope = regexp.MustCompile(`Credential=[^/]+/[0-9]{8}/([a-z0-9-]+)/`)

// ServeHTTP runs the action.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	signed := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	operation, _ := a.Describe(r)
	run := a.actions[operation]
	switch {
	case signed == nil:
		a.Fail(w, r, http.StatusBadRequest, "MissingAuthenticationTokenException", "Missing Authentication Token")
		return
	case run == nil:
		a.Fail(w, r, http.StatusBadRequest, "UnknownOperationException", "")
		return
	}
	request := Request{Region: signed[1]}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode((*json.RawMessage)(&request.body))
	if err != nil {
		a.Fail(w, r, http.StatusBadRequest, "SerializationException", err.Error())
		return
	}
	a.lock.Lock()
	result, err := run(request)
	a.lock.Unlock()
	if refused, ok := errors.AsType[*Error](err); ok {
		a.Fail(w, r, http.StatusBadRequest, refused.Code, refused.Message)
		return
	}
	if err != nil {
		a.Fail(w, r, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	write(w, http.StatusOK, result)
}

// Fail answers with an error.
func (*API) Fail(w http.ResponseWriter, _ *http.Request, status int, code, message string) {
	write(w, status, map[string]string{"__type": code, "message": message})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", "00000000-0000-4000-8000-000000000000")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}
