// Package jsonrpc implements AWS's JSON protocols (JSON in and out, the action in
// a header): 1.1, which Systems Manager and Secrets Manager use, and 1.0 as DynamoDB has it.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
package jsonrpc

import (
	"encoding/json"
	"errors"
	"hash/crc32"
	"maps"
	"net/http"
	"regexp"
	"strconv"
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
	version string
	shapes  string // what stands before the type of an error
	summed  bool   // answers have a checksum
}

// New returns the service that requests name so in their header. Its actions run
// one at a time, holding the lock.
func New(name string, lock sync.Locker, actions map[string]Action) *API {
	return &API{name: name, lock: lock, actions: actions, version: "1.1"}
}

// New10 is New for version 1.0 as DynamoDB has it: the types of its errors are in a
// namespace, and every answer has the CRC-32 of its body in X-Amz-Crc32.
func New10(name, namespace string, lock sync.Locker, actions map[string]Action) *API {
	return &API{name: name, lock: lock, actions: actions, version: "1.0", shapes: namespace + "#", summed: true}
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
		return &Error{Code: "SerializationException", Message: err.Error()}
	}
	return nil
}

// Body is the request's JSON.
func (r Request) Body() []byte { return r.body }

// Error is what a service answers instead of a result, with status 400.
type Error struct {
	Code, Message string
	Fields        map[string]any // that the answer has as well
}

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
		a.refuse(w, http.StatusBadRequest, refused)
		return
	}
	if err != nil {
		a.Fail(w, r, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	a.write(w, http.StatusOK, result)
}

// Fail answers with an error.
func (a *API) Fail(w http.ResponseWriter, _ *http.Request, status int, code, message string) {
	a.refuse(w, status, &Error{Code: code, Message: message})
}

func (a *API) refuse(w http.ResponseWriter, status int, refused *Error) {
	answer := map[string]any{"__type": a.shapes + refused.Code, "message": refused.Message}
	maps.Copy(answer, refused.Fields)
	a.write(w, status, answer)
}

func (a *API) write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	header := w.Header()
	header.Set("Content-Type", "application/x-amz-json-"+a.version)
	header.Set("X-Amzn-Requestid", "00000000-0000-4000-8000-000000000000")
	if a.summed {
		header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
}
