package lease

import (
	"math"
	"time"
)

// Demand is what a group of instances needs ids for. All are at least 0.
type Demand struct {
	Live    int           // instances at once
	Crashes float64       // instances in an hour that end without a release
	Locked  time.Duration // for how long such an id is locked: the lease and the quarantine
	AtOnce  int           // instances that are replaced at once: the old and the new one have an id
}

// Crashed is how many ids are locked after crashes at any moment.
func (d Demand) Crashed() int { return atLeast(d.Crashes * d.Locked.Hours()) }

// IDs is how many ids are needed.
func (d Demand) IDs() int { return d.Live + d.Crashed() + d.AtOnce }

// InZones is how many ids are needed in each of so many zones over which a group is spread
// evenly, and how many while one of them is away, since Auto Scaling launches its
// instances in the others. Fewer than two zones are one set of ids.
func (d Demand) InZones(zones int) (each, oneAway int) {
	if zones < 2 {
		return d.IDs(), d.IDs()
	}
	return d.inZone(zones).IDs(), d.inZone(zones - 1).IDs()
}

func (d Demand) inZone(zones int) Demand {
	of := float64(zones)
	d.Live, d.AtOnce, d.Crashes = atLeast(float64(d.Live)/of), atLeast(float64(d.AtOnce)/of), d.Crashes/of
	return d
}

// atLeast is the next whole number, at most what an int of 32 bits has. What is above
// one by less than the error of the arithmetic is that number.
func atLeast(n float64) int {
	const tiny = 1e-9
	return int(min(math.Ceil(n-tiny), math.MaxInt32))
}

// Count is how many ids a scope has to give.
func (ids IDs) Count() int {
	n := ids.Last - ids.First + 1
	counted := map[int]bool{}
	for _, id := range ids.Reserved {
		if id >= ids.First && id <= ids.Last && !counted[id] {
			counted[id] = true
			n--
		}
	}
	return n
}
