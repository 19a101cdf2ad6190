package notice

import (
	"context"
	"errors"
	"testing"
	"time"

	"koboshi/agent/instance"
)

var at = time.Date(2026, 11, 21, 10, 2, 0, 0, time.UTC)

func TestNotice(t *testing.T) {
	every := Policy{Spot: true, Rebalance: true}
	spot := Levels{Target: "InService", Spot: instance.SpotAction{Action: "terminate", Time: at}, Rebalance: at}
	stop := Levels{Spot: instance.SpotAction{Action: "stop", Time: at}}
	before := at.Add(-10 * time.Second)
	tests := map[string]struct {
		levels Levels
		policy Policy
		want   Notice
		until  time.Time
	}{
		"in service":           {Levels{Target: "InService"}, every, Notice{}, time.Time{}},
		"in no group":          {Levels{}, every, Notice{}, time.Time{}},
		"terminated":           {Levels{Target: "Terminated"}, every, Notice{Reason: Terminated, ID: "terminated"}, time.Time{}},
		"ended in a pool":      {Levels{Target: "Warmed:Terminated"}, Policy{Pooled: true}, Notice{Reason: Terminated, ID: "terminated"}, time.Time{}},
		"spot":                 {spot, every, Notice{Reason: Spot, ID: "spot 2026-11-21T10:02:00Z", Until: before}, before},
		"spot is ignored":      {spot, Policy{Rebalance: true}, Notice{Reason: Rebalance, ID: "rebalance 2026-11-21T10:02:00Z"}, time.Time{}},
		"all are ignored":      {spot, Policy{}, Notice{}, time.Time{}},
		"spot stop":            {stop, every, Notice{Reason: Spot, ID: "spot 2026-11-21T10:02:00Z", Until: before, Returns: true}, before},
		"terminated, and spot": {Levels{Target: "Terminated", Spot: spot.Spot}, every, Notice{Reason: Terminated, ID: "terminated"}, before},
		"back into a pool":     {Levels{Target: "Warmed:Stopped"}, every, Notice{Reason: Pooled, ID: "warm-pool"}, time.Time{}},
		"in a pool":            {Levels{Target: "Warmed:Stopped"}, Policy{Pooled: true}, Notice{}, time.Time{}},
		"root volume":          {Levels{Target: "ReplacingRootVolume"}, every, Notice{Reason: Replaced, ID: "root-volume", Returns: true}, time.Time{}},
		"standby":              {Levels{Target: "Standby"}, every, Notice{}, time.Time{}},
		"detached":             {Levels{Target: "Detached"}, every, Notice{}, time.Time{}},
		"a new word":           {Levels{Target: "Elsewhere"}, every, Notice{}, time.Time{}},
	}
	for name, tt := range tests {
		if got := tt.levels.Notice(tt.policy); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
		if got := tt.levels.Until(tt.policy); !got.Equal(tt.until) {
			t.Errorf("%s: until %v, want %v", name, got, tt.until)
		}
	}
}

// metadata answers with what it holds, or with err.
type metadata struct {
	Levels
	err error
}

func (m metadata) TargetState(context.Context) (string, error) { return m.Target, m.err }
func (m metadata) SpotAction(context.Context) (instance.SpotAction, error) {
	return m.Spot, m.err
}
func (m metadata) Rebalance(context.Context) (time.Time, error) { return m.Levels.Rebalance, m.err }

func TestLook(t *testing.T) {
	leaving := Levels{Target: "Terminated", Spot: instance.SpotAction{Action: "stop", Time: at}, Rebalance: at}
	away := errors.New("no answer")
	var seen Levels
	for _, step := range []struct {
		name string
		says metadata
		want Levels
	}{
		{"away at first", metadata{leaving, away}, Levels{}},
		{"a notice", metadata{leaving, nil}, leaving},
		{"away is no withdrawal", metadata{Levels{}, away}, leaving},
		{"an answer is", metadata{Levels{Target: "InService"}, nil}, Levels{Target: "InService"}},
	} {
		if err := seen.Look(t.Context(), step.says); seen != step.want || !errors.Is(err, step.says.err) {
			t.Errorf("%s: %+v, %v, want %+v, %v", step.name, seen, err, step.want, step.says.err)
		}
	}
}
