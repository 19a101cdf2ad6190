package nodeid

import (
	"os"
	"reflect"
	"testing"

	"github.com/go-json-experiment/json"

	"koboshi/agent/lease"
)

func sample() Record {
	return Record{
		Schema: schema, Instance: "i-0123456789abcdef0", Boot: "one", Scope: "web", Table: "s3://b/web", ID: 7, Gen: 13, Nonce: lease.Nonce{1},
		Floor: 100, Until: 3_700_000, Slack: 300_000, Phase: lease.Holding, Started: 200, Uptime: 50, Stop: 3_600_000,
	}
}

func TestRecord(t *testing.T) {
	dir := open(t)
	if r, warning, err := Load(dir); r != (Record{}) || warning != nil || err != nil {
		t.Errorf("without a file: %+v, %v, %v", r, warning, err)
	}
	before := sample()
	with := sample()
	with.Before = &before
	for _, want := range []Record{sample(), with} {
		if err := want.save(dir); err != nil {
			t.Fatal(err)
		}
		if got, warning, err := Load(dir); !reflect.DeepEqual(got, want) || warning != nil || err != nil {
			t.Errorf("%+v, %v, %v, want %+v", got, warning, err, want)
		}
	}
}

func TestDamagedRecords(t *testing.T) {
	change := func(f func(*Record)) Record {
		r := sample()
		f(&r)
		return r
	}
	nested := sample()
	nested.Before = &Record{}
	for name, r := range map[string]Record{
		"schema":   change(func(r *Record) { r.Schema = 2 }),
		"instance": change(func(r *Record) { r.Instance = "" }),
		"boot":     change(func(r *Record) { r.Boot = "" }),
		"scope":    change(func(r *Record) { r.Scope = "../web" }),
		"id":       change(func(r *Record) { r.ID = lease.MaxID + 1 }),
		"gen":      change(func(r *Record) { r.Gen = 0 }),
		"phase":    change(func(r *Record) { r.Phase = "" }),
		"floor":    change(func(r *Record) { r.Floor = -2 }),
		"until":    change(func(r *Record) { r.Until = 99 }),
		"slack":    change(func(r *Record) { r.Slack = -1 }),
		"before":   nested,
	} {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parse(data); err == nil || got != (Record{}) {
			t.Errorf("%s: %+v is taken: %v", name, got, err)
		}
	}
	dir := open(t)
	for _, text := range []string{"", "null", "{}", "[]", "{", `{"schema":1,"schema":1}`, string(make([]byte, maxFile+1))} {
		if err := dir.WriteFile(RecordFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, warning, err := Load(dir); r != (Record{}) || warning == nil || err != nil {
			t.Errorf("%.20q: %+v, %v, %v", text, r, warning, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"schema":1,"instance":"i-0","boot_id":"one","scope":"web","table":"","id":7,"gen":1,"nonce":"00000000000000000000000000000001","floor_ms":0,"until_ms":1,"slack_ms":0,"phase":"held"}`))
	f.Add([]byte(`{"before":{"before":{}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parse(data)
		if err != nil && r != (Record{}) {
			t.Errorf("%+v with %v", r, err)
		}
		if err == nil && r.check() != nil {
			t.Errorf("%+v: %v", r, r.check())
		}
	})
}

func open(t *testing.T) *os.Root {
	t.Helper()
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}
