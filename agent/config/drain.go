package config

import (
	"reflect"
	"slices"
	"time"

	"github.com/BurntSushi/toml"
)

// Drain is what happens before this instance goes: who takes it out of its load
// balancers, and which log shippers must have delivered everything.
type Drain struct {
	Deadline     Duration `toml:"deadline"`      // from the notice to CONTINUE
	TargetGroups []string `toml:"target_groups"` // ARNs in which this instance must be unused before the app is stopped
	Deregister   string   `toml:"deregister"`    // who takes it out of them: DeregisterNever, DeregisterSpot, DeregisterAlways
	Spot         string   `toml:"spot"`          // what a Spot interruption notice does: DrainOn or DrainIgnore
	Rebalance    string   `toml:"rebalance"`     // what a rebalance recommendation does: DrainOn or DrainIgnore
	OnShutdown   Duration `toml:"on_shutdown"`   // how long a power-off without a notice may take to flush; 0 = not at all

	Flush map[string]Flush `toml:"flush"` // the log shippers, by a free name
}

// What Drain.Deregister may be.
const (
	DeregisterNever  = "never"
	DeregisterSpot   = "spot" // only after a Spot notice: Auto Scaling does not, then
	DeregisterAlways = "always"
)

// What Drain.Spot and Drain.Rebalance may be.
const (
	DrainOn     = "drain"
	DrainIgnore = "ignore"
)

// Flush is one log shipper that must have delivered what the app has written.
// Which keys count depends on Kind; a key that a kind does not take is an error.
type Flush struct {
	Kind    string      `toml:"kind"`
	Files   []string    `toml:"files"`   // absolute globs: the app's log files, rotated ones included
	State   string      `toml:"state"`   // the directory of the shipper's state files
	Stats   string      `toml:"stats"`   // rsyslog: the file that impstats writes
	Log     string      `toml:"log"`     // Kinesis Agent: its own log
	URL     string      `toml:"url"`     // where the shipper's metrics are
	Zero    []string    `toml:"zero"`    // metrics that must be 0
	Equal   [][2]string `toml:"equal"`   // pairs of metrics that must be equal
	Command []string    `toml:"command"` // exits 0 when everything is delivered, 75 to be asked again
	User    string      `toml:"user"`    // that it runs as; "" = as hooks do
	For     Duration    `toml:"for"`     // wait: how long; metrics: how long the values must not change
	Timeout Duration    `toml:"timeout"` // how long to wait for the shipper
}

// What Flush.Kind may be.
const (
	CloudWatchAgent = "cloudwatch-agent"
	KinesisAgent    = "kinesis-agent"
	FluentBit       = "fluent-bit"
	Rsyslog         = "rsyslog"
	OTelCollector   = "otel-collector"
	FlushMetrics    = "metrics"
	FlushCommand    = "command"
	FlushWait       = "wait"
)

// kind is what a kind of Flush takes, besides kind itself.
type kind struct {
	needs    []string
	takes    []string
	defaults Flush
}

// longest is the default of Flush.Timeout.
const longest = Duration(2 * time.Minute)

// kinds is every kind of Flush.
func kinds() map[string]kind {
	return map[string]kind{
		CloudWatchAgent: {needs: []string{"files"}, takes: []string{"state", "timeout"},
			defaults: Flush{State: "/opt/aws/amazon-cloudwatch-agent/logs/state", Timeout: longest}},
		KinesisAgent: {takes: []string{"files", "log", "timeout"},
			defaults: Flush{Log: "/var/log/aws-kinesis-agent/aws-kinesis-agent.log", Timeout: longest}},
		FluentBit: {takes: []string{"files", "url", "timeout"},
			defaults: Flush{URL: "http://127.0.0.1:2020", Timeout: longest}},
		Rsyslog: {needs: []string{"stats"}, takes: []string{"files", "state", "timeout"},
			defaults: Flush{State: "/var/spool/rsyslog", Timeout: longest}},
		OTelCollector: {takes: []string{"files", "url", "timeout"},
			defaults: Flush{URL: "http://127.0.0.1:8888/metrics", Timeout: longest}},
		FlushMetrics: {needs: []string{"url"}, takes: []string{"files", "zero", "equal", "for", "timeout"},
			defaults: Flush{For: Duration(time.Second), Timeout: longest}},
		FlushCommand: {needs: []string{"command"}, takes: []string{"user", "timeout"},
			defaults: Flush{Timeout: longest}},
		FlushWait: {needs: []string{"for"}},
	}
}

// FlushKinds is every kind, in order.
func FlushKinds() []string {
	return []string{CloudWatchAgent, KinesisAgent, FluentBit, Rsyslog, OTelCollector, FlushMetrics, FlushCommand, FlushWait}
}

// Longest is how long this flush may take.
func (f Flush) Longest() time.Duration { return time.Duration(max(f.Timeout, f.For)) }

// keys are those that the kind takes, in the order of the struct.
func (f Flush) keys() []string {
	k := kinds()[f.Kind]
	var keys []string
	for field := range reflect.TypeFor[Flush]().Fields() {
		if key := field.Tag.Get("toml"); key == "kind" || slices.Contains(k.needs, key) || slices.Contains(k.takes, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// fillIn sets what no file has set to the defaults of its kind.
func (f *Flush) fillIn(isSet func(key string) bool) {
	to, from := reflect.ValueOf(f).Elem(), reflect.ValueOf(kinds()[f.Kind].defaults)
	for i := range to.NumField() {
		if !isSet(to.Type().Field(i).Tag.Get("toml")) {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// mergeFlush keeps what an earlier file has set of a flush that this one only
// changes: the TOML library replaces the values of a map.
func mergeFlush(earlier, now map[string]Flush, meta toml.MetaData) {
	for name, was := range earlier {
		is := now[name]
		merged, from := reflect.ValueOf(&is).Elem(), reflect.ValueOf(was)
		for i := range merged.NumField() {
			if key := merged.Type().Field(i).Tag.Get("toml"); !meta.IsDefined("drain", "flush", name, key) {
				merged.Field(i).Set(from.Field(i))
			}
		}
		now[name] = is
	}
}
