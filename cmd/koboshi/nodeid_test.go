package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/lease"
)

func TestCapacity(t *testing.T) {
	const locked = 65 * time.Minute
	flat := func(ids int) scope { return scope{ids: lease.IDs{Last: ids - 1}} }
	zones := flat(96)
	zones.Split, zones.Datacenter = [2]int{5, 5}, map[string]int{"eu-west-1a": 0, "eu-west-1b": 1, "eu-west-1c": 2}
	zones.Range, zones.ids.Reserved = [2]int{0, 95}, []int{64, 65}
	for name, tt := range map[string]struct {
		of    scope
		d     lease.Demand
		zones int
		want  capacityJSON
		says  string
	}{
		"nothing":              {flat(1), lease.Demand{}, 0, capacityJSON{IDs: 1, Holds: true}, ""},
		"to the last id":       {flat(1024), lease.Demand{Live: 929, Crashes: 1, Locked: locked, AtOnce: 93}, 0, capacityJSON{IDs: 1024, Live: 929, Crashed: 2, LockedSeconds: 3900, AtOnce: 93, Needed: 1024, Holds: true}, ""},
		"one too many":         {flat(1024), lease.Demand{Live: 930, Crashes: 1, Locked: locked, AtOnce: 93}, 0, capacityJSON{IDs: 1024, Live: 930, Crashed: 2, LockedSeconds: 3900, AtOnce: 93, Needed: 1025}, "1 id too few: 1025 needed, 1024 there"},
		"the 33rd of a zone":   {flat(32), lease.Demand{Live: 66}, 3, capacityJSON{IDs: 32, Zones: 3, Live: 66, Needed: 22, OneAway: 33}, "1 id too few in a zone: 33 needed, 32 there"},
		"32 while one is away": {flat(32), lease.Demand{Live: 64}, 3, capacityJSON{IDs: 32, Zones: 3, Live: 64, Needed: 22, OneAway: 32, Holds: true}, ""},
		"one zone":             {flat(32), lease.Demand{Live: 33}, 1, capacityJSON{IDs: 32, Zones: 1, Live: 33, Needed: 33}, "1 id too few: 33 needed, 32 there"},
		"zones as configured":  {zones, lease.Demand{Live: 62}, 0, capacityJSON{IDs: 30, Zones: 3, Live: 62, Needed: 21, OneAway: 31}, "1 id too few in a zone: 31 needed, 30 there"},
	} {
		got := capacityOf(tt.of, tt.d, tt.zones)
		if got != tt.want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, tt.want)
		}
		err := got.verdict()
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || err.Error() != tt.says || failure.CodeOf(err) != failure.Found) {
			t.Errorf("%s: %v (%d), want %q", name, err, failure.CodeOf(err), tt.says)
		}
	}
}

func TestLockedAfterCrash(t *testing.T) {
	o := planOptions{lease: time.Hour, quarantine: 5 * time.Minute}
	own := scope{NodeID: config.NodeID{Lease: config.Duration(2 * time.Hour), Quarantine: config.Duration(time.Minute)}}
	looks := own
	looks.Aware = true
	for name, tt := range map[string]struct {
		of    scope
		given []string
		want  time.Duration
	}{
		"without a configuration": {scope{}, nil, 65 * time.Minute},
		"that of the scope":       {own, nil, 121 * time.Minute},
		"its app looks":           {looks, nil, 120 * time.Minute},
		"another lease":           {own, []string{"lease"}, 61 * time.Minute},
		"another quarantine":      {looks, []string{"quarantine"}, 125 * time.Minute},
	} {
		if got := tt.of.locked(func(flag string) bool { return slices.Contains(tt.given, flag) }, o); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestChurnAndRange(t *testing.T) {
	for text, want := range map[string]string{
		"4/h": "4/h", "48/d": "2/h", "1/w": "0.00595/h", "0/h": "", "0.5/h": "0.5/h",
		"": "error", "4": "error", "/h": "error", "4/m": "error", "-1/h": "error", "NaN/h": "error", "Inf/h": "error", "1e300/h": "error", "4/": "error",
	} {
		var f churnFlag
		if err := f.Set(text); (err != nil) != (want == "error") || err == nil && f.String() != want {
			t.Errorf("--churn %q: %q, %v", text, f, err)
		}
	}
	for text, want := range map[string]string{
		"0-1023": "0-1023", "7-7": "7-7", "0-1048575": "0-1048575",
		"": "error", "7": "error", "-7": "error", "7-": "error", "9-7": "error", "0-1048576": "error", "0x1-3": "error", "a-b": "error", "1-2-3": "error", "+1-2": "error",
	} {
		var r idRange
		if err := r.Set(text); (err != nil) != (want == "error") || err == nil && r.String() != want {
			t.Errorf("--range %q: %q, %v", text, r, err)
		}
	}
}

// standingIDs is a scope in which every id stands in another way.
func standingIDs() (s scope, found []lease.Stored, now time.Time) {
	now = time.Date(2026, 11, 28, 13, 0, 0, 0, time.UTC)
	in := func(d time.Duration) lease.Millis { return millis(now.Add(d)) }
	item := func(id int, state lease.State, hw lease.Millis, slack time.Duration) lease.Stored {
		return lease.Stored{ID: id, Exists: true, Item: &lease.Item{ID: id, Gen: int64(id), State: state, Owner: fmt.Sprintf("i-%03d", id),
			HW: hw, Slack: slack.Milliseconds(), Written: now.Add(-time.Hour)}}
	}
	s = scope{NodeID: config.NodeID{Scope: "web"}, known: true, ids: lease.IDs{First: 0, Last: 31, Reserved: []int{3, 4}}}
	return s, []lease.Stored{
		item(1, lease.Held, in(47*time.Minute), 5*time.Minute),
		item(2, lease.Held, in(-3*time.Minute), 5*time.Minute),
		item(3, lease.Held, in(-time.Hour), 5*time.Minute),
		item(5, lease.Free, in(-time.Hour), 0),
		item(6, lease.Free, in(7*time.Minute), 5*time.Minute),
		{ID: 7, Exists: true, Bad: fmt.Errorf("%w: schema 9\x1b[2J", lease.ErrItem), Modified: now.Add(-time.Minute)},
		item(40, lease.Held, in(time.Minute), 0),
		item(41, lease.Free, in(-time.Hour), 0),
		item(42, lease.Held, in(-time.Hour), 0),
		{ID: 43, Exists: true, Bad: errors.New("garbage")},
	}, now
}

const listedIDs = `id  state    owner  gen  since                 ends                  note
1   held     i-001  1    2026-11-28T12:00:00Z  2026-11-28T13:47:00Z  free in 52 min 00 s, unless it is renewed
2   ending   i-002  2    2026-11-28T12:00:00Z  2026-11-28T12:57:00Z  free in 2 min 00 s: until then its app may use it, by its own clock
3   expired  i-003  3    2026-11-28T12:00:00Z  2026-11-28T12:00:00Z  reserved; since 55 min 00 s: it was not renewed
5   free     i-005  5    2026-11-28T12:00:00Z  2026-11-28T12:00:00Z  -
6   free     i-006  6    2026-11-28T12:00:00Z  2026-11-28T13:07:00Z  the next holder waits 12 min 00 s: what was used may reach so far
7   bad      -      -    2026-11-28T12:59:00Z  -                     not an item of this table: schema 9
40  held     i-040  40   2026-11-28T12:00:00Z  2026-11-28T13:01:00Z  outside of the range; free in 1 min 00 s, unless it is renewed
43  bad      -      -    -                     -                     outside of the range; garbage
web in s3://b/p: 2 held, 1 expired, 2 free, 2 no item, 25 never given; 1 held outside of 0-31
`

func TestListIDs(t *testing.T) {
	s, found, now := standingIDs()
	var out bytes.Buffer
	u := newUI(&out, &out)
	if err := u.listIDs(listIDs(s, "s3://b/p", found, now)); err != nil || out.String() != listedIDs {
		t.Errorf("%v\n%s\nwant\n%s", err, &out, listedIDs)
	}
	out.Reset()
	s.known = false
	l := listIDs(s, "s3://b/p", found, now)
	if err := u.listIDs(l); err != nil || len(l.IDs) != len(found) || !strings.HasSuffix(out.String(), "3 held, 2 expired, 3 free, 2 no item\n") || strings.Contains(out.String(), "outside") {
		t.Errorf("of an unknown range: %v\n%s", err, &out)
	}
}

// A laptop's clock that is wrong does not judge the ids.
func TestClockOfTable(t *testing.T) {
	here := time.Date(2026, 11, 28, 13, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		there time.Time
		skew  time.Duration
	}{
		"not known":  {time.Time{}, 0},
		"two behind": {here.Add(-2 * time.Minute), 0},
		"an hour on": {here.Add(time.Hour), time.Hour},
		"a day back": {here.Add(-24 * time.Hour), 24 * time.Hour},
	} {
		now, skew := clockOf([]lease.Stored{{}, {Date: tt.there}, {}}, here)
		if want := here; skew != tt.skew || tt.skew == 0 && now != want || tt.skew != 0 && now != tt.there {
			t.Errorf("%s: %s, %s", name, now, skew)
		}
	}
}
