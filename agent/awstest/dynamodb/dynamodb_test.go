package dynamodb

import (
	"encoding/json"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	region = "eu-west-1"
	leases = "leases"
)

// world is a store with one table, whose clock stands still until it is moved.
type world struct {
	*Store
	t   *testing.T
	now time.Time
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	w.Store = New(func() time.Time { return w.now })
	if err := w.CreateTable(region, leases, Key{"shard", "S"}, Key{"id", "N"}); err != nil {
		t.Fatal(err)
	}
	return w
}

type answer struct {
	Type             string `json:"__type"`
	Message          string `json:"message"`
	Item, Attributes Item
	Items            []Item
	LastEvaluatedKey Item
	ConsumedCapacity struct{ CapacityUnits float64 }
}

// ask sends one request. The table's name is added.
func (w *world) ask(operation, parameters string) (a answer) {
	w.t.Helper()
	body := `{"TableName":"leases",` + strings.TrimPrefix(parameters, "{")
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=ASIAA5C0DE0000000001/20261128/"+region+"/dynamodb/aws4_request")
	rec := httptest.NewRecorder()
	w.API().ServeHTTP(rec, r)
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
		w.t.Fatalf("%s: %v in %s", parameters, err, rec.Body)
	}
	if want := strconv.FormatUint(uint64(crc32.ChecksumIEEE(rec.Body.Bytes())), 10); rec.Header().Get("X-Amz-Crc32") != want {
		w.t.Errorf("%s: X-Amz-Crc32 is %s, want %s", parameters, rec.Header().Get("X-Amz-Crc32"), want)
	}
	if (rec.Code == http.StatusOK) != (a.Type == "") {
		w.t.Errorf("%s: status %d with %q", parameters, rec.Code, a.Type)
	}
	a.Type = strings.TrimPrefix(a.Type, "com.amazonaws.dynamodb.v20120810#")
	return a
}

func (w *world) succeeds(operation, parameters string) answer {
	w.t.Helper()
	a := w.ask(operation, parameters)
	if a.Type != "" {
		w.t.Fatalf("%s %s: %s: %s", operation, parameters, a.Type, a.Message)
	}
	return a
}

// refused checks for an error that contains the text.
func (w *world) refused(operation, parameters, kind, text string) answer {
	w.t.Helper()
	a := w.ask(operation, parameters)
	if a.Type != kind || !strings.Contains(a.Message, text) {
		w.t.Errorf("%s %s\ngot  %s: %s\nwant %s: …%s…", operation, parameters, a.Type, a.Message, kind, text)
	}
	return a
}

const key7 = `"Key":{"shard":{"S":"web#0"},"id":{"N":"7"}}`

// seven is what is stored as id 7.
func (w *world) seven() Item { return w.Item(region, leases, Text("web#0"), Number(7)) }

func TestNotSupportedIsRefusedByName(t *testing.T) {
	w := newWorld(t)
	if err := w.PutItem(region, leases, Item{"shard": Text("web#0"), "id": Number(7), "gen": Number(1)}); err != nil {
		t.Fatal(err)
	}
	const names = `,"ExpressionAttributeNames":{"#g":"gen"},"ExpressionAttributeValues":{":v":{"N":"1"}}}`
	for _, c := range []struct{ operation, parameters, named string }{
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"#g = :v OR #g = :v"` + names, "OR in a ConditionExpression"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"NOT #g = :v"` + names, "NOT in a ConditionExpression"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"(#g = :v)"` + names, "( in a ConditionExpression"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"#g <> :v"` + names, "<> in a ConditionExpression"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"#g < :v"` + names, "< in a ConditionExpression"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"#g.#g = :v"` + names, ". in a ConditionExpression"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"#g BETWEEN :v AND :v"` + names, "BETWEEN in a ConditionExpression"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"size(#g) = :v"` + names, "the function size in a ConditionExpression"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"gen = :v"` + names, "the name gen itself"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"#g = #g"` + names, "the name #g as an operand"},
		{"UpdateItem", `{` + key7 + `,"UpdateExpression":"SET #g = #g + :v"` + names, "the name #g as an operand"},
		{"UpdateItem", `{` + key7 + `,"UpdateExpression":"SET #g = :v + :v"` + names, "+ in a UpdateExpression"},
		{"UpdateItem", `{` + key7 + `,"UpdateExpression":"SET #g = if_not_exists(#g, :v)"` + names, "the function if_not_exists"},
		{"UpdateItem", `{` + key7 + `,"UpdateExpression":"REMOVE #g"` + names, "REMOVE in a UpdateExpression"},
		{"UpdateItem", `{` + key7 + `,"UpdateExpression":"ADD #g :v"` + names, "ADD in a UpdateExpression"},
		{"UpdateItem", `{` + key7 + `,"UpdateExpression":"SET gen = :v"` + names, "the name gen itself"},
		{"UpdateItem", `{` + key7 + `,"ReturnValues":"UPDATED_NEW"}`, "ReturnValues UPDATED_NEW"},
		{"UpdateItem", `{` + key7 + `,"AttributeUpdates":{}}`, "the parameter AttributeUpdates"},
		{"PutItem", `{"Item":{"shard":{"S":"web#0"},"id":{"N":"7"},"m":{"M":{}}}}`, "a value of type M"},
		{"PutItem", `{"Item":{"shard":{"S":"web#0"},"id":{"N":"7"}},"Expected":{}}`, "the parameter Expected"},
		{"GetItem", `{` + key7 + `,"ProjectionExpression":"gen"}`, "the parameter ProjectionExpression"},
		{"Query", `{"KeyConditionExpression":"#g = :v","FilterExpression":"x"` + names, "the parameter FilterExpression"},
		{"Query", `{"KeyConditionExpression":"#g = :v","IndexName":"x"` + names, "the parameter IndexName"},
	} {
		w.refused(c.operation, c.parameters, "ValidationException", "not supported by the mock: "+c.named)
	}
	w.refused("DeleteItem", `{`+key7+`}`, "UnknownOperationException", "")
	if got := w.seven(); got["gen"] != Number(1) {
		t.Errorf("a refused request changed the item: %v", got)
	}
}

func TestRefusedAsTheServiceDoes(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ operation, parameters, message string }{
		{"PutItem", `{"Item":{"shard":{"S":"web#0"}}}`, "Missing the key id in the item"},
		{"PutItem", `{"Item":{"shard":{"S":"web#0"},"id":{"S":"7"}}}`, "Type mismatch for key id expected: N actual: S"},
		{"PutItem", `{"Item":{"shard":{"S":""},"id":{"N":"7"}}}`, "cannot contain an empty string value. Key: shard"},
		{"PutItem", `{"Item":{"shard":{"S":"a"},"id":{"N":"seven"}}}`, "cannot be converted to a numeric value: seven"},
		{"PutItem", `{"Item":{"shard":{"S":"a"},"id":{"N":"1e999999999"}}}`, "cannot be converted to a numeric value"},
		{"PutItem", `{"Item":{"shard":{"S":"a"},"id":{"N":"1e126"}}}`, "Number overflow"},
		{"PutItem", `{"Item":{"shard":{"S":"a"},"id":{"N":"123456789012345678901234567890123456789"}}}`, "more than 38 significant digits"},
		{"PutItem", `{"Item":{"shard":{"S":"a"},"id":{"N":"1","S":"1"}}}`, "2 datatypes set"},
		{"PutItem", `{"Item":{"shard":{"S":"a"},"id":{"N":"7"},"x":{"S":"` + strings.Repeat("x", maxItem) + `"}}}`, "Item size has exceeded"},
		{"PutItem", `{"Item":{"shard":{"S":"a"},"id":{"N":"7"}},"ReturnValues":"ALL_NEW"}`, "ReturnValues can only be ALL_OLD or NONE"},
		{"GetItem", `{"Key":{"shard":{"S":"a"}}}`, "The provided key element does not match the schema"},
		{"GetItem", `{"Key":{"shard":{"S":"a"},"id":{"N":"7"},"gen":{"N":"7"}}}`, "The provided key element does not match the schema"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":""}`, "Invalid ConditionExpression: The expression can not be empty"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"#g"}`, "attribute name: #g"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"#g = :v","ExpressionAttributeNames":{"#g":"gen"}}`, "attribute value: :v"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"attribute_exists(#g","ExpressionAttributeNames":{"#g":"gen"}}`, "Syntax error"},
		{"UpdateItem", `{` + key7 + `,"ConditionExpression":"attribute_exists(#g) attribute_exists(#g)","ExpressionAttributeNames":{"#g":"gen"}}`, "Syntax error"},
		{"UpdateItem", `{` + key7 + `,"ExpressionAttributeNames":{"#g":"gen"}}`, "unused in expressions: keys: {#g}"},
		{"UpdateItem", `{` + key7 + `,"ExpressionAttributeValues":{":g":{"N":"1"}}}`, "unused in expressions: keys: {:g}"},
		{"UpdateItem", `{` + key7 + `,"UpdateExpression":"SET #g = :v, #g = :v","ExpressionAttributeNames":{"#g":"gen"},"ExpressionAttributeValues":{":v":{"N":"1"}}}`, "Two document paths overlap"},
		{"UpdateItem", `{` + key7 + `,"UpdateExpression":"SET #g = :v","ExpressionAttributeNames":{"#g":"id"},"ExpressionAttributeValues":{":v":{"N":"1"}}}`, "Cannot update attribute id"},
		{"Query", `{"ConsistentRead":true}`, "KeyConditionExpression parameter must be specified"},
		{"Query", `{"KeyConditionExpression":"#g = :v","ExpressionAttributeNames":{"#g":"gen"},"ExpressionAttributeValues":{":v":{"N":"1"}}}`, "Query key condition not supported"},
		{"Query", `{"KeyConditionExpression":"#g = :v","ExpressionAttributeNames":{"#g":"id"},"ExpressionAttributeValues":{":v":{"N":"1"}}}`, "missed key schema element: shard"},
		{"Query", `{"KeyConditionExpression":"#g = :v","ExpressionAttributeNames":{"#g":"shard"},"ExpressionAttributeValues":{":v":{"N":"1"}}}`, "does not match schema type"},
		{"Query", `{"KeyConditionExpression":"attribute_exists(#g)","ExpressionAttributeNames":{"#g":"shard"}}`, "Invalid operator used"},
		{"Query", `{"Limit":0}`, "at 'limit' failed"},
	} {
		w.refused(c.operation, c.parameters, "ValidationException", c.message)
	}
	w.refused("GetItem", `{"TableName":1}`, "SerializationException", "")
	if len(w.tables[place{region, leases}].items) > 0 {
		t.Error("a refused request wrote an item")
	}
}

func TestConditions(t *testing.T) {
	w := newWorld(t)
	const claim = `{"Item":{"shard":{"S":"web#0"},"id":{"N":"007.0"},"gen":{"N":"1"},"state":{"S":"held"}},` +
		`"ConditionExpression":"attribute_not_exists(#i)","ExpressionAttributeNames":{"#i":"id"},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`
	w.succeeds("PutItem", claim)
	was := Item{"shard": Text("web#0"), "id": Number(7), "gen": Number(1), "state": Text("held")}
	equal(t, w.seven(), was)
	equal(t, w.refused("PutItem", claim, "ConditionalCheckFailedException", "The conditional request failed").Item, was)
	equal(t, w.refused("PutItem", strings.Replace(claim, "ALL_OLD", "NONE", 1), "ConditionalCheckFailedException", "").Item, nil)
	w.refused("PutItem", strings.Replace(claim, "ALL_OLD", "OLD", 1), "ValidationException", "want ALL_OLD or NONE")

	update := func(gen, state string) string {
		return `{` + key7 + `,"UpdateExpression":"SET #g = :new, #s = :free","ConditionExpression":"attribute_exists(#g) and #g = :gen AND #s = :state",` +
			`"ExpressionAttributeNames":{"#g":"gen","#s":"state"},"ReturnValues":"ALL_NEW","ReturnValuesOnConditionCheckFailure":"ALL_OLD",` +
			`"ExpressionAttributeValues":{":new":{"N":"2"},":free":{"S":"free"},":gen":{"N":"` + gen + `"},":state":{"S":"` + state + `"}}}`
	}
	equal(t, w.refused("UpdateItem", update("1", "free"), "ConditionalCheckFailedException", "").Item, was)
	equal(t, w.refused("UpdateItem", update("2", "held"), "ConditionalCheckFailedException", "").Item, was)
	now := Item{"shard": Text("web#0"), "id": Number(7), "gen": Number(2), "state": Text("free")}
	equal(t, w.succeeds("UpdateItem", update("1.0", "held")).Attributes, now)
	equal(t, w.seven(), now)
	equal(t, w.succeeds("UpdateItem", strings.Replace(update("2", "free"), "ALL_NEW", "ALL_OLD", 1)).Attributes, now)
	w.DeleteItem(region, leases, Text("web#0"), Number(7))
	equal(t, w.refused("UpdateItem", update("2", "free"), "ConditionalCheckFailedException", "").Item, nil)
	equal(t, w.seven(), nil)
	w.refused("UpdateItem", `{`+key7+`,"ConditionExpression":"#g = :v","ExpressionAttributeNames":{"#g":"gen"},"ExpressionAttributeValues":{":v":{"N":"1"}}}`, "ConditionalCheckFailedException", "")
	equal(t, w.succeeds("UpdateItem", `{`+key7+`,"ReturnValues":"ALL_NEW"}`).Attributes, Item{"shard": Text("web#0"), "id": Number(7)}) // makes it
}

func TestReadsThatAreNotConsistent(t *testing.T) {
	w := newWorld(t)
	put := func(gen string) {
		w.succeeds("PutItem", `{"Item":{"shard":{"S":"web#0"},"id":{"N":"7"},"gen":{"N":"`+gen+`"}}}`)
	}
	read := func(consistent string) (got, queried Value) {
		items := w.succeeds("Query", `{"KeyConditionExpression":"#s = :s","ExpressionAttributeNames":{"#s":"shard"},"ExpressionAttributeValues":{":s":{"S":"web#0"}},"ConsistentRead":`+consistent+`}`).Items
		if len(items) > 0 {
			queried = items[0]["gen"]
		}
		return w.succeeds("GetItem", `{`+key7+`,"ConsistentRead":`+consistent+`}`).Item["gen"], queried
	}
	expect := func(consistent string, want Value) {
		t.Helper()
		got, queried := read(consistent)
		equal(t, got, want)
		equal(t, queried, want)
	}
	put("1")
	expect("false", Value{})
	expect("true", Number(1))
	w.now = w.now.Add(staleFor)
	expect("false", Number(1))
	put("2")
	expect("false", Number(1))
	expect("true", Number(2))
}

func TestPagesAndCapacity(t *testing.T) {
	w := newWorld(t)
	for id := range int64(5) {
		if err := w.PutItem(region, leases, Item{"shard": Text("web#0"), "id": Number(id * 5), "x": Text(strings.Repeat("x", 300<<10))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.PutItem(region, leases, Item{"shard": Text("web#1"), "id": Number(1)}); err != nil {
		t.Fatal(err)
	}
	query := func(more string) (ids []string, last Item, units float64) {
		a := w.succeeds("Query", `{"KeyConditionExpression":"#s = :s","ExpressionAttributeNames":{"#s":"shard"},"ExpressionAttributeValues":{":s":{"S":"web#0"}},"ConsistentRead":true,"ReturnConsumedCapacity":"TOTAL"`+more+`}`)
		for _, item := range a.Items {
			ids = append(ids, item["id"].Text)
		}
		return ids, a.LastEvaluatedKey, a.ConsumedCapacity.CapacityUnits
	}
	expect := func(more string, want []string, last Item, units float64) {
		t.Helper()
		ids, at, consumed := query(more)
		equal(t, ids, want)
		equal(t, at, last)
		equal(t, consumed, units)
	}
	at := func(id int64) Item { return Item{"shard": Text("web#0"), "id": Number(id)} }
	after := func(id string) string {
		return `,"ExclusiveStartKey":{"shard":{"S":"web#0"},"id":{"N":"` + id + `"}}`
	}
	expect("", []string{"0", "5", "10"}, at(10), 226) // 1 MiB
	expect(after("10"), []string{"15", "20"}, nil, 151)
	expect(`,"Limit":2`, []string{"0", "5"}, at(5), 151)
	expect(`,"Limit":2`+after("10"), []string{"15", "20"}, at(20), 151) // the service does not look further
	expect(`,"Limit":2`+after("20"), nil, nil, 1)
	expect(`,"Limit":2,"ScanIndexForward":false`, []string{"20", "15"}, at(15), 151)
	w.refused("Query", `{"KeyConditionExpression":"#s = :s","ExpressionAttributeNames":{"#s":"shard"},"ExpressionAttributeValues":{":s":{"S":"web#1"}}`+after("10")+`}`,
		"ValidationException", "outside query boundaries")
	one := w.succeeds("Query", `{"KeyConditionExpression":"#s = :s AND #i = :i","ExpressionAttributeNames":{"#s":"shard","#i":"id"},"ExpressionAttributeValues":{":s":{"S":"web#0"},":i":{"N":"5"}},"ConsistentRead":true}`)
	equal(t, len(one.Items), 1)
	equal(t, one.Items[0]["id"], Number(5))

	units := func(operation, parameters string) float64 {
		return w.succeeds(operation, parameters[:len(parameters)-1]+`,"ReturnConsumedCapacity":"INDEXES"}`).ConsumedCapacity.CapacityUnits
	}
	equal(t, units("GetItem", `{`+key7+`}`), 0.5)
	equal(t, units("GetItem", `{`+key7+`,"ConsistentRead":true}`), 1)
	equal(t, units("PutItem", `{"Item":{"shard":{"S":"web#0"},"id":{"N":"7"},"x":{"S":"`+strings.Repeat("x", 1100)+`"}}}`), 2)
	equal(t, units("UpdateItem", `{`+key7+`}`), 2)
	w.refused("GetItem", `{`+key7+`,"ReturnConsumedCapacity":"ALL"}`, "ValidationException", "want INDEXES, TOTAL or NONE")
}

// FuzzRequests sends bodies that no SDK makes: each answer is JSON with its checksum, and
// none but a success changes the table.
func FuzzRequests(f *testing.F) {
	f.Add("UpdateItem", `{`+key7+`,"ConditionExpression":"attribute_exists(#g) AND #g = :g","ExpressionAttributeNames":{"#g":"gen"},"ExpressionAttributeValues":{":g":{"N":"1"}}}`)
	f.Add("PutItem", `{"Item":{"shard":{"S":"a"},"id":{"N":"1e126"},"b":{"B":"AA=="},"n":{"NULL":true}}}`)
	f.Add("Query", `{"KeyConditionExpression":"#g = :v","Limit":1}`)
	f.Add("CreateTable", `{"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"AttributeDefinitions":[]}`)
	f.Fuzz(func(t *testing.T, operation, parameters string) {
		if !strings.HasPrefix(parameters, "{") {
			return
		}
		w := newWorld(t)
		a := w.ask(operation, parameters)
		if a.Type != "" && len(w.tables[place{region, leases}].items) > 0 {
			t.Errorf("%s %s: %s, and an item was written", operation, parameters, a.Type)
		}
	})
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
