// Package ssm is Parameter Store: parameters are put and read, one by one or by path.
package ssm

import (
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"koboshi/agent/awstest/account"
	"koboshi/agent/awstest/jsonrpc"
)

// maxResults is the most, and what is given unasked, of one GetParametersByPath.
const maxResults = 10

// SecureString is the type of parameter that is encrypted.
const SecureString = "SecureString"

// Store has the parameters of all regions.
type Store struct {
	now        func() time.Time
	mu         sync.Mutex
	parameters map[string]parameter
}

type parameter struct {
	kind, value string
	version     int
	changed     time.Time
}

// New is a store without parameters.
func New(now func() time.Time) *Store {
	return &Store{now: now, parameters: map[string]parameter{}}
}

// Put sets a parameter, encrypted.
func (s *Store) Put(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(name, SecureString, value)
}

func (s *Store) put(name, kind, value string) int {
	version := s.parameters[name].version + 1
	s.parameters[name] = parameter{kind, value, version, s.now()}
	return version
}

// API is the service over the store.
func (s *Store) API() *jsonrpc.API {
	return jsonrpc.New("AmazonSSM", &s.mu, map[string]jsonrpc.Action{
		"PutParameter":        s.putParameter,
		"GetParameter":        s.getParameter,
		"GetParameters":       s.getParameters,
		"GetParametersByPath": s.getParametersByPath,
	})
}

var nameOf = regexp.MustCompile(`^/?([a-zA-Z0-9_.-]+/){0,14}[a-zA-Z0-9_.-]+$`)

func (s *Store) putParameter(r jsonrpc.Request) (any, error) {
	var in struct {
		Name, Value, Type string
		Overwrite         bool
	}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	was, found := s.parameters[in.Name]
	switch {
	case !nameOf.MatchString(in.Name) || strings.Contains(in.Name, "/") && in.Name[0] != '/':
		return nil, &jsonrpc.Error{Code: "ValidationException", Message: "Parameter name must be a fully qualified name."}
	case found && !in.Overwrite:
		return nil, &jsonrpc.Error{Code: "ParameterAlreadyExists", Message: "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."}
	case in.Type == "" && found:
		in.Type = was.kind
	case !slices.Contains([]string{"String", "StringList", SecureString}, in.Type):
		return nil, &jsonrpc.Error{Code: "ValidationException", Message: "A parameter type is required when you create a parameter."}
	}
	return map[string]any{"Version": s.put(in.Name, in.Type, in.Value), "Tier": "Standard"}, nil
}

// answered is a parameter in an answer.
type answered struct {
	Name, Type, Value, ARN, DataType string
	Version                          int
	LastModifiedDate                 float64
}

// answer is a parameter's value, which of a SecureString is encrypted unless asked
// for.
func (s *Store) answer(r jsonrpc.Request, name string, decrypt bool) answered {
	p := s.parameters[name]
	if p.kind == SecureString && !decrypt {
		p.value = base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "encrypted %d", len(p.value)))
	}
	arn := "arn:aws:ssm:" + r.Region + ":" + account.ID + ":parameter/" + strings.TrimPrefix(name, "/")
	return answered{name, p.kind, p.value, arn, "text", p.version, float64(p.changed.UnixMilli()) / 1000}
}

func (s *Store) getParameter(r jsonrpc.Request) (any, error) {
	var in struct {
		Name           string
		WithDecryption bool
	}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	if _, found := s.parameters[in.Name]; !found {
		return nil, &jsonrpc.Error{Code: "ParameterNotFound"}
	}
	return map[string]any{"Parameter": s.answer(r, in.Name, in.WithDecryption)}, nil
}

func (s *Store) getParameters(r jsonrpc.Request) (any, error) {
	var in struct {
		Names          []string
		WithDecryption bool
	}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	found, invalid := []answered{}, []string{}
	for _, name := range in.Names {
		if _, ok := s.parameters[name]; !ok {
			invalid = append(invalid, name)
			continue
		}
		found = append(found, s.answer(r, name, in.WithDecryption))
	}
	return map[string]any{"Parameters": found, "InvalidParameters": invalid}, nil
}

// getParametersByPath pages through the names below a path, in their order.
func (s *Store) getParametersByPath(r jsonrpc.Request) (any, error) {
	var in struct {
		Path, NextToken           string
		Recursive, WithDecryption bool
		MaxResults                int
	}
	if err := r.Into(&in); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(in.Path, "/") {
		return nil, &jsonrpc.Error{Code: "ValidationException", Message: "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\"."}
	}
	if in.MaxResults == 0 {
		in.MaxResults = maxResults
	}
	if in.MaxResults < 1 || in.MaxResults > maxResults {
		return nil, &jsonrpc.Error{Code: "ValidationException", Message: "1 validation error detected: Value at 'maxResults' failed to satisfy constraint"}
	}
	from := 0
	if in.NextToken != "" {
		var err error
		if from, err = strconv.Atoi(in.NextToken); err != nil || from < 0 {
			return nil, &jsonrpc.Error{Code: "InvalidNextToken", Message: "The specified token isn't valid."}
		}
	}
	names := s.below(in.Path, in.Recursive)
	names = names[min(from, len(names)):]
	page := names[:min(in.MaxResults, len(names))]
	out := map[string]any{}
	found := []answered{}
	for _, name := range page {
		found = append(found, s.answer(r, name, in.WithDecryption))
	}
	out["Parameters"] = found
	if len(page) < len(names) {
		out["NextToken"] = strconv.Itoa(from + len(page))
	}
	return out, nil
}

func (s *Store) below(path string, recursive bool) (names []string) {
	path = strings.TrimSuffix(path, "/") + "/"
	for _, name := range slices.Sorted(maps.Keys(s.parameters)) {
		if rest, found := strings.CutPrefix(name, path); found && (recursive || !strings.Contains(rest, "/")) {
			names = append(names, name)
		}
	}
	return names
}
