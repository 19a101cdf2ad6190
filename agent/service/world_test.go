package service

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/config"
	"koboshi/artifacts"
	"koboshi/systemd"
)

// configured is a configuration whose app answers on an address of its own.
func configured(t *testing.T, settings string) *config.Config {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listen.Close() })
	cfg, err := config.Parse(config.File{Name: "koboshi.toml", Data: fmt.Appendf(nil, `app = "web"
source = "s3://releases/apps"
trust.keys = ["/release.pub"]
install.root = %q
state.run = %q
health.tcp = %q
health.timeout = "10s"
health.bake = "0s"
%s`, t.TempDir(), t.TempDir(), listen.Addr(), settings)})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// fakeSystemd is a systemd whose units are all alike, unless a test says more of one.
type fakeSystemd struct {
	calls []string
	state systemd.State // of a unit

	lifetimes map[string]systemd.Lifetime
	triggers  map[string][]systemd.Trigger
	units     map[string]systemd.State // of those that are not like that
	looks     func(unit string, look string) (why string, err error)
	fails     map[string]error // calls, such as "start worker.service"
	as        systemd.Credentials
	gives     systemd.Inherited
	err       error // of every call
	made      systemd.Transient
	run       func(systemd.Transient) error
	gone      string // why the unit is gone
	ended     error  // how
	lines     []string
	group     string   // the unit's control group
	asked     []string // units whose control group was asked for
}

// service is one whose systemd is the fake.
func (f *fakeSystemd) service(cfg *config.Config, output func(Hook, string)) Service {
	return Service{config: cfg, output: output, backend: units{cfg, func(context.Context) (manager, error) {
		f.calls = append(f.calls, "connect")
		return f, nil
	}, f.journal}}
}

func (f *fakeSystemd) journal(_ context.Context, start invoked) []string {
	f.calls = append(f.calls, fmt.Sprintf("journal %s, ended: %t", start.id, start.ended))
	return f.lines
}

// fakeRun is one run of a unit.
type fakeRun struct {
	*fakeSystemd
	unit string
}

func (r fakeRun) Identity() string { return "abcd" }

func (r fakeRun) Gone(context.Context) (string, error) { return r.look("gone") }

func (r fakeRun) GoneForGood(context.Context) (string, error) { return r.look("gone for good") }

func (r fakeRun) Failed(context.Context) (string, error) { return r.look("failed") }

func (r fakeRun) look(how string) (string, error) {
	if r.looks != nil {
		return r.looks(r.unit, how)
	}
	return r.gone, nil
}

func (f *fakeSystemd) Ended(context.Context, string) error { return f.ended }

func (f *fakeSystemd) happened(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(f.calls, want) {
		t.Errorf("calls %q, want %q", f.calls, want)
	}
	f.calls = nil
}

func (f *fakeSystemd) call(what, about string) error {
	f.calls = append(f.calls, what+" "+about)
	return cmp.Or(f.err, f.fails[what+" "+about])
}

func (f *fakeSystemd) Link(_ context.Context, paths ...string) error {
	return f.call("link", strings.Join(paths, " "))
}

func (f *fakeSystemd) CheckOrder(_ context.Context, unit string) error {
	return f.fails["order "+unit]
}

func (f *fakeSystemd) Restart(_ context.Context, unit string) (invocation, error) {
	return fakeRun{f, unit}, f.call("restart", unit)
}

func (f *fakeSystemd) Start(_ context.Context, unit string) (invocation, error) {
	return fakeRun{f, unit}, f.call("start", unit)
}

func (f *fakeSystemd) ReloadUnit(_ context.Context, unit string) error { return f.call("reload", unit) }

func (f *fakeSystemd) Current(_ context.Context, unit string) (invocation, error) {
	return fakeRun{f, unit}, nil
}

func (f *fakeSystemd) Refresh(_ context.Context, unit string) error {
	f.calls = append(f.calls, "refresh "+unit)
	return nil
}

func (f *fakeSystemd) Lifetime(_ context.Context, unit string) (systemd.Lifetime, error) {
	return f.lifetimes[unit], f.call("lifetime", unit)
}

func (f *fakeSystemd) Triggers(_ context.Context, unit string) ([]systemd.Trigger, error) {
	return f.triggers[unit], f.call("triggers", unit)
}

func (f *fakeSystemd) ArmStop(_ context.Context, name string, units []string, at time.Time) error {
	return f.call("arm", fmt.Sprint(name, units, at.UnixMilli()))
}

func (f *fakeSystemd) DisarmStop(_ context.Context, name string) error { return f.call("disarm", name) }

func (f *fakeSystemd) ControlGroup(_ context.Context, unit string) (string, error) {
	f.asked = append(f.asked, unit)
	return f.group, nil
}

func (f *fakeSystemd) Stop(_ context.Context, unit string) error { return f.call("stop", unit) }

func (f *fakeSystemd) State(_ context.Context, unit string) (systemd.State, error) {
	state, own := f.units[unit]
	if !own {
		state = f.state
	}
	state.Loaded = cmp.Or(state.Loaded, "loaded")
	return state, cmp.Or(f.err, f.fails["state "+unit])
}

func (f *fakeSystemd) Credentials(_ context.Context, unit string) (systemd.Credentials, error) {
	return f.as, f.call("credentials", unit)
}

func (f *fakeSystemd) Inherit(_ context.Context, unit string) (systemd.Inherited, error) {
	return f.gives, f.call("inherit", unit)
}

func (f *fakeSystemd) Discard(context.Context, string) error { return nil }

func (f *fakeSystemd) RunTransient(_ context.Context, tr systemd.Transient) error {
	f.made = tr
	return f.run(tr)
}

func (f *fakeSystemd) Close() { f.calls = append(f.calls, "close") }

// noOverride is a release without a health section.
var noOverride artifacts.Health
