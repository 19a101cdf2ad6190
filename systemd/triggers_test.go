package systemd

import (
	"context"
	"slices"
	"testing"
)

func TestTriggers(t *testing.T) {
	f := &fakeSystemd{units: map[string]*fakeUnit{}}
	for unit, props := range map[string]map[string]any{
		"web.service":   {"TriggeredBy": []string{"web.socket", "web.path", "web.timer", "far.socket"}, "Requires": []string{"web.socket"}, "Wants": []string{"web.path"}, "BindsTo": []string{"web.timer"}},
		"clean.timer":   {"Triggers": []string{"clean.service"}},
		"plain.service": {"TriggeredBy": []string{}, "Triggers": []string{}},
	} {
		f.units[unit] = newUnit("done")
		for name, value := range props {
			f.units[unit].props[name] = value
		}
	}
	m := f.start(t)
	for unit, want := range map[string][]Trigger{
		"web.service": {{"web.socket", "web.service", true}, {"web.path", "web.service", true}, {"web.timer", "web.service", true},
			{"far.socket", "web.service", false}},
		"clean.timer":   {{"clean.timer", "clean.service", false}},
		"plain.service": nil,
		"none.service":  nil,
	} {
		if got, err := m.Triggers(t.Context(), unit); !slices.Equal(got, want) || err != nil {
			t.Errorf("%s: %+v and %v, want %+v", unit, got, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := m.Triggers(ctx, "web.service"); err == nil {
		t.Errorf("without an answer: %+v and no error", got)
	}
}
