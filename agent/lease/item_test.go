package lease_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"koboshi/agent/lease"
)

const nowMillis = lease.Millis(1_795_867_010_000)

func anItem() lease.Item {
	return lease.Item{Schema: 1, Scope: "web", ID: 7, Gen: 13, State: lease.Held, Owner: "i-0abc", Nonce: lease.Nonce{1, 15: 255},
		HW: nowMillis + 3_600_000, Slack: 300_000, Written: time.UnixMilli(nowMillis).UTC()}
}

const stored = `{"schema":1,"scope":"web","id":7,"gen":13,"state":"held","owner":"i-0abc","nonce":"010000000000000000000000000000ff","hw_ms":1795870610000,"slack_ms":300000,"written":"2026-11-28T12:56:50Z"}`

func TestItemAsItIsStored(t *testing.T) {
	i := anItem()
	i.Written = time.Date(2026, 11, 28, 12, 56, 50, 0, time.UTC)
	data, err := i.Encode()
	if err != nil || string(data) != stored {
		t.Errorf("encoded as %s (%v), want %s", data, err, stored)
	}
	for what, text := range map[string]string{
		"as it is":         stored,
		"with a line feed": stored + "\n",
		"in another order": `{"id":7,` + strings.Replace(stored[1:], `"id":7,`, "", 1),
		"with white space": strings.ReplaceAll(stored, ",", " ,\n\t"),
	} {
		if got, err := lease.Parse([]byte(text), "web", 7, nowMillis); err != nil || got != i {
			t.Errorf("%s: parsed as %+v: %v", what, got, err)
		}
	}
}

// The largest item is small.
func TestItemIsSmall(t *testing.T) {
	i := anItem()
	i.Scope, i.Owner, i.ID, i.Gen = strings.Repeat("s", 63), strings.Repeat("o", 64), lease.MaxID, 1<<53-1
	i.Slack, i.HW, i.Written = 24*3_600_000, 1<<53-1, time.UnixMilli(nowMillis).Add(123456789).UTC()
	if data, err := i.Encode(); err != nil || len(data) >= 400 {
		t.Errorf("%d bytes: %v", len(data), err)
	}
}

// garbage is what may be found in place of an item, of id 7 of the scope web.
func garbage() map[string]string {
	set := func(old, new string) string {
		if !strings.Contains(stored, old) {
			panic(old) // the table is wrong
		}
		return strings.Replace(stored, old, new, 1)
	}
	all := map[string]string{
		"nothing": "", "garbage": "garbage", "null": "null", "a list": "[]", "an empty object": "{}", "a probe": "\"koboshi writes this\"\n",
		"of another scope":             set(`"web"`, `"api"`),
		"of another id":                set(`"id":7`, `"id":8`),
		"a negative id":                set(`"id":7`, `"id":-7`),
		"another version":              set(`"schema":1`, `"schema":2`),
		"another state":                set(`"held"`, `"lent"`),
		"a state in capitals":          set(`"held"`, `"Held"`),
		"generation 0":                 set(`"gen":13`, `"gen":0`),
		"a generation behind the last": set(`"gen":13`, `"gen":9007199254740992`),
		"a generation beyond 64 bits":  set(`"gen":13`, `"gen":9223372036854775808`),
		"a fraction":                   set(`"gen":13`, `"gen":13.5`),
		"a number as text":             set(`"gen":13`, `"gen":"13"`),
		"no owner":                     set(`"i-0abc"`, `""`),
		"an owner with a line feed":    set(`"i-0abc"`, `"i-0abc\n"`),
		"a long owner":                 set(`"i-0abc"`, `"`+strings.Repeat("i", 65)+`"`),
		"a short nonce":                set(`0000ff`, `00ff`),
		"a nonce in capitals":          set(`0000ff`, `0000FF`),
		"a nonce of zeros":             set(`010000000000000000000000000000ff`, `00000000000000000000000000000000`),
		"a mark 25 hours ahead":        set(`"hw_ms":1795870610000`, fmt.Sprintf(`"hw_ms":%d`, nowMillis+25*3_600_000+1)),
		"a mark in microseconds":       set(`"hw_ms":1795870610000`, `"hw_ms":1795870610000000`),
		"a mark below 0":               set(`"hw_ms":1795870610000`, `"hw_ms":-1`),
		"a slack below 0":              set(`"slack_ms":300000`, `"slack_ms":-1`),
		"a slack of two days":          set(`"slack_ms":300000`, `"slack_ms":172800000`),
		"a time that is none":          set(`"2026-11-28T12:56:50Z"`, `"yesterday"`),
		"an unknown member":            set(`"gen":13`, `"gen":13,"ttl":5`),
		"a member in capitals":         set(`"gen":13`, `"Gen":13`),
		"a member twice":               set(`"gen":13`, `"gen":13,"gen":13`),
		"something behind it":          stored + "{}",
		"half of it":                   stored[:len(stored)/2],
		"text that is no UTF-8":        set(`"i-0abc"`, "\"i-0\xff\""),
		"a mebibyte":                   stored + strings.Repeat(" ", 1<<20),
	}
	for _, member := range []string{`"schema":1,`, `"scope":"web",`, `"id":7,`, `"gen":13,`, `"state":"held",`, `"owner":"i-0abc",`, `"nonce":"010000000000000000000000000000ff",`, `"hw_ms":1795870610000,`, `"slack_ms":300000,`} {
		all["without "+member] = set(member, "")
	}
	all["without written"] = set(`,"written":"2026-11-28T12:56:50Z"`, "")
	return all
}

func TestWhatIsNoItem(t *testing.T) {
	for name, text := range garbage() {
		if i, err := lease.Parse([]byte(text), "web", 7, nowMillis); !errors.Is(err, lease.ErrItem) || i != (lease.Item{}) {
			t.Errorf("%s: parsed as %+v: %v", name, i, err)
		} else if len(err.Error()) > 300 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// Marks up to 25 hours ahead are those of leases.
func TestMarksThatAreBelieved(t *testing.T) {
	for _, ahead := range []lease.Millis{-nowMillis, 0, 24 * 3_600_000, 25 * 3_600_000} {
		i := anItem()
		i.HW = nowMillis + ahead
		data, err := i.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := lease.Parse(data, "web", 7, nowMillis); err != nil || got != i {
			t.Errorf("a mark %d ms ahead: %+v, %v", ahead, got, err)
		}
	}
}

// What Parse would refuse is not written.
func TestWhatIsNotWritten(t *testing.T) {
	for what, change := range map[string]func(i *lease.Item){
		"scope": func(i *lease.Item) { i.Scope = "Web" }, "id": func(i *lease.Item) { i.ID = lease.MaxID + 1 }, "below": func(i *lease.Item) { i.ID = -1 },
		"gen": func(i *lease.Item) { i.Gen = math.MaxInt64 }, "state": func(i *lease.Item) { i.State = "" }, "owner": func(i *lease.Item) { i.Owner = "\xff" },
		"nonce": func(i *lease.Item) { i.Nonce = lease.Nonce{} }, "hw": func(i *lease.Item) { i.HW = -1 }, "slack": func(i *lease.Item) { i.Slack = -1 },
	} {
		i := anItem()
		change(&i)
		if data, err := i.Encode(); err == nil {
			t.Errorf("%s: encoded as %s", what, data)
		}
	}
}

// An id whose generations are used up is claimed no more.
func TestLastGeneration(t *testing.T) {
	c := lease.Claimant{Owner: "i-1", Nonce: lease.Nonce{1}}
	old := anItem()
	old.State, old.Gen = lease.Free, 1<<53-2
	last, _, err := c.Claim("web", 7, &old, lease.Terms{Lease: 1000}, nowMillis)
	if err != nil || last.Gen != 1<<53-1 {
		t.Fatalf("claimed %+v: %v", last, err)
	}
	last.State = lease.Free
	if next, _, err := c.Claim("web", 7, &last, lease.Terms{Lease: 1000}, nowMillis); !errors.Is(err, lease.ErrItem) {
		t.Errorf("claimed %+v: %v", next, err)
	}
}

// FuzzItem: what is read as an item is written as one that is read as the same, and
// nothing else is written than what is read.
func FuzzItem(f *testing.F) {
	f.Add([]byte(stored), int64(13), int64(5), "i-1")
	f.Add([]byte(strings.Replace(stored, "50Z", "50+01:00", 1)), int64(1), int64(1), "i-1")
	for _, text := range garbage() {
		if len(text) < 1000 {
			f.Add([]byte(text), int64(len(text)), int64(-1), text)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, n, m int64, text string) {
		if i, err := lease.Parse(data, "web", 7, nowMillis); err == nil {
			again(t, i)
		} else if !errors.Is(err, lease.ErrItem) {
			t.Fatalf("parse: %v", err)
		}
		i := anItem()
		i.Gen, i.HW, i.Slack, i.Owner = n, m, n^m, text
		copy(i.Nonce[:], data)
		if _, err := i.Encode(); err == nil && i.HW <= nowMillis+25*3_600_000 {
			again(t, i)
		}
	})
}

// again writes an item and reads it.
func again(t *testing.T, i lease.Item) {
	t.Helper()
	data, err := i.Encode()
	if err != nil {
		t.Fatalf("%+v is not written: %v", i, err)
	}
	got, err := lease.Parse(data, "web", 7, nowMillis)
	if got.Written.Equal(i.Written) { // be it by the clock of another zone
		got.Written = i.Written
	}
	if err != nil || got != i {
		t.Fatalf("%s is read as %+v: %v", data, got, err)
	}
}
