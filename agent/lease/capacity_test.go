package lease

import (
	"math"
	"testing"
	"time"
)

// locked is for how long a crash locks an id with the defaults.
const locked = 65 * time.Minute

func TestDemand(t *testing.T) {
	for name, tt := range map[string]struct {
		of      Demand
		crashed int
		ids     int
	}{
		"nothing":                   {Demand{}, 0, 0},
		"no crash":                  {Demand{Live: 1000, Locked: locked, AtOnce: 24}, 0, 1024},
		"a crash a week":            {Demand{Live: 1000, Locked: locked, Crashes: 1. / 168}, 1, 1001},
		"twelve an hour, to the id": {Demand{Live: 1000, Locked: locked, Crashes: 12}, 13, 1013},
		"and a bit":                 {Demand{Live: 1000, Locked: locked, Crashes: 12.01}, 14, 1014},
		"a lease of a day":          {Demand{Live: 900, Locked: 24*time.Hour + 5*time.Minute, Crashes: 4, AtOnce: 90}, 97, 1087},
		"crashes without end":       {Demand{Live: 1, Locked: 24 * time.Hour, Crashes: math.MaxFloat64}, math.MaxInt32, 1 + math.MaxInt32},
	} {
		if got := tt.of.Crashed(); got != tt.crashed {
			t.Errorf("%s: %d ids locked after crashes, want %d", name, got, tt.crashed)
		}
		if got := tt.of.IDs(); got != tt.ids {
			t.Errorf("%s: %d ids, want %d", name, got, tt.ids)
		}
	}
}

// With ids of its own each zone needs them also for the instances of one that is away.
func TestDemandInZones(t *testing.T) {
	d := Demand{Live: 100, Locked: locked, Crashes: 12, AtOnce: 10}
	for zones, want := range map[int][2]int{
		0: {123, 123},
		1: {123, 123},
		2: {50 + 7 + 5, 123},
		3: {34 + 5 + 4, 50 + 7 + 5},
		6: {17 + 3 + 2, 20 + 3 + 2},
	} {
		if each, away := d.InZones(zones); [2]int{each, away} != want {
			t.Errorf("%d zones: %d ids in each, %d with one away; want %v", zones, each, away, want)
		}
	}
	if each, _ := (Demand{Live: 97}).InZones(3); each != 33 {
		t.Errorf("the 97th instance of three zones needs %d ids in one, want 33", each)
	}
}

func TestCountOfIDs(t *testing.T) {
	for want, ids := range map[int]IDs{
		1024:      {First: 0, Last: 1023},
		1:         {First: 7, Last: 7},
		0:         {First: 7, Last: 7, Reserved: []int{7}},
		30:        {First: 0, Last: 31, Reserved: []int{0, 31, 31, 32, -1}},
		MaxID + 1: {Last: MaxID},
	} {
		if got := ids.Count(); got != want {
			t.Errorf("%+v: %d ids, want %d", ids, got, want)
		}
	}
}
