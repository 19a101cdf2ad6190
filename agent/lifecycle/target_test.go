package lifecycle

import "testing"

func TestTargetOf(t *testing.T) {
	for state, want := range map[string]Target{
		"":                            NoTarget,
		"InService":                   Serve,
		"Terminated":                  Leave,
		"Terminated:Retained":         Leave,
		"Terminating:Wait":            Leave,
		"Warmed:Terminated":           Leave,
		"Warmed:Terminating:Retained": Leave,
		"Warmed:Stopped":              Warm,
		"Warmed:Running":              Warm,
		"Warmed:Hibernated":           Warm,
		"Warmed:Pending:Wait":         Warm,
		"ReplacingRootVolume":         Replace,
		"ReplacingRootVolume:Wait":    Replace,
		"Standby":                     Rest,
		"EnteringStandby":             Rest,
		"Detached":                    Rest,
		"Stopped":                     Unknown,
		"Warmed:Elsewhere":            Unknown,
		"Recycled:Wait":               Unknown,
	} {
		if got := TargetOf(state); got != want {
			t.Errorf("TargetOf(%q) = %q, want %q", state, got, want)
		}
	}
}

func TestEntering(t *testing.T) {
	for state, want := range map[string][2]bool{ // for a launch, for a termination
		"Pending":                  {true, false},
		"Pending:Wait":             {true, false},
		"Pending:Proceed":          {false, false},
		"Warmed:Pending:Wait":      {true, true}, // out of nothing, or back from service
		"Terminating":              {false, true},
		"Terminating:Wait":         {false, true},
		"Warmed:Terminating:Wait":  {false, true},
		"Terminating:Proceed":      {false, false},
		"Terminating:Retained":     {false, false},
		"ReplacingRootVolume:Wait": {false, true},
		"InService":                {false, false},
		"":                         {false, false},
	} {
		if got := [2]bool{entering(state, launching), entering(state, terminating)}; got != want {
			t.Errorf("entering(%q) = %v, want %v", state, got, want)
		}
	}
}
