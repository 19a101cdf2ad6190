package report

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

var boot = time.Date(2026, 11, 21, 10, 0, 0, 250e6, time.UTC)

// failedBoot is a report with every field set.
func failedBoot() Report {
	node := 0
	return Report{
		Schema: 1, Agent: "0.1.0", Command: "boot", App: "web", Channel: "stable", Verdict: Failed,
		Started: boot, MS: 32610,
		Release:   &Release{"1.4.1", strings.Repeat("ab", 32), 1795255100, boot.Add(-time.Hour), true},
		Previous:  &Release{"1.4.0", strings.Repeat("cd", 32), 1795255000, boot.Add(-2 * time.Hour), false},
		Target:    &Release{Version: "1.4.2", ManifestSHA256: strings.Repeat("ef", 32), Sequence: 1795255200},
		Instance:  Instance{"i-0123456789abcdef0", "eu-central-1", "eu-central-1a", "web-asg"},
		Lifecycle: Lifecycle{"koboshi-launching", "ABANDON", 2},
		NodeID:    &node,
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
		Error:    &Error{20, "gate: unhealthy after 30s", "see the unit's journal"},
		Warnings: []string{"tag koboshi:hold ignored at launch"},
	}
}

func TestReportOnDisk(t *testing.T) {
	root := openRoot(t)
	old := syscall.Umask(0o077)
	err := failedBoot().Save(root)
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", content(t, root, File))
	if info, _ := root.Stat(File); info.Mode() != 0o644 {
		t.Errorf("mode %v, want 0644 whatever the umask", info.Mode())
	}
	got, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if want := failedBoot(); !reflect.DeepEqual(got, want) {
		t.Errorf("read back\n got %+v\nwant %+v", got, want)
	}
}

func TestSmallestReportOnDisk(t *testing.T) {
	root := openRoot(t)
	if err := (Report{Command: "sync", Verdict: Current, Started: boot}).Save(root); err != nil {
		t.Fatal(err)
	}
	golden(t, "report-smallest.json", content(t, root, File))
}

func TestHostileTextInReport(t *testing.T) {
	root := openRoot(t)
	evil := "a\x1b[2J\xff\nb\u202e"
	r := Report{
		Target:   &Release{Version: evil},
		Instance: Instance{Group: evil},
		Steps:    []Step{{Name: evil, Error: evil, Note: strings.Repeat("x", 5000)}},
		Error:    &Error{Message: evil, Hint: evil},
		Warnings: []string{evil},
	}
	if err := r.Save(root); err != nil {
		t.Fatalf("a text kept the report from being saved: %v", err)
	}
	got, err := Load(root)
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
		"newer agent":          {`{"schema":9,"app":"web","rollout":{"stage":[1]},"error":{"code":20,"trace":null}}`, Report{Schema: 9, App: "web", Error: &Error{Code: 20}}, nil},
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
			root := openRoot(t)
			if test.file != "" {
				if err := root.WriteFile(File, []byte(test.file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Load(root)
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("report %+v, want %+v", got, test.want)
			}
		})
	}
}
