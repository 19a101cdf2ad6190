package census

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

var (
	noon     = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	manifest = artifacts.Sum([]byte("1.5.0"))
)

// sound is a record with every member set.
func sound() Record {
	return Record{
		App: "web", Channel: "stable", Instance: "i-0123456789abcdef0", Version: "1.5.0-rc.1", ManifestSHA256: manifest, Sequence: 7,
		State: Failed, Verdict: report.Failed, Code: 20, Why: "unhealthy: 503", Running: "1.4.2", Since: noon.Add(-time.Hour), NodeID: new(7),
		Group: "web", AZ: "eu-west-1a", Boot: &Boot{Code: 20, MS: 12345}, Agent: "0.1.0", At: noon,
	}
}

func TestKey(t *testing.T) {
	s := sound().Subject()
	key := "health/stable/1.5.0-rc.1-" + manifest.Short() + "/i-0123456789abcdef0.failed.json"
	if s.Key() != key {
		t.Errorf("got %s, want %s", s.Key(), key)
	}
	if got, ok := ParseKey(key); !ok || got != s {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{
		"", "health/", "health/stable", "health/stable/1-0123456789ab/i-1.json", "health/stable/1-0123456789ab/i-1.good.json", "health/stable/1-0123456789ab/i-1.ok.txt",
		"health/../1-0123456789ab/i-1.ok.json", "health/stable/..-0123456789ab/i-1.ok.json", "health/stable/1-0123456789ab/...ok.json", "health/stable/1-0123456789ab/...json",
		"health/stable/1-0123456789ab/x/i-1.ok.json", "health/stable/1-0123456789AB/i-1.ok.json", "health/stable/1-0123456789a/i-1.ok.json", "health/stable/-0123456789ab/i-1.ok.json",
		"health//1-0123456789ab/i-1.ok.json", "health/stable/1-0123456789ab/.ok.json", "health/stable/1-0123456789ab/<script>.ok.json", "health/Stable/1-0123456789ab/i-1.ok.json",
		"health/stable/1-0123456789ab/i-1.ok.json.", "guard/stable/1-0123456789ab/i-1.ok.json", "health/stable/1-0123456789ab/i-1\x1b[2J.ok.json", "health/stable/1-0123456789ab/i-1.ok.json/",
		"health/stable/1-0123456789ab/" + strings.Repeat("i", 64) + ".ok.json",
	} {
		if got, ok := ParseKey(bad); ok {
			t.Errorf("%q is %+v", bad, got)
		}
	}
}

func TestEncodeAndParse(t *testing.T) {
	rec := sound()
	text, err := rec.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(text, "web", rec.Subject())
	rec.Schema = schema
	if err != nil || fmt.Sprintf("%+v %d %+v", got, *got.NodeID, *got.Boot) != fmt.Sprintf("%+v %d %+v", withPointers(rec, got), *rec.NodeID, *rec.Boot) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, rec)
	}
	if len(text) > 1000 {
		t.Errorf("%d bytes", len(text))
	}
	// The longest that there can be.
	rec.Version, rec.Channel, rec.Instance, rec.App = strings.Repeat("v", 64), strings.Repeat("c", 63), strings.Repeat("i", 63), strings.Repeat("a", 63)
	rec.Why, rec.Group, rec.AZ, rec.Agent = strings.Repeat("\"", 5000), strings.Repeat("\\", 5000), strings.Repeat("z", 5000), strings.Repeat("a", 5000)
	if text, err := rec.Encode(); err != nil || len(text) > MaxRecord {
		t.Errorf("%v, %d bytes", err, len(text))
	}
	for name, spoil := range map[string]func(*Record){
		"channel": func(r *Record) { r.Channel = ".." }, "version": func(r *Record) { r.Version = "../1" }, "instance": func(r *Record) { r.Instance = "i/1" },
		"state": func(r *Record) { r.State = "good" }, "app": func(r *Record) { r.App = "" },
	} {
		rec := sound()
		if spoil(&rec); second(rec.Encode()) == nil {
			t.Errorf("%s: it was encoded", name)
		}
	}
}

// withPointers is rec with the pointers of another one, for comparing what they point to.
func withPointers(rec, other Record) Record {
	rec.NodeID, rec.Boot = other.NodeID, other.Boot
	return rec
}

func second[T any](_ T, err error) error { return err }

func TestParseRefuses(t *testing.T) {
	text, err := sound().Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	for name, bad := range map[string]string{
		"nothing": "", "null": "null", "a list": "[]", "half of it": good[:len(good)/2], "trailing data": good + "{}",
		"another app": strings.Replace(good, `"app":"web"`, `"app":"api"`, 1), "a member twice": strings.Replace(good, `"app":"web"`, `"app":"web","app":"web"`, 1),
		"another version": strings.Replace(good, "1.5.0-rc.1", "1.5.0-rc.2", 1), "another instance": strings.Replace(good, "i-0123", "i-9123", 1),
		"another channel": strings.Replace(good, `"stable"`, `"canary"`, 1), "another state": strings.Replace(good, `"state":"failed"`, `"state":"ok"`, 1),
		"another manifest": strings.Replace(good, manifest.Short(), "0123456789ab", 1), "a node id": strings.Replace(good, `"node_id":7`, `"node_id":-1`, 1),
		"a large node id": strings.Replace(good, `"node_id":7`, `"node_id":1048576`, 1), "a code": strings.Replace(good, `"code":20`, `"code":-20`, 1),
		"a time": strings.Replace(good, `"ms":12345`, `"ms":-1`, 1), "a number in place of a text": strings.Replace(good, `"why":"unhealthy: 503"`, `"why":503`, 1),
		"what runs": strings.Replace(good, `"running":"1.4.2"`, `"running":"<b>"`, 1), "no time": strings.Replace(good, `"at":"2026-11-21T12:00:00Z"`, `"at":"0001-01-01T00:00:00Z"`, 1),
		"not UTF-8": strings.Replace(good, "503", "\xff", 1), "schema 0": strings.Replace(good, `"schema":1`, `"schema":0`, 1), "too long": good + strings.Repeat(" ", MaxRecord),
	} {
		if bad == good {
			t.Errorf("%s: nothing was changed", name)
		}
		if r, err := Parse([]byte(bad), "web", sound().Subject()); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
	if _, err := Parse([]byte(strings.Replace(good, `"schema":1`, `"schema":2`, 1)), "web", sound().Subject()); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer one: %v", err)
	}
	if _, err := Parse([]byte(strings.Replace(good, `{`, `{"new":1,`, 1)), "web", sound().Subject()); err != nil {
		t.Errorf("a member of a newer agent: %v", err)
	}
}

// What a record says is fit for a terminal, also where a stranger has written it.
func TestParseCleans(t *testing.T) {
	rec := sound()
	text, err := rec.Encode()
	if err != nil {
		t.Fatal(err)
	}
	hostile := strings.Replace(string(text), "unhealthy: 503", `\u001b[2J\u202eevil\u200b\r\n\u0007 <script>`+strings.Repeat("x", 1000), 1)
	got, err := Parse([]byte(hostile), "web", rec.Subject())
	if err != nil || !strings.HasPrefix(got.Why, "evil <script>xxx") || len(got.Why) > maxWhy {
		t.Errorf("%v, %q", err, got.Why)
	}
}

func FuzzParse(f *testing.F) {
	text, err := sound().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := Parse(data, "web", sound().Subject())
		if err != nil {
			return
		}
		again, err := rec.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := Parse(again, "web", rec.Subject()); err != nil {
			t.Fatal(err)
		}
	})
}

// put stores a record of an instance, with the state, at a time.
func put(t *testing.T, m *buckettest.Memory, at time.Time, change func(*Record)) Record {
	t.Helper()
	rec := sound()
	rec.Running, rec.Code, rec.Why, rec.State, rec.Verdict = "", 0, "", OK, report.Current
	change(&rec)
	m.SetClock(func() time.Time { return at })
	if err := Put(t.Context(), m, rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestSurvey(t *testing.T) {
	m := buckettest.NewMemory()
	as := func(id string, s State, channel string) func(*Record) {
		return func(r *Record) { r.Instance, r.State, r.Channel = id, s, channel }
	}
	put(t, m, noon, as("i-1", Failed, "stable"))
	put(t, m, noon.Add(time.Minute), as("i-1", OK, "stable"))
	put(t, m, noon.Add(time.Minute), as("i-2", OK, "stable")) // of the same second, the worse one
	put(t, m, noon.Add(time.Minute), as("i-2", Gone, "stable"))
	put(t, m, noon.Add(time.Minute), as("i-2", Failed, "stable"))
	put(t, m, noon.Add(2*time.Minute), as("i-3", OK, "canary"))
	put(t, m, noon, as("i-3", OK, "stable"))
	m.Replace("health/stable/../x", []byte("x"))
	m.Replace("health/README", []byte("x"))
	m.Replace("healthy", []byte("x"))
	m.SetClock(func() time.Time { return noon.Add(time.Hour) })
	for channel, want := range map[string]string{
		"": "i-1 ok stable, i-2 failed stable, i-3 ok canary, foreign 2", "stable": "i-1 ok stable, i-2 failed stable, i-3 ok stable, foreign 1",
		"canary": "i-3 ok canary, foreign 0", "beta": "foreign 0",
	} {
		l, err := Survey(t.Context(), m, channel)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range l.Newest {
			got += fmt.Sprintf("%s %s %s, ", f.Instance, f.State, f.Channel)
		}
		if got += fmt.Sprintf("foreign %d", l.Foreign); got != want {
			t.Errorf("%s: got %s, want %s", channel, got, want)
		}
		if len(l.Newest) > 0 && !l.Date.Equal(noon.Add(time.Hour)) {
			t.Errorf("date %v", l.Date)
		}
	}
	m.Fail(buckettest.Fault{Op: buckettest.List, Err: bucket.ErrDenied})
	if _, err := Survey(t.Context(), m, ""); !errors.Is(err, bucket.ErrDenied) {
		t.Errorf("%v", err)
	}
}

// endless lists more objects than a survey looks at.
type endless struct{ yielded int }

func (e *endless) List(_ context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		for yield(bucket.Object{Key: fmt.Sprintf("%sstable/1-0123456789ab/i-%08x.ok.json", prefix, e.yielded), Modified: noon}, nil) {
			e.yielded++
		}
	}
}

// A million keys cost what the limit does, and are an error, not a part of the fleet.
func TestSurveyOfTooMany(t *testing.T) {
	var e endless
	l, err := Survey(t.Context(), &e, "")
	if !errors.Is(err, ErrTooMany) || len(l.Newest) > 0 || e.yielded != MaxRecords {
		t.Errorf("%v after %d objects, with %d instances", err, e.yielded, len(l.Newest))
	}
}
