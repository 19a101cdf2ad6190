package doctor

import (
	"context"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/flush"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/agent/lifecycle"
	"koboshi/agent/nodeid"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/systemd"
	"koboshi/systemd/install"
)

// Machine is what is examined: what is baked into it, and its interfaces to ask.
type Machine struct {
	Config   *config.Config // of the files; tags come on top
	Agent    string         // this agent's version
	BootUnit string         // the unit that boots the app
	Others   []config.Neighbour
	OS, Arch string // the platform, in Go's names
	Trust    artifacts.Trust
	Keys     []artifacts.PublicKey // of which Trust was made

	Promoters []artifacts.PublicKey // likewise, those that may move a channel; none = Keys may
	Now       time.Time

	Past     past
	Disk     disk
	Places   places
	Mounts   mounter
	App      app
	Units    units
	Node     node
	Flushers []flusher // the log shippers of a drain
	Metadata metadata
	// Connect makes the clients of AWS. The zero Identity is a machine whose
	// metadata did not answer.
	Connect func(context.Context, instance.Identity) (Cloud, error)
}

// Cloud is what is reached over the network.
type Cloud struct {
	Sources  []Source // in the configured order
	Account  account
	Hooks    hooks
	Balancer balancers
	Nodes    lease.Table   // nil where there are no node ids
	Records  bucket.Bucket // where health records are written to; nil where none are
	Clock    clock
}

// Source is one of the places that releases come from.
type Source struct {
	Name   string // as it is configured
	Way    string // how it is asked, such as "at https://…, by the proxy …"; "" = as usual
	Bucket bucket.Reader
}

// Credentials are what requests are signed with. The zero Expires is never.
type Credentials struct {
	From    string // such as "EC2RoleProvider"
	Expires time.Time
}

// Tree is a release on the disk.
type Tree struct {
	Version        string
	ManifestSHA256 artifacts.Digest
	HealthyOn      func(instance string) bool
	health         artifacts.Health // what it says of its own health
}

// past is what earlier runs left; fs.ErrNotExist where there were none.
type past interface {
	Report() (report.Report, error)
	State() (state.State, error)
}

// disk is the app's releases; fs.ErrNotExist where there is no store yet. A
// nil Tree is a link that is not there.
type disk interface {
	Current() (*Tree, error)
	Previous() (*Tree, error)
	CheckSpace(artifacts.Artifact) error
}

// app is asked once whether it is healthy, and which user its hooks run as. A
// user that is not known here is a user.UnknownUserError.
type app interface {
	Probe(context.Context) error
	CheckListener(context.Context) error // health.ErrUnseen where it cannot be seen what answers
	HookUser(context.Context) (name string, err error)
}

// units is systemd. OrderedAfter is the unit through which the first one waits
// for the other: itself where it is directly so, and "" where it does not. WatchOrder is
// install.Root's.
type units interface {
	State(ctx context.Context, unit string) (systemd.State, error)
	OrderedAfter(ctx context.Context, unit, other string) (through string, err error)
	WatchOrder(app string, cfg *config.Config) (o install.Order, written bool, err error)
	StopArmed(ctx context.Context, name string) (at time.Time, armed bool, err error)
}

// node is what this machine has of a node id.
type node interface {
	Lease() (Lease, error)
}

// Lease is what is recorded of the lease of a node id. The zero Record is none.
type Lease struct {
	Record  nodeid.Record
	Damage  error  // why what is recorded cannot be used
	Boot    string // of the kernel
	Watched bool   // koboshi watch runs
	Wanted  bool   // the app is down for want of an id
}

type metadata interface {
	Identity(context.Context) (instance.Identity, error)
	Tags(ctx context.Context, names ...string) (map[string]string, error)
}

type account interface {
	Credentials(context.Context) (Credentials, error)
}

// hooks is Auto Scaling. A refusal for want of permission is
// lifecycle.ErrDenied.
type hooks interface {
	Group(ctx context.Context, instance string) (group, state string, err error)
	Describe(ctx context.Context, group, hook string) (lifecycle.Description, error)
	Heartbeat(context.Context, lifecycle.Action) error
}

// balancers is Elastic Load Balancing: how a target group sees the instance, on each
// port at which it is registered.
type balancers interface {
	Health(ctx context.Context, group, instance string) (states []string, err error)
}

// flusher is a log shipper: how far it is, while the app may still write.
type flusher interface {
	Name() string
	Kind() string
	Look(context.Context) flush.Answer
}

// clock is how far this machine's clock is ahead of the one that answered last,
// and false where no answer had a time: [Clock].
type clock interface {
	Ahead() (time.Duration, bool)
}
