package state

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"koboshi/agent/report/reporttest"
	"koboshi/artifacts"
)

func TestOnDisk(t *testing.T) {
	root := reporttest.OpenDir(t)
	old := syscall.Umask(0)
	err := full().Save(root)
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	reporttest.Golden(t, "state.json", reporttest.Content(t, root, File))
	if info, _ := root.Stat(File); info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	got, warning, err := Load(root)
	if err != nil || warning != nil {
		t.Fatal(warning, err)
	}
	if want := full(); !reflect.DeepEqual(got, want) {
		t.Errorf("read back\n got %+v\nwant %+v", got, want)
	}
}

// Members of a newer agent survive a run of this one, at every level.
func TestUnknownMembersAreKept(t *testing.T) {
	root := reporttest.OpenDir(t)
	write(t, root, `{"schema":1,"instance":"i-1","drain":{"since":[1,2.50]},"zone":null,
		"sequences":{"stable":{"number":7,"payload":"`+artifacts.Sum(nil).String()+`","key":"k"}},
		"signalled":{"result":"CONTINUE","at":"2026-11-21T10:00:00Z","attempt":2},
		"hold":{"reason":"x","by":"y","ticket":"T-1"}}`)
	s, warning, err := Load(root)
	if err != nil || warning != nil {
		t.Fatal(warning, err)
	}
	s.SetSequence("canary", artifacts.Sequence{Number: 1, Payload: artifacts.Sum(nil)})
	if err := s.For("i-1").Save(root); err != nil {
		t.Fatal(err)
	}
	reporttest.Golden(t, "state-newer.json", reporttest.Content(t, root, File))
}

func TestLoad(t *testing.T) {
	sum := artifacts.Sum(nil).String()
	sequences := func(entries string) string { return `{"instance":"i-1","sequences":{` + entries + `}}` }
	good := `"stable":{"number":7,"payload":"` + sum + `"}`
	all := State{Instance: "i-1", Sequences: map[string]Sequence{"stable": {Number: 7, Payload: artifacts.Sum(nil)}}}
	only := State{Instance: "i-1"}
	tests := map[string]struct {
		file    string
		want    State
		warning string // "" = none
	}{
		"good":                {sequences(good), all, ""},
		"empty object":        {"{}", State{}, ""},
		"members are null":    {`{"instance":"i-1","sequences":null,"signalled":null,"hold":null}`, only, ""},
		"newer schema":        {`{"schema":2,` + sequences(good)[1:], all, "state.json was written by a newer agent: schema 2"},
		"no schema":           {`{"schema":"x",` + sequences(good)[1:], all, "state.json: schema is damaged"},
		"empty":               {"", State{}, "state.json is damaged"},
		"zeros":               {strings.Repeat("\x00", 512), State{}, "state.json is damaged"},
		"torn":                {sequences(good)[:60], State{}, "state.json is damaged"},
		"trailing data":       {`{} {}`, State{}, "state.json is damaged"},
		"array":               {`[]`, State{}, "state.json is damaged"},
		"null":                {`null`, State{}, "state.json is damaged"},
		"duplicate key":       {`{"instance":"i-1","instance":"i-2"}`, State{}, "state.json is damaged"},
		"invalid UTF-8":       {"{\"instance\":\"i\xff\"}", State{}, "state.json is damaged"},
		"too large":           {`{"instance":"` + strings.Repeat("x", maxFile) + `"}`, State{}, "more than 1048576 bytes"},
		"bad hold":            {`{"hold":"yes",` + sequences(good)[1:], all, "hold is damaged"},
		"bad signal":          {`{"signalled":{"result":"CONTINUE","at":7},` + sequences(good)[1:], all, "signalled is damaged"},
		"bad instance":        {`{"instance":7,"sequences":{` + good + `}}`, State{Sequences: all.Sequences}, "instance is damaged"},
		"sequences no object": {`{"instance":"i-1","sequences":[1]}`, only, "sequences is damaged"},
		"null sequence":       {sequences(`"a":null,` + good), all, "channel a is damaged"},
		"sequence 0":          {sequences(`"a":{"number":0,"payload":"` + sum + `"},` + good), all, "channel a is damaged"},
		"negative sequence":   {sequences(`"a":{"number":-7,"payload":"` + sum + `"},` + good), all, "channel a is damaged"},
		"fractional sequence": {sequences(`"a":{"number":7.5,"payload":"` + sum + `"},` + good), all, "channel a is damaged"},
		"overflowing number":  {sequences(`"a":{"number":9223372036854775808,"payload":"` + sum + `"},` + good), all, "channel a is damaged"},
		"no payload":          {sequences(`"a":{"number":7},` + good), all, "channel a is damaged"},
		"short payload":       {sequences(`"a":{"number":7,"payload":"b1"},` + good), all, "channel a is damaged"},
		"upper-case payload":  {sequences(`"a":{"number":7,"payload":"` + strings.ToUpper(sum) + `"},` + good), all, "channel a is damaged"},
		"nameless channel":    {sequences(`"":{"number":7,"payload":"` + sum + `"},` + good), all, "a sequence is damaged"},
		"unprintable channel": {sequences(`"a\u0007":{"number":7,"payload":"` + sum + `"},` + good), all, "a sequence is damaged"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := reporttest.OpenDir(t)
			write(t, root, test.file)
			got, warning, err := Load(root)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("state %+v, want %+v", got, test.want)
			}
			if (warning == nil) != (test.warning == "") || warning != nil && !strings.Contains(warning.Error(), test.warning) {
				t.Errorf("warning %v, want %q", warning, test.warning)
			}
		})
	}
}

func TestMissingStateIsZero(t *testing.T) {
	got, warning, err := Load(reporttest.OpenDir(t))
	if err != nil || warning != nil || !reflect.DeepEqual(got, State{}) {
		t.Errorf("got %+v, %v, %v", got, warning, err)
	}
}

// Anything in the place of the file that can be replaced is a warning.
func TestNotARegularFile(t *testing.T) {
	for name, put := range map[string]func(name string) error{
		"FIFO":             func(name string) error { return syscall.Mkfifo(name, 0o600) },
		"link that loops":  func(name string) error { return os.Symlink(File, name) },
		"link leading out": func(name string) error { return os.Symlink("/etc/passwd", name) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root := reporttest.OpenDirAt(t, dir)
			if err := put(dir + "/" + File); err != nil {
				t.Fatal(err)
			}
			if _, warning, err := Load(root); err != nil || !errors.Is(warning, ErrDamaged) {
				t.Errorf("warning %v, error %v", warning, err)
			}
			if err := full().Save(root); err != nil {
				t.Fatal(err)
			}
			if got, warning, err := Load(root); err != nil || warning != nil || !reflect.DeepEqual(got, full()) {
				t.Errorf("after it was saved: %+v, %v, %v", got, warning, err)
			}
		})
	}
}

// A state that cannot be read is not a damaged one: what it knows is still there.
func TestUnreadableIsTheDisk(t *testing.T) {
	root := reporttest.OpenDir(t)
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	if s, warning, err := Load(root); !errors.Is(err, ErrDisk) || warning != nil || !reflect.DeepEqual(s, State{}) {
		t.Errorf("loaded %+v, %v, %v", s, warning, err)
	}
	if err := full().Save(root); !errors.Is(err, ErrDisk) {
		t.Errorf("saved: %v", err)
	}
}

func TestSaveWritesOnlyWhatDiffers(t *testing.T) {
	root := reporttest.OpenDir(t)
	save := func(s State) os.FileInfo {
		t.Helper()
		if err := s.Save(root); err != nil {
			t.Fatal(err)
		}
		info, err := root.Stat(File)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := save(full())
	loaded, _, _ := Load(root)
	if again := save(loaded); !os.SameFile(first, again) {
		t.Error("the same state was written again")
	}
	loaded.Hold = nil
	if changed := save(loaded); os.SameFile(first, changed) {
		t.Error("a changed state was not written")
	}
	if got, _, _ := Load(root); got.Hold != nil {
		t.Errorf("hold %+v", got.Hold)
	}
}

func TestHostileText(t *testing.T) {
	root := reporttest.OpenDir(t)
	s := State{Instance: "i-\xff", Hold: &Hold{Reason: "a\xff\nb\x1b[2J", By: "tag"}}
	if err := s.Save(root); err != nil {
		t.Fatalf("a text kept the state from being saved: %v", err)
	}
	got, warning, err := Load(root)
	if err != nil || warning != nil || got.Hold.Reason != "a\ufffd b" {
		t.Errorf("hold %+v, %v, %v", got.Hold, warning, err)
	}
	write(t, root, `{"hold":{"reason":"by\u001b[2J other\nhands","by":"x"}}`)
	if got, _, _ := Load(root); got.Hold.Reason != "by other hands" {
		t.Errorf("hold %+v", got.Hold)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"instance":"i-1","sequences":{"stable":{"number":1,"payload":"` + strings.Repeat("0a", 32) + `"}},"signalled":{"result":"CONTINUE","at":"2026-11-21T10:00:00Z"},"hold":{"reason":"x","by":"y"}}`))
	for _, seed := range []string{"", "{}", "null", "[]", `{"hold":null}`, `{"sequences":{"a":null}}`, "\x00", `{"schema":2,"x":{"y":1}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _ := parse(data)
		once, err := encode(s)
		if err != nil {
			t.Fatal(err)
		}
		again, warning := parse(once)
		if warning != nil {
			t.Fatalf("what was written is damaged: %v\n%s", warning, once)
		}
		if twice, err := encode(again); err != nil || string(twice) != string(once) {
			t.Errorf("written once and again (%v):\n%s\n%s", err, once, twice)
		}
	})
}

func write(t testing.TB, root *os.Root, text string) {
	t.Helper()
	if err := root.WriteFile(File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
