package state

import (
	"reflect"
	"testing"
	"time"

	"koboshi/artifacts"
)

var boot = time.Date(2026, 11, 21, 10, 0, 0, 250e6, time.UTC)

// full is a state with every member set.
func full() State {
	return State{
		Instance: "i-0123456789abcdef0",
		Sequences: map[string]Sequence{
			"stable": {Number: 1795255200, Payload: artifacts.Sum([]byte("stable"))},
			"canary": {Number: 7, Payload: artifacts.Sum([]byte("canary"))},
		},
		Signalled: &Signal{Result: "CONTINUE", At: boot.Add(time.Minute)},
		Reported:  &Reported{Key: "health/stable/1-0123456789ab/i-0123456789abcdef0.ok.json", Content: "fresh", At: boot},
		Hold:      &Hold{Reason: "looking at a leak", Until: boot.Add(48 * time.Hour), By: "operator"},
	}
}

func TestFor(t *testing.T) {
	mine, baked := full(), full()
	mine.Others = others{"node": []byte("7")}
	baked.Instance = ""
	bare := func(instance string) State { return State{Instance: instance, Sequences: mine.Sequences} }
	tests := map[string]struct {
		state    State
		instance string
		want     State
	}{
		"the same instance":  {mine, mine.Instance, mine},
		"another instance":   {mine, "i-other", bare("i-other")},
		"no instance":        {mine, "", bare("")},
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

func TestSequence(t *testing.T) {
	var s State
	if got := s.Sequence("stable"); got != (artifacts.Sequence{}) {
		t.Errorf("a channel that was never seen: %+v", got)
	}
	want := artifacts.Sequence{Number: 3, Payload: artifacts.Sum(nil)}
	s.SetSequence("stable", want)
	if got := s.Sequence("stable"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s.Sequences["stable"] = Sequence{Number: 3, Payload: want.Payload, Others: others{"cell": []byte("1")}}
	if s.SetSequence("stable", want); s.Sequences["stable"].Others == nil {
		t.Error("the same sequence again has dropped a member that is not known")
	}
	want.Number++
	if s.SetSequence("stable", want); s.Sequences["stable"].Others != nil {
		t.Error("what belongs to another sequence was kept")
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
