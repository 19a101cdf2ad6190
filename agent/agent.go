package agent

import (
	"context"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/drain"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/agent/lifecycle"
	"koboshi/agent/nodeid"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/store"
)

// Agent is one app on one machine. Its maker sets every field.
type Agent struct {
	Files   *config.Config // what the files say, before any tag
	Version string         // of this agent, for the report
	By      string         // who runs it, for the report; "" = no person

	Machine machine
	LocalID func() (string, bool) // the instance id without the network, where the firmware has it
	// Connect makes the clients, by what the files say. The identity is zero
	// while an image is made.
	Connect func(*config.Config, instance.Identity) (Cloud, error)

	Trust  artifacts.Trust // that releases on the disk are verified under
	Window int64           // bytes of memory that unpacking may look back over; 0 = what every decoder has
	Turns  string          // where the apps of the machine keep each other from filling a disk, as store.Store has it

	// Mounts mounts images, and warns of what it leaves behind; nil = none are.
	Mounts func(warn func(format string, args ...any)) store.Mounts

	Seals store.Seals // protects images where install.fsverity asks for it

	Service  appService
	Flushers func(*config.Config) ([]drain.Flusher, error)  // what has to deliver the app's logs; nil = nothing
	Ready    func() error                                   // reports to systemd that the boot is done
	Notify   func(ctx context.Context, report []byte) error // runs notify.command

	Nonce   lease.Nonce // of this process, for its node id
	Now     func() time.Time
	Clock   state.Clock
	Observe func(report.Event)
	Waits   func(step string, d time.Duration) // called before a step that only waits
}

// Cloud is what only an identified and configured machine can talk to.
type Cloud struct {
	Releases  converge.Releases
	Artifacts converge.Artifacts
	Lifecycle actions
	Stacks    stacks
	Balancer  drain.Balancer // nil where no target groups are configured

	// Records is the app's part of the source that health records are written to; nil
	// where none are.
	Records bucket.Bucket

	// NodeTable is the table of a scope's node ids.
	NodeTable func(scope string) (lease.Table, error)

	// Persist has requests repeated for as long as their contexts last where AWS
	// refuses the credentials: at a launch a role may be too new to be known
	// everywhere. Else that is tried for a moment only.
	Persist func()
}

// appService is the app's service: service.Service.
type appService interface {
	converge.Service
	nodeid.App
}

// machine knows who this instance is.
type machine interface {
	Identity(ctx context.Context) (instance.Identity, error)
	Tags(ctx context.Context, names ...string) (map[string]string, error)
	TargetState(ctx context.Context) (string, error) // "" = not in a group
}

// stacks is CloudFormation's side of a launch: lifecycle.Stacks.
type stacks interface {
	Signal(ctx context.Context, resource lifecycle.Resource, status lifecycle.Status, ready func(context.Context) error) (lifecycle.End, error)
}

// actions is the Auto Scaling group's side of a launch and of a drain: lifecycle.Client.
type actions interface {
	Group(ctx context.Context, instance string) (group, state string, err error)
	HeartbeatTimeout(ctx context.Context, group, hook string) (time.Duration, error)
	Heartbeat(ctx context.Context, action lifecycle.Action) error
	KeepAlive(ctx context.Context, action lifecycle.Action, after time.Duration, report func(n int, err error))
	Complete(ctx context.Context, action lifecycle.Action, result lifecycle.Result, ready func(context.Context) error) (lifecycle.Outcome, error)
}
