package census

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

func pointer(version string) artifacts.Pointer {
	return artifacts.Pointer{Schema: 1, App: "web", Channel: "stable", Sequence: 1, Version: version, ManifestSHA256: artifacts.Sum([]byte(version)), Issued: noon}
}

// entry is an instance with a record about a version.
func entry(id, version string, s State, change func(*Record)) Entry {
	rec := sound()
	rec.Instance, rec.Version, rec.ManifestSHA256, rec.State, rec.Running, rec.Verdict, rec.Code, rec.Why = id, version, artifacts.Sum([]byte(version)), s, "", report.Current, 0, ""
	if s == Failed {
		rec.Code, rec.Verdict, rec.Why = 20, report.Failed, "503"
	}
	if change != nil {
		change(&rec)
	}
	return Entry{Found: Found{rec.Subject(), `"x"`, noon}, Record: &rec}
}

func running(version string) func(*Record) { return func(r *Record) { r.Running = version } }

func TestLook(t *testing.T) {
	members := func(ids ...string) map[string]Member {
		all := map[string]Member{}
		for _, id := range ids {
			id, state, _ := strings.Cut(id, " ")
			if state == "" {
				state = "InService"
			}
			all[id] = Member{"web", state}
		}
		return all
	}
	broken := entry("i-1", "1.4.2", OK, nil)
	broken.Record, broken.Bad = nil, errors.New("it is no\x1b[2J record")
	brokenFailed := entry("i-1", "1.4.2", Failed, nil)
	brokenFailed.Record = nil
	for name, c := range map[string]struct {
		entry   *Entry
		members map[string]Member
		unread  bool // the channel
		want    string
	}{
		"well":                          {entry: new(entry("i-1", "1.4.2", OK, nil)), want: "ok 1.4.2"},
		"behind":                        {entry: new(entry("i-1", "1.4.1", OK, nil)), want: "behind 1.4.1: wants 1.4.2"},
		"held":                          {entry: new(entry("i-1", "1.4.1", OK, func(r *Record) { r.Verdict = report.Held })), want: "behind 1.4.1: wants 1.4.2; held"},
		"stale":                         {entry: new(entry("i-1", "1.4.2", OK, func(r *Record) { r.Verdict, r.Code, r.Why = report.Stale, 15, "no answer" })), want: "ok 1.4.2: stale; no answer"},
		"the same version, other bytes": {entry: new(entry("i-1", "1.4.2", OK, func(r *Record) { r.ManifestSHA256 = artifacts.Sum(nil) })), want: "behind 1.4.2: wants 1.4.2"},
		"failed":                        {entry: new(entry("i-1", "1.4.2", Failed, nil)), want: "failed : 1.4.2 failed; 503"},
		"failed, and goes on":           {entry: new(entry("i-1", "1.4.2", Failed, running("1.4.1"))), want: "failed 1.4.1: 1.4.2 failed; 503"},
		"failed with what it is not to have any more":           {entry: new(entry("i-1", "1.5.0", Failed, running("1.4.2"))), want: "ok 1.4.2: 1.5.0 failed; 503"},
		"failed with that, and runs another one":                {entry: new(entry("i-1", "1.5.0", Failed, running("1.4.1"))), want: "behind 1.4.1: wants 1.4.2; 1.5.0 failed; 503"},
		"failed with that, and runs nothing":                    {entry: new(entry("i-1", "1.5.0", Failed, nil)), want: "failed : wants 1.4.2; 1.5.0 failed; 503"},
		"failed in a channel that is not known, and goes on":    {entry: new(entry("i-1", "1.4.2", Failed, running("1.4.1"))), unread: true, want: "failed 1.4.1: 1.4.2 failed; 503"},
		"a channel that is not known":                           {entry: new(entry("i-1", "1.4.1", OK, nil)), unread: true, want: "ok 1.4.1"},
		"gone":                                                  {entry: new(entry("i-1", "1.4.2", Gone, nil)), want: "gone "},
		"a damaged record":                                      {entry: &broken, want: "unknown 1.4.2: it is no record"},
		"a damaged record of a failure":                         {entry: &brokenFailed, want: "failed : 1.4.2 failed"},
		"of the group":                                          {entry: new(entry("i-1", "1.4.2", OK, nil)), members: members("i-1"), want: "ok 1.4.2"},
		"on its way out":                                        {entry: new(entry("i-1", "1.4.2", OK, nil)), members: members("i-1 Terminating:Wait"), want: "ok 1.4.2: Terminating:Wait"},
		"the group does not have it":                            {entry: new(entry("i-1", "1.4.2", OK, nil)), members: members(), want: "ended 1.4.2"},
		"it failed, and the group does not have it":             {entry: new(entry("i-1", "1.4.2", Failed, nil)), members: members(), want: "ended : 1.4.2 failed; 503"},
		"gone, and the group does not have it":                  {entry: new(entry("i-1", "1.4.2", Gone, nil)), members: members(), want: "gone "},
		"gone, and in service":                                  {entry: new(entry("i-1", "1.4.2", Gone, nil)), members: members("i-1"), want: "unknown : it was drained, and the group has it in service"},
		"a member without a record":                             {members: members("i-1"), want: "unknown : no record"},
		"a member without a record that is just being launched": {members: members("i-1 Pending:Wait"), want: "unknown : no record; Pending:Wait"},
	} {
		in := Input{App: "web", Members: c.members, Now: noon, Channels: map[string]artifacts.Pointer{"stable": pointer("1.4.2")}}
		if c.entry != nil {
			in.Entries = []Entry{*c.entry}
		}
		if c.unread {
			in.Channels = nil
		}
		v := Look(in)
		if len(v.Rows) != 1 || v.Counts[v.Rows[0].Status] != 1 {
			t.Errorf("%s: %+v", name, v)
			continue
		}
		got := fmt.Sprintf("%s %s", v.Rows[0].Status, v.Rows[0].Release)
		if note := v.Rows[0].Note(); note != "" {
			got += ": " + note
		}
		if got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
	}
}

// An instance whose clock is ahead has not run its release since tomorrow.
func TestSinceIsNotAfterTheRecord(t *testing.T) {
	for since, want := range map[time.Time]time.Time{noon.Add(-time.Hour): noon.Add(-time.Hour), noon.Add(24 * time.Hour): noon, {}: {}} {
		e := entry("i-1", "1.4.2", OK, func(r *Record) { r.Since = since })
		v := Look(Input{App: "web", Now: noon.Add(time.Hour), Entries: []Entry{e}})
		if got := v.Rows[0].Since; !got.Equal(want) {
			t.Errorf("since %v: %v, want %v", since, got, want)
		}
	}
}

func TestReadAndCache(t *testing.T) {
	m := buckettest.NewMemory()
	for i := range 50 {
		put(t, m, noon, func(r *Record) { r.Instance = fmt.Sprintf("i-%d", i) })
	}
	m.Replace("health/stable/1-0123456789ab/i-x.ok.json", []byte("{"))
	m.Replace("health/stable/1-0123456789ab/i-y.ok.json", bytes.Repeat([]byte(" "), MaxRecord+1))
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	gets, most := 0, 0
	read := func() []Entry {
		t.Helper()
		l, err := Survey(t.Context(), m, "")
		if err != nil {
			t.Fatal(err)
		}
		before := m.Calls(buckettest.Get, "")
		cache := OpenCache(dir, "web.json")
		entries, err := Read(t.Context(), m, "web", l.Newest, cache, func(done, total int) { most = max(most, done) })
		if err != nil || cache.Save() != nil {
			t.Fatal(err)
		}
		gets = m.Calls(buckettest.Get, "") - before
		return entries
	}
	entries := read()
	if gets != 52 || most != 52 || len(entries) != 52 {
		t.Errorf("%d reads, %d shown, %d entries", gets, most, len(entries))
	}
	for _, e := range entries {
		if damaged := e.Instance == "i-x" || e.Instance == "i-y"; damaged != (e.Record == nil) || damaged != errors.Is(e.Bad, ErrRecord) {
			t.Errorf("%s: %+v, %v", e.Instance, e.Record, e.Bad)
		}
	}
	put(t, m, noon.Add(time.Minute), func(r *Record) { r.Instance, r.NodeID = "i-7", new(8) })
	again := read()
	if gets != 3 { // one that has changed, and two that are damaged
		t.Errorf("%d reads of what has not changed", gets)
	}
	for i, e := range again {
		if e.Record == nil {
			continue
		}
		want := 7
		if e.Instance == "i-7" {
			want = 8
		}
		if e.Record.Agent != entries[i].Record.Agent || *e.Record.NodeID != want {
			t.Errorf("%+v", e.Record)
		}
	}
	for name, text := range map[string]string{"damaged": "{", "null": "null", "of other things": `{"a":{"etag":"x"},"health/stable/1.5.0-rc.1-` + manifest.Short() + `/i-7.ok.json":{"etag":"x","record":null}}`} {
		if err := dir.WriteFile("web.json", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if read(); gets != 52 {
			t.Errorf("a cache that is %s: %d reads", name, gets)
		}
	}
	m.Fail(buckettest.Fault{Op: buckettest.Get, Err: bucket.ErrDenied})
	l, _ := Survey(t.Context(), m, "")
	if _, err := Read(t.Context(), m, "web", l.Newest, nil, nil); !errors.Is(err, bucket.ErrDenied) {
		t.Errorf("%v", err)
	}
}

// hostileView has everything that a page or a screen must not pass on.
func hostileView() View {
	evil := `<script>alert(1)</script>"' onload=x &amp; ` + "\x1b[31m\u202e\u2066\u200b\x00\r\n"
	return View{App: "web", At: noon, Counts: map[Status]int{Bad: 1}, Channels: []artifacts.Pointer{pointer("1.4.2")}, Rows: []Row{{
		Instance: "i-1", Status: Bad, Group: evil, State: evil, AZ: evil, Channel: "stable", Release: evil, About: evil, Wants: evil, Verdict: report.Verdict(evil), Why: evil, Agent: evil, Since: noon.Add(-time.Hour),
	}}}
}

func TestPageEscapes(t *testing.T) {
	var b bytes.Buffer
	if err := hostileView().Page(&b, `s3://x/"><script>`); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, bad := range []string{"<script", "\x1b", "\u202e", "\u2066", "\u200b", "\x00", "\r", `"' onload`, "</script"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, want := range []string{"&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39; onload=x &amp;amp;", "<!doctype html>", `<html lang="en">`, "default-src 'none'", "failed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if open, closed := strings.Count(text, "<t"), strings.Count(text, "</t"); open != closed {
		t.Errorf("%d tags of the table are opened, %d closed", open, closed)
	}
}

type fullDisk struct{ left int }

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestPageThatCannotBeWritten(t *testing.T) {
	for _, left := range []int{0, 100, 3000} {
		if err := hostileView().Page(&fullDisk{left}, "x"); err == nil {
			t.Errorf("after %d bytes: no error", left)
		}
	}
}

func TestTexts(t *testing.T) {
	for since, want := range map[time.Duration]string{0: "0 s", 59900 * time.Millisecond: "59 s", 90 * time.Second: "1 min 30 s", 47 * time.Hour: "47 h 00 min", 49 * time.Hour: "2 d", -time.Hour: "0 s"} {
		if got := Age(noon, noon.Add(-since)); got != want {
			t.Errorf("%s: %s, want %s", since, got, want)
		}
	}
	if got := Age(noon, time.Time{}); got != "-" {
		t.Error(got)
	}
	for boot, want := range map[*Boot]string{nil: "-", {0, 12345}: "12.3 s", {20, 90000}: "exit 20, 1 min 30 s"} {
		if got := (Row{Boot: boot}).BootText(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
