package config

import (
	"cmp"
	"crypto/x509"
	"path"
	"slices"
	"strings"
	"time"

	"koboshi/artifacts"
)

// Config is the effective configuration. Every value is set and checked; paths
// are absolute and clean. Keys and meanings are those of the file.
type Config struct {
	App       string    `toml:"app"`
	Source    Sources   `toml:"source"`   // tried in order; see CheckSource
	Channel   string    `toml:"channel"`  // the one in effect, after tags
	Channels  []string  `toml:"channels"` // what the tag koboshi:channel may choose from
	Trust     Trust     `toml:"trust"`
	Install   Install   `toml:"install"`
	Service   Service   `toml:"service"`
	Health    Health    `toml:"health"`
	Hooks     Hooks     `toml:"hooks"`
	Lifecycle Lifecycle `toml:"lifecycle"`
	Signal    Signal    `toml:"signal"`
	Fallback  Fallback  `toml:"fallback"`
	Notify    Notify    `toml:"notify"`
	Drain     Drain     `toml:"drain"`
	NodeID    NodeID    `toml:"node_id"`
	Fleet     Fleet     `toml:"fleet"`
	State     State     `toml:"state"`

	// HoldTag is the value of the tag koboshi:hold, "" where there is none. It
	// has no key in a file.
	HoldTag string `toml:"-"`

	origins map[string]Origin
}

// Trust is which signatures count.
type Trust struct {
	Keys      []string         `toml:"keys"`      // paths of PEM public keys
	Threshold int              `toml:"threshold"` // how many must have signed
	Floor     map[string]int64 `toml:"floor"`     // channel: lowest sequence ever accepted

	PromoteKeys      []string `toml:"promote_keys"`      // like Keys: what must have signed pointers; none = Keys
	PromoteThreshold int      `toml:"promote_threshold"` // how many of these; 0 = Threshold
}

// Promoters is how many of PromoteKeys must have signed a pointer.
func (t Trust) Promoters() int { return cmp.Or(t.PromoteThreshold, t.Threshold) }

// Install is where releases are installed, and how.
type Install struct {
	Root string `toml:"root"`
	Keep int    `toml:"keep"` // releases kept, current and previous included

	// MaxRate limits the download of a sync on a live machine; a launch is
	// never slowed down.
	MaxRate Rate `toml:"max_rate"`

	Delta  string `toml:"delta"`  // when deltas are used: DeltaSync, DeltaAlways, DeltaNever
	Verify string `toml:"verify"` // when a tree is compared with its index: VerifyInstall, VerifyLaunch, VerifyStart
	Images string `toml:"images"` // whether images are mounted in place of trees: ImagesAuto, ImagesNever

	FSVerity bool `toml:"fsverity"` // the kernel protects images that are installed
}

// What Install.Verify may be.
const (
	VerifyInstall = "install" // only while it is installed
	VerifyLaunch  = "launch"  // also before its first start on an instance
	VerifyStart   = "start"   // before each start
)

// What Install.Images may be.
const (
	ImagesAuto  = "auto"  // where the release has one that this machine can mount
	ImagesNever = "never" // one that is installed already is still mounted
)

// What Install.Delta may be.
const (
	DeltaSync   = "sync"   // by koboshi sync
	DeltaAlways = "always" // also at boot and prebake
	DeltaNever  = "never"
)

// Service is how the app is started and stopped: exactly one of Unit, Units and
// Restart is set.
type Service struct {
	Unit      string   `toml:"unit"`       // a systemd unit: the short form of Units with one
	Units     []string `toml:"units"`      // systemd units in the order in which they are started; see AllUnits
	UnitFile  string   `toml:"unit_file"`  // the short form of UnitFiles with one
	UnitFiles []string `toml:"unit_files"` // unit files that the release brings: paths inside the tree; see AllUnitFiles
	Reload    bool     `toml:"reload"`     // units that run are reloaded, not restarted
	Restart   []string `toml:"restart"`    // a command that (re)starts the app and returns
	Stop      []string `toml:"stop"`       // goes with Restart: a command that stops the app and returns; empty = there is none
}

// AllUnits are the app's units in the order in which they are started. The first is
// the one that is probed; there is none where the app is started by a command.
func (s Service) AllUnits() []string { return oneOr(s.Unit, s.Units) }

// FirstUnit is the unit that is probed, "" where the app is started by a command.
func (s Service) FirstUnit() string {
	for _, unit := range s.AllUnits() {
		return unit
	}
	return ""
}

// AllUnitFiles are the unit files that the release brings: paths inside the tree.
func (s Service) AllUnitFiles() []string { return oneOr(s.UnitFile, s.UnitFiles) }

// Brings reports whether the release brings the file of a unit.
func (s Service) Brings(unit string) bool {
	return slices.ContainsFunc(s.AllUnitFiles(), func(file string) bool { return isFileOf(unit, path.Base(file)) })
}

// isFileOf reports whether a unit file is a unit's own, or that of its template.
func isFileOf(unit, file string) bool {
	prefix, _, instance := strings.Cut(unit, "@")
	return file == unit || instance && file == prefix+"@"+path.Ext(unit)
}

func oneOr(one string, several []string) []string {
	if one != "" {
		return []string{one}
	}
	return several
}

// Health is the probe that decides whether a release is healthy: one of URL, TCP and
// Command is set, or none, and the units are only watched.
type Health struct {
	URL     string   `toml:"url"`
	TCP     string   `toml:"tcp"`
	Command []string `toml:"command"`

	// How URL is asked. A manifest may set Status only.
	Host     string             `toml:"host"`     // the Host header and the name for TLS; "" = that of the URL
	Status   artifacts.Statuses `toml:"status"`   // what counts as healthy
	CA       string             `toml:"ca"`       // path of PEM certificates; "" = the machine's
	Insecure bool               `toml:"insecure"` // the certificate is not verified
	Roots    *x509.CertPool     `toml:"-"`        // what CA holds, read by the caller; nil = the machine's

	Timeout Duration `toml:"timeout"` // until it is green for the first time
	Bake    Duration `toml:"bake"`    // how long it must stay green

	// Listener is what may answer the probe: ListenerApp or ListenerAny. A
	// manifest cannot set it.
	Listener string `toml:"listener"`
}

// What Health.Listener may be.
const (
	ListenerApp = "app" // a process of the app's unit, not older than its start
	ListenerAny = "any" // whatever it is: a proxy, a container
)

// Hooks is how the hooks of a release are run.
type Hooks struct {
	User    string   `toml:"user"`    // the user they run as; "" = the unit's
	Timeout Duration `toml:"timeout"` // of each
}

// Lifecycle names the group and its lifecycle hooks, and paces the lifecycle
// actions.
type Lifecycle struct {
	Group          string   `toml:"group"` // "" = discovered
	LaunchHook     string   `toml:"launch_hook"`
	TerminateHook  string   `toml:"terminate_hook"`
	Deadline       Duration `toml:"deadline"`        // of a whole boot
	HeartbeatAfter Duration `toml:"heartbeat_after"` // how long a launch takes before it asks for the lifecycle hook's timeout
	ContinueJitter Duration `toml:"continue_jitter"` // CONTINUE is sent after a share of this, computed from the instance id
	OnFailure      string   `toml:"on_failure"`      // Abandon or Wait
	AbandonDelay   Duration `toml:"abandon_delay"`   // ABANDON is sent after such a share of this
}

// What Lifecycle.OnFailure may be.
const (
	Abandon = "abandon" // complete the lifecycle action with ABANDON
	Wait    = "wait"    // let the lifecycle action time out
)

// Fallback is what may end as stale instead of failed at launch.
type Fallback struct {
	When   []string `toml:"when"`    // of Unavailable, Unhealthy, Untrusted
	After  Duration `toml:"after"`   // how long a source is waited for where a fallback stands ready
	MaxAge Duration `toml:"max_age"` // since the channel was last seen; 0 = never
}

// What Fallback.When may hold.
const (
	Unavailable = "unavailable"
	Unhealthy   = "unhealthy"
	Untrusted   = "untrusted"
)

// Signal is the resource of a CloudFormation stack that waits for this instance, by
// its CreationPolicy or UpdatePolicy; both are set or none.
type Signal struct {
	Stack    string `toml:"stack"`    // its name or id
	Resource string `toml:"resource"` // its logical id
}

// Notify is what is run at the end of each run, with the run's report on its
// standard input.
type Notify struct {
	Command []string `toml:"command"` // empty = none
	Timeout Duration `toml:"timeout"`
}

// Fleet is what this instance says about itself in the bucket.
type Fleet struct {
	Report bool `toml:"report"` // write a health record whenever it changes, into [Config.ReportTo]
}

// ReportTo is the source that health records are written to, "" where none can be written:
// the first that is s3:// or file://.
func (c *Config) ReportTo() string {
	for _, s := range c.Source {
		if strings.HasPrefix(s, "s3://") || strings.HasPrefix(s, "file://") {
			return s
		}
	}
	return ""
}

// State is where the agent keeps its state.
type State struct {
	Dir string `toml:"dir"` // survives a reboot
	Run string `toml:"run"` // does not
}

// Duration is a time span spelled as Go does, such as "90s" or "2m".
type Duration = artifacts.Duration

// Sources is one source or a list of them.
type Sources []string

func defaults() Config {
	return Config{
		Channel: "stable",
		Trust:   Trust{Threshold: 1, PromoteKeys: []string{}},
		Install: Install{Keep: 3, Delta: DeltaSync, Verify: VerifyLaunch, Images: ImagesNever},
		Health:  Health{Status: artifacts.DefaultStatuses, Timeout: Duration(2 * time.Minute), Bake: Duration(10 * time.Second), Listener: ListenerApp},
		Hooks:   Hooks{Timeout: Duration(time.Minute)},
		Lifecycle: Lifecycle{LaunchHook: "koboshi-launching", TerminateHook: "koboshi-terminating", Deadline: Duration(15 * time.Minute),
			HeartbeatAfter: Duration(12 * time.Second), OnFailure: Abandon, AbandonDelay: Duration(30 * time.Second)},
		Fallback: Fallback{When: []string{Unavailable}, After: Duration(45 * time.Second), MaxAge: Duration(24 * time.Hour)},
		Notify:   Notify{Timeout: Duration(10 * time.Second)},
		Drain: Drain{Deadline: Duration(10 * time.Minute), TargetGroups: []string{}, Deregister: DeregisterSpot, Spot: DrainOn, Rebalance: DrainIgnore,
			OnShutdown: Duration(time.Minute)},
		NodeID:  defaultNodeID(),
		origins: map[string]Origin{},
	}
}

// derive fills in what follows from the app's name and the channel.
func (c *Config) derive() {
	fill := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	fill(&c.Install.Root, "/opt/koboshi/"+c.App)
	fill(&c.State.Dir, "/var/lib/koboshi/"+c.App)
	fill(&c.State.Run, "/run/koboshi/"+c.App)
	if len(c.Channels) == 0 {
		c.Channels = []string{c.Channel}
	}
	if c.NodeID.On() && c.NodeID.Table.IsZero() {
		c.NodeID.Table = tableOf(c.Source, c.App)
	}
	for name, flush := range c.Drain.Flush {
		flush.fillIn(func(key string) bool { return c.origins["drain.flush."+name+"."+key] != Origin{} })
		c.Drain.Flush[name] = flush
	}
}
