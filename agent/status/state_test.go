package status

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"
)

func fullState() State {
	return State{
		Instance: "i-0123456789abcdef0",
		Sequences: map[string]Sequence{
			"stable": {1795255200, strings.Repeat("0a", 32), boot},
			"canary": {7, strings.Repeat("b1", 32), boot.Add(time.Hour)},
		},
		Signalled: &Signal{"CONTINUE", boot.Add(time.Minute)},
		Hold:      &Hold{"looking at a leak", boot.Add(48 * time.Hour), "operator"},
	}
}

func TestStateOnDisk(t *testing.T) {
	root := openRoot(t)
	if err := fullState().Save(root); err != nil {
		t.Fatal(err)
	}
	golden(t, "state.json", content(t, root, StateFile))
	if info, _ := root.Stat(StateFile); info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	got, err := LoadState(root)
	if err != nil {
		t.Fatal(err)
	}
	if want := fullState(); !reflect.DeepEqual(got, want) {
		t.Errorf("read back\n got %+v\nwant %+v", got, want)
	}
}

func TestLoadState(t *testing.T) {
	const good = `{"number":7,"payload":"` + "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1" + `","seen":"2026-11-21T10:00:00Z"}`
	bad := func(from, to string) string {
		return `{"sequences":{"stable":` + strings.Replace(good, from, to, 1) + `}}`
	}
	tests := map[string]struct {
		file string
		err  error
	}{
		"good":                {bad("", ""), nil},
		"empty":               {"", ErrDamaged},
		"zeros":               {strings.Repeat("\x00", 512), ErrDamaged},
		"torn":                {bad("", "")[:60], ErrDamaged},
		"trailing data":       {`{} {}`, ErrDamaged},
		"null":                {"null", ErrDamaged},
		"unknown key":         {`{"instance":"i-1","rollout":1}`, ErrDamaged},
		"unknown nested key":  {bad(`"number"`, `"extra":1,"number"`), ErrDamaged},
		"case variant":        {`{"Instance":"i-1"}`, ErrDamaged},
		"duplicate key":       {`{"instance":"i-1","instance":"i-2"}`, ErrDamaged},
		"duplicate channel":   {`{"sequences":{"stable":` + good + `,"stable":` + good + `}}`, ErrDamaged},
		"null sequence":       {`{"sequences":{"stable":null}}`, ErrDamaged},
		"negative sequence":   {bad("7", "-7"), ErrDamaged},
		"fractional sequence": {bad("7", "7.5"), ErrDamaged},
		"overflowing number":  {bad("7", "9223372036854775808"), ErrDamaged},
		"short payload":       {bad("b1", ""), ErrDamaged},
		"upper-case payload":  {bad("b1", "B1"), ErrDamaged},
		"payload not hex":     {bad("b1", "g1"), ErrDamaged},
		"nameless channel":    {`{"sequences":{"":` + good + `}}`, ErrDamaged},
		"unprintable channel": {`{"sequences":{"a\u0007":` + good + `}}`, ErrDamaged},
		"invalid UTF-8":       {"{\"instance\":\"i\xff\"}", ErrDamaged},
		"too large":           {`{"instance":"` + strings.Repeat("x", maxFile) + `"}`, ErrDamaged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := openRoot(t)
			if err := root.WriteFile(StateFile, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := LoadState(root)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if zero := reflect.DeepEqual(got, State{}); zero != (err != nil) {
				t.Errorf("state %+v beside error %v", got, err)
			}
		})
	}
}

func TestOversizeIsNamed(t *testing.T) {
	root := openRoot(t)
	for size, want := range map[int]string{maxFile: "not a JSON object", maxFile + 1: "more than 1048576 bytes"} {
		if err := root.WriteFile(StateFile, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadState(root); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %v, want %q", size, err, want)
		}
	}
}

func TestMissingStateIsZero(t *testing.T) {
	got, err := LoadState(openRoot(t))
	if err != nil || !reflect.DeepEqual(got, State{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A state that cannot be read is not a damaged one: what it knows is still there.
func TestUnreadableStateIsNotDamaged(t *testing.T) {
	root := openRoot(t)
	if err := root.Symlink(StateFile, StateFile); err != nil {
		t.Fatal(err)
	}
	_, err := LoadState(root)
	if err == nil || errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want the system's own", err)
	}
}

func TestSaveRefusesWhatLoadWould(t *testing.T) {
	root := openRoot(t)
	if err := fullState().Save(root); err != nil {
		t.Fatal(err)
	}
	before := content(t, root, StateFile)
	s := fullState()
	s.Sequences["stable"] = Sequence{Number: 8, Payload: "b1"}
	if err := s.Save(root); !errors.Is(err, ErrDamaged) {
		t.Errorf("error %v, want damaged", err)
	}
	if content(t, root, StateFile) != before {
		t.Error("the good state was replaced")
	}
}

func TestHostileTextInState(t *testing.T) {
	root := openRoot(t)
	s := State{Instance: "i-1", Hold: &Hold{Reason: "a\xff\nb\x1b[2J", By: "tag"}}
	if err := s.Save(root); err != nil {
		t.Fatalf("a text kept the state from being saved: %v", err)
	}
	got, err := LoadState(root)
	if err != nil || got.Hold.Reason != "a\ufffd b" {
		t.Errorf("hold %+v, %v", got.Hold, err)
	}
}

func TestFor(t *testing.T) {
	mine, baked := fullState(), fullState()
	baked.Instance = ""
	bare := func(instance string) State { return State{Instance: instance, Sequences: mine.Sequences} }
	tests := map[string]struct {
		state    State
		instance string
		want     State
	}{
		"the same instance":  {mine, mine.Instance, mine},
		"another instance":   {mine, "i-other", bare("i-other")},
		"nobody":             {mine, "", bare("")},
		"baked, then booted": {baked, "i-1", bare("i-1")},
		"baked, still baked": {baked, "", bare("")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.state.For(test.instance)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			got.Sequences["stable"] = Sequence{}
			if test.state.Sequences["stable"].Number == 0 {
				t.Error("the result shares its sequences with the state")
			}
		})
	}
}

func TestHoldActive(t *testing.T) {
	tests := map[string]struct {
		hold *Hold
		want bool
	}{
		"none":        {nil, false},
		"without end": {&Hold{}, true},
		"running":     {&Hold{Until: boot.Add(1)}, true},
		"just over":   {&Hold{Until: boot}, false},
	}
	for name, test := range tests {
		if got := test.hold.Active(boot); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzLoadState(f *testing.F) {
	f.Add([]byte(`{"instance":"i-1","sequences":{"stable":{"number":1,"payload":"` + strings.Repeat("0a", 32) + `","seen":"2026-11-21T10:00:00Z"}},"signalled":{"result":"CONTINUE","at":"2026-11-21T10:00:00Z"},"hold":{"reason":"x","by":"y"}}`))
	for _, seed := range []string{"", "{}", "null", "[]", `{"hold":null}`, `{"sequences":{"a":null}}`, "\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseState(data)
		if err != nil {
			if !errors.Is(err, ErrDamaged) || !reflect.DeepEqual(s, State{}) {
				t.Fatalf("state %+v beside error %v", s, err)
			}
			return
		}
		once, err := encode(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseState(once)
		if err != nil {
			t.Fatalf("what was believed is not when written: %v", err)
		}
		if twice, err := encode(again); err != nil || string(twice) != string(once) {
			t.Errorf("written once and again (%v):\n%s\n%s", err, once, twice)
		}
	})
}
