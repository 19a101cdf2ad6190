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
		"nothing":                      {Demand{}, 0, 0},
		"no crash":                     {Demand{Live: 1000, Locked: locked, AtOnce: 24}, 0, 1024},
		"a crash a week":               {Demand{Live: 1000, Locked: locked, Crashes: 1. / 168}, 1, 1001},
		"twelve an hour, to the id":    {Demand{Live: 1000, Locked: locked, Crashes: 12}, 13, 1013},
		"and a bit":                    {Demand{Live: 1000, Locked: locked, Crashes: 12.01}, 14, 1014},
		"a lease of a day":             {Demand{Live: 900, Locked: 24*time.Hour + 5*time.Minute, Crashes: 4, AtOnce: 90}, 97, 1087},
		"crashes without end":          {Demand{Live: 1, Locked: 24 * time.Hour, Crashes: math.MaxFloat64}, math.MaxInt32, 1 + math.MaxInt32},
		"a third of a zone is a whole": {Demand{Live: 100, Locked: locked, Crashes: 12, AtOnce: 10}.InZone(3), 5, 34 + 5 + 4},
		"one zone is the group":        {Demand{Live: 100, Locked: locked, Crashes: 12, AtOnce: 10}.InZone(1), 13, 123},
	} {
		if got := tt.of.Crashed(); got != tt.crashed {
			t.Errorf("%s: %d ids locked after crashes, want %d", name, got, tt.crashed)
		}
		if got := tt.of.IDs(); got != tt.ids {
			t.Errorf("%s: %d ids, want %d", name, got, tt.ids)
		}
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
