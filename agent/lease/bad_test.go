package lease_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/dynamodb"
	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

// atNow is a garbage item with times of now, so that it is refused for what it is.
func atNow(text string) string {
	now := time.Now().UnixMilli()
	return strings.NewReplacer(
		`"hw_ms":1795870610000,`, fmt.Sprintf(`"hw_ms":%d,`, now),
		fmt.Sprintf(`"hw_ms":%d,`, nowMillis+25*3_600_000+1), fmt.Sprintf(`"hw_ms":%d,`, now+26*3_600_000),
	).Replace(text)
}

// An id with something else in place of its item is skipped, with the reason in lists, and
// is never written over.
func TestGarbageIsLeftAlone(t *testing.T) {
	for name, text := range garbage() {
		m, b := leasetest.NewMemory(leasetest.Rows, "web"), buckettest.NewMemory()
		text = atNow(text)
		m.Put(7, []byte(text))
		if _, err := b.Put(t.Context(), "nodes/web/0000/0000007.json", strings.NewReader(text), int64(len(text)), always); err != nil {
			t.Fatal(err)
		}
		for _, table := range []lease.Table{m, lease.NewObjects(b, "web", "the bucket", time.Now)} {
			leftAlone(t, name, table)
		}
		if got := string(m.Bytes(7)); got != text {
			t.Errorf("%s: it was written over: %.300s", name, got)
		}
		if _, object, err := b.Get(t.Context(), "nodes/web/0000/0000007.json", whole); err != nil || object.Size != int64(len(text)) {
			t.Errorf("%s: it was written over: %v, %v", name, object, err)
		}
	}
}

// leftAlone holds that nobody takes id 7, that everything else goes on, and that a survey
// shows it.
func leftAlone(t *testing.T, name string, table lease.Table) {
	t.Helper()
	var none *lease.NoneError
	if _, err := holder(table, 1, one).Claim(t.Context()); !errors.As(err, &none) || none.Bad != 1 || none.Held != 0 {
		t.Errorf("%s: claimed: %v", name, err)
	}
	if tenure := claim(t, holder(table, 1, two)); tenure.ID != 8 {
		t.Errorf("%s: got id %d", name, tenure.ID)
	}
	found, err := lease.Survey(t.Context(), table, 0, 1023, nil)
	if err != nil || len(found) != 2 || found[0].ID != 7 || !errors.Is(found[0].Bad, lease.ErrItem) || found[1].Bad != nil {
		t.Errorf("%s: a survey finds %+v: %v", name, found, err)
	}
}

// The same of items of DynamoDB, whose attributes somebody has changed.
func TestGarbageRowsAreLeftAlone(t *testing.T) {
	server := mock(t)
	table := rowsOf(server.URL(), "node-ids")("web")
	claim(t, holder(table, 9, one))
	good := server.DynamoDB().Item(region, "node-ids", dynamodb.Text("web#0"), dynamodb.Number(7))
	if len(good) != 11 {
		t.Fatalf("the item is %v", good)
	}
	for name := range good {
		if name != "shard" && name != "id" {
			row(t, server.DynamoDB(), good, name, dynamodb.Value{})
			leftAloneRow(t, table, "without "+name)
			row(t, server.DynamoDB(), good, name, dynamodb.Value{Type: "BOOL", Text: "true"})
			leftAloneRow(t, table, "another type of "+name)
		}
	}
	for name, value := range map[string]dynamodb.Value{
		"schema": dynamodb.Number(2), "gen": {Type: "N", Text: "1.5"}, "scope": dynamodb.Text("api"), "state": dynamodb.Text("lent"), "owner": dynamodb.Text("i 1"),
		"nonce": dynamodb.Text("00"), "hw_ms": dynamodb.Number(time.Now().Add(26 * time.Hour).UnixMilli()), "slack_ms": dynamodb.Number(-1),
		"written": dynamodb.Text("yesterday"), "ttl": dynamodb.Number(1),
	} {
		row(t, server.DynamoDB(), good, name, value)
		leftAloneRow(t, table, "another "+name)
	}
}

// row stores an item of which one attribute is another, or missing.
func row(t *testing.T, s *dynamodb.Store, good dynamodb.Item, name string, value dynamodb.Value) {
	t.Helper()
	i := dynamodb.Item{}
	for n, v := range good {
		if n != name {
			i[n] = v
		}
	}
	if value != (dynamodb.Value{}) {
		i[name] = value
	}
	if err := s.PutItem(region, "node-ids", i); err != nil {
		t.Fatal(err)
	}
}

func leftAloneRow(t *testing.T, table lease.Table, name string) {
	t.Helper()
	var none *lease.NoneError
	if _, err := holder(table, 1, one).Claim(t.Context()); !errors.As(err, &none) || none.Bad != 1 {
		t.Errorf("%s: claimed: %v", name, err)
	}
	if s, err := table.Get(t.Context(), 7); err != nil || !errors.Is(s.Bad, lease.ErrItem) || s.Item != nil || !s.Exists {
		t.Errorf("%s: read as %+v: %v", name, s, err)
	}
}

// A table of DynamoDB that was made for something else is said to be one.
func TestTableWithOtherKeys(t *testing.T) {
	server := mock(t)
	for name, keys := range map[string][2]dynamodb.Key{
		"other-names": {{Name: "pk", Type: "S"}, {Name: "sk", Type: "N"}},
		"other-types": {{Name: "shard", Type: "S"}, {Name: "id", Type: "S"}},
		"no-sort-key": {{Name: "shard", Type: "S"}, {}},
	} {
		if err := server.DynamoDB().CreateTable(region, name, keys[0], keys[1]); err != nil {
			t.Fatal(err)
		}
		table := lease.NewRows(config(server.URL()), name, "web", time.Now)
		if _, err := holder(table, 1, one).Claim(t.Context()); name != "no-sort-key" && !errors.Is(err, lease.ErrKeys) { // of that no claim is aware: a shard has one id
			t.Errorf("%s: %v", name, err)
		}
		if _, err := table.Get(t.Context(), 7); !errors.Is(err, lease.ErrKeys) {
			t.Errorf("%s: %v", name, err)
		}
	}
	found := lease.Probe(t.Context(), lease.NewRows(config(server.URL()), "no-sort-key", "web", time.Now), time.Now)
	if !slices.ContainsFunc(found.Checks, func(c bucket.Check) bool { return strings.Contains(c.Found, lease.ErrKeys.Error()) }) {
		t.Errorf("a probe finds %+v", found.Checks)
	}
	_, err := holder(rowsOf(server.URL(), "none-such")("web"), 1, one).Claim(t.Context())
	if err == nil || !strings.Contains(err.Error(), "there is no such table in this region") || errors.Is(err, lease.ErrKeys) {
		t.Errorf("a table that is not there: %v", err)
	}
}

// A list has the ids of one shard, whatever else somebody has put into its partition.
func TestForeignRows(t *testing.T) {
	server := mock(t)
	table := rowsOf(server.URL(), "node-ids")("web")
	for _, id := range []dynamodb.Value{dynamodb.Number(64), dynamodb.Number(-1), {Type: "N", Text: "1.5"}, {Type: "N", Text: "18446744073709551616"}} {
		if err := server.DynamoDB().PutItem(region, "node-ids", dynamodb.Item{"shard": dynamodb.Text("web#0"), "id": id}); err != nil {
			t.Fatal(err)
		}
	}
	claim(t, holder(table, 1, one))
	found, err := table.List(t.Context(), 0)
	if err != nil || !slices.Equal(idsIn(found), []int{7}) {
		t.Errorf("listed %+v: %v", found, err)
	}
}

func idsIn(found []lease.Stored) (ids []int) {
	for _, s := range found {
		ids = append(ids, s.ID)
	}
	return ids
}
