package config

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"koboshi/artifacts"
)

// Bounds of [node_id]'s time spans.
const (
	minLease  = Duration(5 * time.Minute)
	maxLease  = Duration(24 * time.Hour)
	minRenew  = Duration(time.Second)
	maxUnit   = Duration(time.Second)
	minMargin = Duration(time.Second) // the accuracy of the timer that stops the app
)

func (c *Config) validateNodeID() error {
	if !c.NodeID.On() {
		return c.validateNoNodeID()
	}
	for _, check := range []func() error{c.validateScope, c.validateRange, c.validateSplit, c.validateDatacenter, c.validateLease, c.validateUse} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validateNoNodeID requires that nothing is asked of node ids that are off.
func (c *Config) validateNoNodeID() error {
	got, preset := reflect.ValueOf(c.NodeID), reflect.ValueOf(defaultNodeID())
	for field, v := range got.Fields() {
		was := preset.FieldByIndex(field.Index)
		none := (v.Kind() == reflect.Map || v.Kind() == reflect.Slice) && v.Len() == 0
		if !none && !reflect.DeepEqual(v.Interface(), was.Interface()) {
			return c.at("node_id."+field.Tag.Get("toml"), "goes with node_id.scope only, which is empty: without it there is no node id")
		}
	}
	return nil
}

// near is a problem with the value of a key of [node_id]. Where no file has set the
// key it is at the line of another one that it does not go with, or of the scope.
func (c *Config) near(key string, others []string, format string, args ...any) error {
	err := c.at("node_id."+key, format, args...)
	e, ok := err.(*Error) //nolint:errorlint // made a line above
	for _, other := range append(others, "node_id.scope") {
		if o := c.origins[other]; ok && e.File == "" && o != (Origin{}) {
			e.File, e.Line = o.File, o.Line
		}
	}
	return err
}

func (c *Config) validateScope() error {
	if err := artifacts.CheckName(c.NodeID.Scope); err != nil {
		return c.at("node_id.scope", "%w", err)
	}
	if c.NodeID.Table.IsZero() {
		return c.near("table", nil, "no source is in S3: want s3://bucket/prefix or dynamodb://table")
	}
	return nil
}

func (c *Config) validateRange() error {
	n := c.NodeID
	first, last := n.Range[0], n.Range[1]
	if first < 0 || last > MaxNodeID || first > last {
		return c.at("node_id.range", "[%d, %d], want the first id and the last, within 0 to %d", first, last, MaxNodeID)
	}
	for i, id := range n.Reserved {
		if id < first || id > last {
			return c.near("reserved", []string{"node_id.range"}, "%d is not in node_id.range, %d to %d", id, first, last)
		}
		if slices.Contains(n.Reserved[:i], id) {
			return c.at("node_id.reserved", "%d is named twice", id)
		}
	}
	if n.usable(first, last) == 0 {
		return c.at("node_id.reserved", "no id of node_id.range is left")
	}
	return nil
}

func (c *Config) validateSplit() error {
	n := c.NodeID
	sum := n.Split[0] + n.Split[1]
	if min(n.Split[0], n.Split[1]) < 0 || max(n.Split[0], n.Split[1]) > maxNodeBits || sum > maxNodeBits {
		return c.at("node_id.split", "%v, want the bits of two numbers, together at most %d", n.Split, maxNodeBits)
	}
	if need := bitsOf(n.Range[1]); sum < need {
		return c.near("split", []string{"node_id.range"}, "[%d, %d] hold ids up to %d, and node_id.range ends at %d: want %d bits together, such as [%d, %d]",
			n.Split[0], n.Split[1], 1<<sum-1, n.Range[1], need, n.Split[0], max(need-n.Split[0], 0))
	}
	return nil
}

// validateDatacenter requires that each zone has a number that fits, and ids.
func (c *Config) validateDatacenter() error {
	n := c.NodeID
	for _, zone := range slices.Sorted(maps.Keys(n.Datacenter)) {
		key, number := "node_id.datacenter."+zone, n.Datacenter[zone]
		if !IsRegion(zone) {
			return c.at(key, "want an availability zone, such as eu-west-1a, and its number")
		}
		if number < 0 || number >= 1<<n.Split[0] {
			return c.at(key, "%d, want 0 to %d: node_id.split has %d bits for it", number, 1<<n.Split[0]-1, n.Split[0])
		}
		if first, last := n.block(number); n.usable(first, last) <= 0 {
			return c.at(key, "%d leaves the zone no id: node_id.range, %d to %d, has none with that number that is not reserved", number, n.Range[0], n.Range[1])
		}
	}
	return nil
}

func (c *Config) validateLease() error {
	n := c.NodeID
	if n.Lease < minLease || n.Lease > maxLease {
		return c.at("node_id.lease", "%s, want %s to %s", time.Duration(n.Lease), time.Duration(minLease), time.Duration(maxLease))
	}
	if n.Renew < minRenew || n.Renew > n.Lease/2 {
		return c.near("renew", []string{"node_id.lease"}, "%s, want %s to %s, half of node_id.lease", time.Duration(n.Renew), time.Duration(minRenew), time.Duration(n.Lease/2))
	}
	if n.Quarantine > maxLease {
		return c.at("node_id.quarantine", "%s, want at most %s", time.Duration(n.Quarantine), time.Duration(maxLease))
	}
	if n.Unit < Duration(time.Millisecond) || n.Unit > maxUnit || n.Unit%Duration(time.Millisecond) != 0 {
		return c.at("node_id.unit", "%s, want whole milliseconds, 1ms to %s", time.Duration(n.Unit), time.Duration(maxUnit))
	}
	if room := n.Lease - n.Renew; n.Ahead+n.Margin >= room {
		return c.near("margin", []string{"node_id.ahead", "node_id.lease", "node_id.renew"}, "with node_id.ahead %s, want less than node_id.lease - node_id.renew = %s: the app would be stopped before a renewal is due",
			time.Duration(n.Ahead+n.Margin), time.Duration(room))
	}
	if n.Wait >= c.Lifecycle.Deadline {
		return c.near("wait", []string{"lifecycle.deadline"}, "%s, want less than lifecycle.deadline, %s", time.Duration(n.Wait), time.Duration(c.Lifecycle.Deadline))
	}
	return nil
}

// validateUse checks how the app gets and keeps the id.
func (c *Config) validateUse() error {
	n := c.NodeID
	if n.Order != OrderHashed && n.Order != OrderLowest {
		return c.at("node_id.order", "%q, want %q or %q", n.Order, OrderHashed, OrderLowest)
	}
	if !n.Aware && len(c.Service.AllUnits()) == 0 {
		return c.near("aware", []string{"service.restart"}, "want true with service.restart: only a unit can be stopped by systemd when the lease ends, so the app has to keep the bounds itself")
	}
	if len(c.Service.AllUnits()) == 0 && len(c.Service.Stop) == 0 {
		return c.near("scope", []string{"service.restart"}, "needs service.stop where there is service.restart: the app has to be down before it is started again with its id")
	}
	if !n.Aware && n.Margin < minMargin {
		return c.at("node_id.margin", "%s, want at least %s: systemd may be that late", time.Duration(n.Margin), time.Duration(minMargin))
	}
	if n.NameOf == "" {
		return nil
	}
	if err := checkNamePattern(n.NameOf); err != nil {
		return c.at("node_id.name", "%w", err)
	}
	if err := CheckNodeName(n.Name(n.Range[1])); err != nil {
		return c.at("node_id.name", "of the last id: %w", err)
	}
	return nil
}
