package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"koboshi/agent/service"
)

// The fields of the log are a contract.
func TestHookLineAsJSON(t *testing.T) {
	var out strings.Builder
	u := newUI(&out, &out)
	if err := u.setLogFormat("json"); err != nil {
		t.Fatal(err)
	}
	u.hookLine(service.Hook{Name: "pre_start", Version: "2.0.0"}, "done")
	if !strings.HasSuffix(out.String(), `"msg":"hook output","hook":"pre_start","version":"2.0.0","line":"done"}`+"\n") {
		t.Errorf("printed %s", out.String())
	}
}

// File names may contain any byte. In JSON nothing of them is lost, and a terminal
// does not interpret them.
func TestJSONIsHarmless(t *testing.T) {
	for _, name := range []string{"plain", "größe 木", "c1\u009b31m", "del\x7f", "bidi\u202e", "tag\U000e0041", "quote\"\\", "line\n"} {
		var out strings.Builder
		if err := newUI(&out, &out).printJSON([]string{name}); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(strings.ReplaceAll(out.String(), "\n", ""), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q is printed as %q", name, out.String())
		}
		var got []string
		if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got[0] != name {
			t.Errorf("%q was read again as %q (%v)", name, got, err)
		}
	}
}

// A user who may not see everything gets a list of what is hidden, and never the
// message that the app is unhealthy.
func TestScreenSaysWhatIsHidden(t *testing.T) {
	for _, tt := range []struct {
		now    seen
		hidden string
		want   []string
	}{
		{seen{Healthy: true}, "", []string{"now       the app is up and healthy"}},
		{seen{Error: "503"}, "", []string{"now       503"}},
		{seen{Error: "access denied", Unseen: true}, "open state.json: permission denied", []string{
			"now       this user may not ask the app, run koboshi status as root: access denied",
			"hidden    whether the instance is held: open state.json: permission denied; run koboshi status as root",
		}},
	} {
		var out strings.Builder
		newUI(&out, &out).screen(recorded{Now: &tt.now, Hidden: tt.hidden})
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want+"\n") {
				t.Errorf("%q is not in\n%s", want, out.String())
			}
		}
		if strings.Contains(out.String(), "hidden") != (tt.hidden != "") {
			t.Errorf("hidden in\n%s", out.String())
		}
	}
}
