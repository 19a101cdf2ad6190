package report

import (
	"errors"
	"io/fs"
	"math"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"koboshi/agent/report/reporttest"
)

var boot = time.Date(2026, 11, 21, 10, 0, 0, 250e6, time.UTC)

// failedBoot is a report with every field set.
func failedBoot() Report {
	node := 0
	return Report{
		Schema: 1, Order: 1, Agent: "0.1.0", Command: "boot", App: "web", Channel: "stable", Verdict: Failed,
		Started: boot, MS: 32610,
		Release:   &Release{"1.4.1", strings.Repeat("ab", 32), 1795255100, boot.Add(-time.Hour), true},
		Previous:  &Release{"1.4.0", strings.Repeat("cd", 32), 1795255000, boot.Add(-2 * time.Hour), false},
		Target:    &Release{Version: "1.4.2", ManifestSHA256: strings.Repeat("ef", 32), Sequence: 1795255200},
		Instance:  Instance{"i-0123456789abcdef0", "eu-central-1", "eu-central-1a", "web-asg"},
		Lifecycle: Lifecycle{"koboshi-launching", "ABANDON", 2},
		NodeID:    &node,
		Node:      &Node{"web", 13, 0, boot.Add(time.Hour), "s3://releases/apps/web", 2, "put: status 503"},
		Steps: []Step{
			{Name: "discover", Started: boot, MS: 12, Attempts: 1},
			{Name: "configure", Started: boot.Add(12 * time.Millisecond), MS: 0, Attempts: 1},
			{Name: "resolve", Started: boot.Add(12 * time.Millisecond), MS: 640, Bytes: 5120, Attempts: 3},
			{Name: "fetch", Started: boot.Add(652 * time.Millisecond), MS: 1240, Bytes: 63_000_000, Attempts: 1},
			{Name: "stage", Started: boot.Add(700 * time.Millisecond), MS: 1660, Attempts: 1, Note: "15012 entries"},
			{Name: "activate", Started: boot.Add(2360 * time.Millisecond), MS: 4, Attempts: 1},
			{Name: "gate", Started: boot.Add(2364 * time.Millisecond), MS: 30000, Attempts: 1, Error: "probe: status 503, want 2xx"},
			{Name: "signal", Started: boot.Add(32_400 * time.Millisecond), MS: 210, Attempts: 2},
		},
		Error:    &Error{Code: 20, Message: "gate: unhealthy after 30s", Hint: "see the unit's journal"},
		Warnings: []string{"tag koboshi:hold ignored at launch"},
	}
}

const bootFile = Dir + "/boot.json"

func TestReportOnDisk(t *testing.T) {
	root := reporttest.OpenDir(t)
	r := failedBoot()
	r.Schema, r.Order = 0, 0
	old := syscall.Umask(0o077)
	err := r.Save(root)
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	reporttest.Golden(t, "report.json", reporttest.Content(t, root, bootFile))
	for name, want := range map[string]fs.FileMode{Dir: fs.ModeDir | 0o755, bootFile: 0o644, HistoryFile: 0o644} {
		if info, _ := root.Stat(name); info.Mode() != want {
			t.Errorf("%s: mode %v, want %v whatever the umask", name, info.Mode(), want)
		}
	}
	got, err := Load(root, "boot")
	if err != nil {
		t.Fatal(err)
	}
	if want := failedBoot(); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(r, want) {
		t.Errorf("read back\n got %+v\nwant %+v", got, want)
	}
}

func TestSmallestReportOnDisk(t *testing.T) {
	root := reporttest.OpenDir(t)
	if err := (&Report{Command: "sync", Verdict: Current, Started: boot}).Save(root); err != nil {
		t.Fatal(err)
	}
	reporttest.Golden(t, "report-smallest.json", reporttest.Content(t, root, Dir+"/sync.json"))
}

// The clock is set back by a year between the runs; their order stays.
func TestReportsOfSeveralCommands(t *testing.T) {
	root := reporttest.OpenDir(t)
	ran := func(command string, started time.Time) {
		t.Helper()
		if err := (&Report{Command: command, Started: started, App: "web"}).Save(root); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Newest(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before any run: %v", err)
	}
	ran("boot", boot)
	before := reporttest.Content(t, root, bootFile)
	ran("sync", boot.AddDate(-1, 0, 0))
	if reporttest.Content(t, root, bootFile) != before {
		t.Error("a sync has changed the report of the boot")
	}
	check := func(command string, order int64) {
		t.Helper()
		if r, err := Newest(root); err != nil || r.Command != command || r.Order != order {
			t.Errorf("the newest is %d, of %s (%v), want %d, of %s", r.Order, r.Command, err, order, command)
		}
	}
	check("sync", 2)
	ran("boot", boot.AddDate(-2, 0, 0))
	check("boot", 3)
	if err := root.Remove(HistoryFile); err != nil {
		t.Fatal(err)
	}
	ran("drain", boot.AddDate(-3, 0, 0)) // the reports know the order without a history
	check("drain", 4)
	if err := root.RemoveAll(Dir); err != nil {
		t.Fatal(err)
	}
	ran("sync", boot) // and the history without the reports
	check("sync", 5)
	reporttest.Write(t, root, Dir+"/sync.json", `{"or`)
	if _, err := Newest(root); !errors.Is(err, ErrDamaged) {
		t.Errorf("the only report is torn: %v", err)
	}
	ran("boot", boot)
	reporttest.Write(t, root, Dir+"/README", "no report")
	reporttest.Write(t, root, Dir+"/.tmp-x.json", `{"order":99}`)
	check("boot", 6)
}

func TestOrderOfFullCounter(t *testing.T) {
	root := reporttest.OpenDir(t)
	reporttest.Write(t, root, HistoryFile, `{"runs":[{"order":9223372036854775807}]}`)
	r := Report{Command: "sync"}
	if err := r.Save(root); err != nil || r.Order != math.MaxInt64 {
		t.Errorf("order %d, %v", r.Order, err)
	}
}

func TestCommandIsNoPath(t *testing.T) {
	for _, command := range []string{"", "..", "a/b", "../state", "A"} {
		if err := (&Report{Command: command}).Save(reporttest.OpenDir(t)); err == nil {
			t.Errorf("%q was taken for a command", command)
		}
	}
}

// A report that cannot be written still gets its line of history, and a history
// that cannot be written costs no report.
func TestSaveGoesOn(t *testing.T) {
	root := reporttest.OpenDir(t)
	reporttest.Write(t, root, Dir, "a file where the directory belongs")
	if err := (&Report{Command: "sync"}).Save(root); err == nil {
		t.Error("no error")
	}
	if runs, err := LoadHistory(root); err != nil || len(runs) != 1 {
		t.Errorf("history %+v, %v", runs, err)
	}
	root = reporttest.OpenDir(t)
	if err := root.Mkdir(HistoryFile, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (&Report{Command: "sync"}).Save(root); err == nil {
		t.Error("no error")
	}
	if _, err := Load(root, "sync"); err != nil {
		t.Error(err)
	}
}

func TestHistory(t *testing.T) {
	root := reporttest.OpenDir(t)
	if runs, err := LoadHistory(root); err != nil || len(runs) != 0 {
		t.Errorf("before any run: %+v, %v", runs, err)
	}
	r := failedBoot()
	full := make([]Run, maxRuns)
	r.Error.Output = []string{"what only the report keeps"}
	for i := range full {
		full[i].Order = int64(len(full) - i)
	}
	if err := errors.Join(saveHistory(root, full), r.Save(root)); err != nil {
		t.Fatal(err)
	}
	runs, err := LoadHistory(root)
	if err != nil || len(runs) != maxRuns {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	want := Run{Order: maxRuns + 1, Started: boot, Command: "boot", Verdict: Failed, Version: "1.4.1", Sequence: 1795255100, Target: "1.4.2", MS: 32610, NodeID: r.NodeID,
		Error: &Error{Code: r.Error.Code, Message: r.Error.Message, Hint: r.Error.Hint}}
	if !reflect.DeepEqual(runs[0], want) {
		t.Errorf("the latest run\n got %+v\nwant %+v", runs[0], want)
	}
	if !slices.IsSortedFunc(runs, func(a, b Run) int { return int(b.Order - a.Order) }) {
		t.Error("the latest is not first")
	}
	reporttest.Write(t, root, HistoryFile, `{"runs":[{"command":"sy\u001b[2Jnc"}]}`)
	if runs, err := LoadHistory(root); err != nil || runs[0].Command != "sync" {
		t.Errorf("by other hands: %+v, %v", runs, err)
	}
	reporttest.Write(t, root, HistoryFile, `{"ru`)
	if _, err := LoadHistory(root); !errors.Is(err, ErrDamaged) {
		t.Errorf("torn: %v", err)
	}
	if err := r.Save(root); err != nil {
		t.Errorf("a torn history has made a run fail: %v", err)
	}
	if runs, _ := LoadHistory(root); len(runs) != 1 || runs[0].Order != maxRuns+2 {
		t.Errorf("begun anew: %+v", runs)
	}
}

func TestHostileTextInReport(t *testing.T) {
	root := reporttest.OpenDir(t)
	evil := "a\x1b[2J\xff\nb\u202e"
	r := Report{
		Command:  "sync",
		Target:   &Release{Version: evil},
		Instance: Instance{Group: evil},
		Steps:    []Step{{Name: evil, Error: evil, Note: strings.Repeat("x", 5000)}},
		Error:    &Error{Message: evil, Hint: evil},
		Warnings: []string{evil},
	}
	if err := r.Save(root); err != nil {
		t.Fatalf("a text kept the report from being saved: %v", err)
	}
	got, err := Load(root, "sync")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{
		got.Target.Version, got.Instance.Group, got.Steps[0].Name, got.Steps[0].Error,
		got.Error.Message, got.Error.Hint, got.Warnings[0],
	}
	for i, text := range texts {
		if text != "a\ufffd b" {
			t.Errorf("text %d is %q", i, text)
		}
	}
	if n := len(got.Steps[0].Note); n != MaxText {
		t.Errorf("note of %d bytes, want %d", n, MaxText)
	}
}

func TestLoad(t *testing.T) {
	tests := map[string]struct {
		file string
		want Report
		err  error
	}{
		"none":                 {"", Report{}, fs.ErrNotExist},
		"empty object":         {"{}", Report{}, nil},
		"newer agent":          {`{"schema":9,"app":"web","wave":{"stage":[1]},"error":{"code":20,"trace":null}}`, Report{Schema: 9, App: "web", Error: &Error{Code: 20}}, nil},
		"dirty by other hands": {`{"verdict":"sta\u001b[31mle","app":"w\neb"}`, Report{Verdict: "stale", App: "w eb"}, nil},
		"null":                 {"null", Report{}, ErrDamaged},
		"array":                {"[]", Report{}, ErrDamaged},
		"torn":                 {`{"app":"we`, Report{}, ErrDamaged},
		"zeros":                {"\x00\x00\x00\x00", Report{}, ErrDamaged},
		"trailing data":        {`{"app":"web"}{}`, Report{}, ErrDamaged},
		"duplicate key":        {`{"app":"web","app":"api"}`, Report{}, ErrDamaged},
		"wrong type":           {`{"app":7}`, Report{}, ErrDamaged},
		"too large":            {`{"app":"` + strings.Repeat("x", maxFile) + `"}`, Report{}, ErrDamaged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := reporttest.OpenDir(t)
			if test.file != "" {
				if err := root.Mkdir(Dir, 0o755); err != nil {
					t.Fatal(err)
				}
				reporttest.Write(t, root, bootFile, test.file)
			}
			got, err := Load(root, "boot")
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("report %+v, want %+v", got, test.want)
			}
		})
	}
}
