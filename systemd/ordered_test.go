package systemd

import (
	"context"
	"errors"
	"testing"
)

func TestOrderedAfter(t *testing.T) {
	tests := []struct {
		name    string
		after   []string
		through string
	}{
		{"directly", []string{"basic.target", boot}, "web.service"},
		{"through a target", []string{"loop.target", "multi-user.target"}, "multi-user.target"},
		{"through two", []string{"graphical.target"}, "multi-user.target"},
		{"in a circle", []string{"loop.target"}, ""},
		{"not at all", []string{"basic.target"}, ""},
		{"through what is not loaded", []string{"missing.target"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := one("done", test.after...)
			f.units["basic.target"] = newUnit("")
			f.units["multi-user.target"] = newUnit("", boot)
			f.units["graphical.target"] = newUnit("", "multi-user.target")
			f.units["loop.target"] = newUnit("", "web.service", "loop.target")
			f.units["missing.target"] = &fakeUnit{props: map[string]any{"LoadState": "not-found", "After": []string{}}}
			through, err := f.start(t).OrderedAfter(t.Context(), "web.service", boot)
			if err != nil || through != test.through {
				t.Errorf("OrderedAfter = %q, %v, want %q", through, err, test.through)
			}
		})
	}
}

func TestOrderedAfterWithoutAnswer(t *testing.T) {
	f := one("done", "odd.target")
	f.units["odd.target"] = newUnit("")
	f.units["odd.target"].props["After"] = "a text"
	m := f.start(t)
	if _, err := m.OrderedAfter(t.Context(), "web.service", boot); err == nil || err.Error() != "ask for After of odd.target: got a s" {
		t.Errorf("OrderedAfter = %v, want the unit and what came", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.OrderedAfter(ended, "web.service", boot); !errors.Is(err, context.Canceled) {
		t.Errorf("OrderedAfter = %v, want the context's end", err)
	}
}
