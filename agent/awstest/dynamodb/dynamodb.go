// Package dynamodb is as much of DynamoDB as a table of leases needs: tables with a
// partition key and a sort key, items of scalar attributes that are read and written
// one by one under a condition, and queries of one partition.
//
// What it does not have (other operations and parameters, operators of expressions,
// lists, maps and sets, indexes) it refuses with a ValidationException that says "not
// supported by the mock" and names it. It never ignores a parameter. It is stricter than
// the service in one point: an expression names attributes by placeholders (#name) only,
// so the list of reserved words does not matter.
package dynamodb

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/agent/awstest/jsonrpc"
)

// Store has the tables of all regions.
type Store struct {
	now    func() time.Time
	mu     sync.Mutex
	tables map[place]*table
}

// place is where a table is.
type place struct{ region, name string }

// New is a store without tables.
func New(now func() time.Time) *Store {
	return &Store{now: now, tables: map[place]*table{}}
}

// API is the service over the store.
func (s *Store) API() *jsonrpc.API {
	return jsonrpc.New10("DynamoDB_20120810", "com.amazonaws.dynamodb.v20120810", &s.mu, map[string]jsonrpc.Action{
		"CreateTable":   s.createTable,
		"DescribeTable": s.describeTable,
		"GetItem":       s.getItem,
		"PutItem":       s.putItem,
		"UpdateItem":    s.updateItem,
		"Query":         s.query,
	})
}

// invalid is a request that the service refuses.
func invalid(format string, args ...any) error {
	return &jsonrpc.Error{Code: "ValidationException", Message: fmt.Sprintf(format, args...)}
}

// unsupported is a request that the service may understand, and the mock does not.
func unsupported(format string, args ...any) error {
	return invalid("not supported by the mock: "+format, args...)
}

// into reads the parameters of a request, and refuses any that in does not have.
func into(r jsonrpc.Request, in any) error {
	err := json.Unmarshal(r.Body(), in, json.RejectUnknownMembers(true))
	if refused, ok := errors.AsType[*jsonrpc.Error](err); ok {
		return refused
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok && errors.Is(err, json.ErrUnknownName) {
		return unsupported("the parameter %s", strings.TrimPrefix(string(e.JSONPointer), "/"))
	}
	if err != nil {
		return &jsonrpc.Error{Code: "SerializationException", Message: err.Error()}
	}
	return nil
}
