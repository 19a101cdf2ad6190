package agent

import (
	"context"
	"os"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
)

// Agent is one app on one machine. Every field is set by who builds it.
type Agent struct {
	Files   *config.Config // what the files say, before any tag
	Version string         // of this agent, for the report

	Machine machine
	LocalID func() (string, bool) // the instance id without the network, where the machine tells
	// Connect makes the clients, by what the files say. The identity is zero
	// while an image is made.
	Connect func(*config.Config, instance.Identity) (Cloud, error)

	Store *store.Store
	State *os.Root // <state>
	Run   *os.Root // <run>

	Service app
	Ready   func() error // tells systemd that the boot is done

	Now     func() time.Time
	Observe func(report.Event)
	Waits   func(step string, d time.Duration) // told before a step in which nothing is done for a while
	Explain func(error) *report.Error          // an error as people and reports shall see it
}

// Cloud is what only an identified and configured machine can talk to.
type Cloud struct {
	Releases  releases
	Artifacts artifactSource
	Hooks     hooks
}

// machine is what tells who this instance is.
type machine interface {
	Identity(ctx context.Context) (instance.Identity, error)
	Tags(ctx context.Context, names ...string) (map[string]string, error)
	TargetState(ctx context.Context) (string, error) // "" = not in a group
}

// releases is where an app's documents come from. It yields only what was
// verified.
type releases interface {
	Pointer(ctx context.Context, channel string) (*artifacts.VerifiedPointer, error)
	Manifest(ctx context.Context, ref artifacts.Reference) (*artifacts.VerifiedManifest, error)
}

// artifactSource is where the bytes of a release come from, once its manifest
// is believed.
type artifactSource interface {
	Blob(ctx context.Context, b artifacts.Blob) ([]byte, error)
	// Open brings at most rate bytes a second; 0 is without a limit.
	Open(ctx context.Context, a artifacts.Artifact, rate config.Rate, s *report.Span) Content
}

// Content is one artifact as it comes in. It must be closed.
type Content interface {
	store.Content
	Close() error
}

// hooks is the Auto Scaling group's side of a launch.
type hooks interface {
	Group(ctx context.Context, instance string) (group, state string, err error)
	KeepAlive(ctx context.Context, hook lifecycle.Action, after time.Duration, report func(n int, err error))
	Complete(ctx context.Context, hook lifecycle.Action, result lifecycle.Result) (lifecycle.Outcome, error)
}

// app is how the app is started, and what belongs to starting it:
// service.Service.
type app interface {
	Restart(ctx context.Context, env []string) (service.Gate, error)
	RunHook(ctx context.Context, h service.Hook) error
	Running(ctx context.Context) (bool, error)
}
