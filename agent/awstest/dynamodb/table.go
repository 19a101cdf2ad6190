package dynamodb

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"koboshi/agent/awstest/account"
	"koboshi/agent/awstest/jsonrpc"
)

// Key is an attribute of the primary key. Type is "S", "N" or "B".
type Key struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// table is one table. Its sort key may be absent: then its name is "".
type table struct {
	name            string
	partition, sort Key
	billing         string
	created         time.Time
	items           map[Value]map[Value]stored // by partition key, then by sort key (Value{} where there is none)
}

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// CreateTable makes a table that is there at once. Without a sort key, sort is Key{}.
// Its error says what of it is wrong, or that it exists.
func (s *Store) CreateTable(region, name string, partition, sort Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.create(region, &table{name: name, partition: partition, sort: sort, billing: "PAY_PER_REQUEST"})
}

func (s *Store) create(region string, t *table) error {
	at := place{region, t.name}
	types := []string{"S", "N", "B"}
	switch {
	case !tableName.MatchString(t.name):
		return invalid("Invalid table/index name.  Table/index names must be between 3 and 255 characters long, and may contain only the characters a-z, A-Z, 0-9, '_', '-', and '.'")
	case s.tables[at] != nil:
		return &jsonrpc.Error{Code: "ResourceInUseException", Message: "Table already exists: " + t.name}
	case t.partition.Name == "" || !slices.Contains(types, t.partition.Type):
		return invalid("the partition key %q of type %q, want a name and one of S, N, B", t.partition.Name, t.partition.Type)
	case t.sort != Key{} && (t.sort.Name == "" || t.sort.Name == t.partition.Name || !slices.Contains(types, t.sort.Type)):
		return invalid("the sort key %q of type %q, want another name and one of S, N, B", t.sort.Name, t.sort.Type)
	}
	t.created, t.items = s.now(), map[Value]map[Value]stored{}
	s.tables[at] = t
	return nil
}

var errNoTable = &jsonrpc.Error{Code: "ResourceNotFoundException", Message: "Requested resource not found"}

// find is the table that a request names.
func (s *Store) find(r jsonrpc.Request, name string) (*table, error) {
	t := s.tables[place{r.Region, name}]
	if t == nil {
		return nil, errNoTable
	}
	return t, nil
}

// attributeDefinition and keySchema are as AWS writes a key.
type attributeDefinition struct{ AttributeName, AttributeType string }

type keySchema struct{ AttributeName, KeyType string }

type throughput struct{ ReadCapacityUnits, WriteCapacityUnits int64 }

func (s *Store) createTable(r jsonrpc.Request) (any, error) {
	var in struct {
		TableName             string
		AttributeDefinitions  []attributeDefinition
		KeySchema             []keySchema
		BillingMode           string
		ProvisionedThroughput throughput
	}
	if err := into(r, &in); err != nil {
		return nil, err
	}
	t := &table{name: in.TableName, billing: in.BillingMode}
	switch in.BillingMode {
	case "PAY_PER_REQUEST":
	case "", "PROVISIONED":
		t.billing = "PROVISIONED"
		if in.ProvisionedThroughput.ReadCapacityUnits < 1 || in.ProvisionedThroughput.WriteCapacityUnits < 1 {
			return nil, invalid("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
		}
	default:
		return nil, invalid("BillingMode %q", in.BillingMode)
	}
	if err := t.setKeys(in.KeySchema, in.AttributeDefinitions); err != nil {
		return nil, err
	}
	if err := s.create(r.Region, t); err != nil {
		return nil, err
	}
	return map[string]any{"TableDescription": t.describe(r.Region, "CREATING")}, nil
}

// setKeys takes the keys from a schema and the types of exactly its attributes.
func (t *table) setKeys(schema []keySchema, attributes []attributeDefinition) error {
	if len(schema) < 1 || len(schema) > 2 || len(attributes) != len(schema) {
		return invalid("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	for i, key := range []*Key{&t.partition, &t.sort}[:len(schema)] {
		if want := []string{"HASH", "RANGE"}[i]; schema[i].KeyType != want {
			return invalid("Invalid KeySchema: element %d is %s, want %s", i, schema[i].KeyType, want)
		}
		at := slices.IndexFunc(attributes, func(a attributeDefinition) bool { return a.AttributeName == schema[i].AttributeName })
		if at < 0 {
			return invalid("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [%s]", schema[i].AttributeName)
		}
		*key = Key{schema[i].AttributeName, attributes[at].AttributeType}
	}
	return nil
}

func (s *Store) describeTable(r jsonrpc.Request) (any, error) {
	var in struct{ TableName string }
	if err := into(r, &in); err != nil {
		return nil, err
	}
	t, err := s.find(r, in.TableName)
	if err != nil {
		return nil, &jsonrpc.Error{Code: "ResourceNotFoundException", Message: fmt.Sprintf("Requested resource not found: Table: %s not found", in.TableName)}
	}
	return map[string]any{"Table": t.describe(r.Region, "ACTIVE")}, nil
}

func (t *table) describe(region, status string) map[string]any {
	schema := []keySchema{{t.partition.Name, "HASH"}}
	attributes := []attributeDefinition{{t.partition.Name, t.partition.Type}}
	if t.sort.Name != "" {
		schema = append(schema, keySchema{t.sort.Name, "RANGE"})
		attributes = append(attributes, attributeDefinition{t.sort.Name, t.sort.Type})
	}
	return map[string]any{
		"TableName": t.name, "TableStatus": status,
		"TableArn":         "arn:aws:dynamodb:" + region + ":" + account.ID + ":table/" + t.name,
		"CreationDateTime": float64(t.created.UnixMilli()) / 1000,
		"KeySchema":        schema, "AttributeDefinitions": attributes,
		"BillingModeSummary": map[string]string{"BillingMode": t.billing},
	}
}
