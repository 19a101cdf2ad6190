package config

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// NodeID is the node id that this instance holds while its app runs: a number that
// no other instance of the scope has. Scope is empty where none is wanted; the other
// keys are their defaults then.
type NodeID struct {
	Scope    string `toml:"scope"`    // instances that share the ids share it
	Table    Table  `toml:"table"`    // where it is recorded who holds which id
	Range    [2]int `toml:"range"`    // the first id and the last
	Reserved []int  `toml:"reserved"` // ids that are never given

	// Split is the width in bits of the two numbers of an id: datacenter and worker.
	Split [2]int `toml:"split"`

	// Datacenter is the datacenter number of each availability zone. Where it is set
	// an instance has only ids with the number of its zone; see [NodeID.Within].
	Datacenter map[string]int `toml:"datacenter"`

	Lease      Duration `toml:"lease"`
	Renew      Duration `toml:"renew"`      // how often
	Quarantine Duration `toml:"quarantine"` // how far an app may overrun the end, by its own clock
	Unit       Duration `toml:"unit"`       // the time unit of the app's generator, whole milliseconds
	Ahead      Duration `toml:"ahead"`      // how far the generator may run ahead of the clock
	Margin     Duration `toml:"margin"`     // the app is stopped so much before the end, beside its stop timeout
	Wait       Duration `toml:"wait"`       // for a mark ahead of the clock, before another id is tried
	Aware      bool     `toml:"aware"`      // the app keeps the bounds itself and is not stopped
	Order      string   `toml:"order"`      // which id is tried first: OrderHashed or OrderLowest
	NameOf     string   `toml:"name"`       // the pattern of [NodeID.Name], "" where there is no name
	Required   bool     `toml:"required"`   // the app does not start without an id
}

// What NodeID.Order may be.
const (
	OrderHashed = "hashed" // by the instance id: hardly two instances try the same
	OrderLowest = "lowest" // for slots, such as web-01
)

// MaxNodeID is the largest id that a range may end with.
const MaxNodeID = 1<<maxNodeBits - 1

const maxNodeBits = 20

func defaultNodeID() NodeID {
	return NodeID{Range: [2]int{0, 1023}, Reserved: []int{}, Split: [2]int{5, 5}, Datacenter: map[string]int{}, Lease: Duration(time.Hour), Renew: Duration(20 * time.Minute),
		Quarantine: Duration(5 * time.Minute), Unit: Duration(time.Millisecond), Margin: Duration(5 * time.Second), Wait: Duration(30 * time.Second),
		Order: OrderHashed, Required: true}
}

// On reports whether this instance has a node id.
func (n NodeID) On() bool { return n.Scope != "" }

// SplitID is the two numbers of an id: id = datacenter<<Split[1] | worker.
func (n NodeID) SplitID(id int) (datacenter, worker int) {
	return id >> n.Split[1], id & (1<<n.Split[1] - 1)
}

// DatacenterID is the datacenter number of an availability zone. It is an error
// where Datacenter does not have the zone.
func (n NodeID) DatacenterID(zone string) (int, error) {
	number, ok := n.Datacenter[zone]
	if !ok {
		return 0, fmt.Errorf("node_id.datacenter has no number for the availability zone %q", zone)
	}
	return number, nil
}

// Within is the first and the last id that an instance in an availability zone may
// have: all of Range, or where Datacenter is set those with the number of the zone.
func (n NodeID) Within(zone string) (first, last int, err error) {
	if len(n.Datacenter) == 0 {
		return n.Range[0], n.Range[1], nil
	}
	number, err := n.DatacenterID(zone)
	if err != nil {
		return 0, 0, err
	}
	first, last = n.block(number)
	return first, last, nil
}

// block is the part of Range with a datacenter number; first > last where there is
// none.
func (n NodeID) block(number int) (first, last int) {
	start := number << n.Split[1]
	return max(n.Range[0], start), min(n.Range[1], start|(1<<n.Split[1]-1))
}

// usable is how many ids from first to last are not reserved.
func (n NodeID) usable(first, last int) int {
	count := last - first + 1
	for _, id := range n.Reserved {
		if first <= id && id <= last {
			count--
		}
	}
	return count
}

// Name is the name that an id has, such as "web-07"; "" without a pattern.
func (n NodeID) Name(id int) string {
	if n.NameOf == "" {
		return ""
	}
	return fmt.Sprintf(n.NameOf, id)
}

// CheckNodeName checks a name that an app gets in its environment: at most 63
// letters, digits, dots, hyphens and underscores, a letter or digit first.
func CheckNodeName(s string) error {
	const (
		first   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		longest = 63
	)
	if s == "" || len(s) > longest || !strings.Contains(first, s[:1]) || strings.Trim(s, first+".-_") != "" {
		return fmt.Errorf("%.80q is not a name: want letters, digits and . - _, at most %d, a letter or digit first", s, longest)
	}
	return nil
}

// checkNamePattern requires exactly one verb, %d or %0Nd with N from 1 to 9, in
// what is a name otherwise.
func checkNamePattern(pattern string) error {
	before, rest, _ := strings.Cut(pattern, "%")
	if flag, ok := strings.CutPrefix(rest, "0"); ok && flag != "" && flag[0] >= '1' && flag[0] <= '9' {
		rest = flag[1:]
	}
	after, ok := strings.CutPrefix(rest, "d")
	if !ok {
		return fmt.Errorf("%.80q, want one %%d or one such as %%02d in it, for example web-%%02d", pattern)
	}
	if strings.Contains(after, "%") {
		return fmt.Errorf("%.80q has more than one %%: want one %%d or one such as %%02d in it", pattern)
	}
	return CheckNodeName(before + "0" + after)
}

// bitsOf is how many bits an id needs.
func bitsOf(id int) int { return bits.Len(uint(id)) } //nolint:gosec // not negative
