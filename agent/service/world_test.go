package service

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"

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

// fakeSystemd is a systemd with one unit, web.service.
type fakeSystemd struct {
	calls []string
	state systemd.State
	as    systemd.Credentials
	gives systemd.Inherited
	err   error // of every call
	made  systemd.Transient
	run   func(systemd.Transient) error
	gone  string // why the unit is gone
	ended error  // how
	lines []string
	group string // the unit's control group
}

// service is one whose systemd is the fake.
func (f *fakeSystemd) service(cfg *config.Config, output func(Hook, string)) Service {
	return Service{cfg, output, units{cfg, func(context.Context) (manager, error) {
		f.calls = append(f.calls, "connect")
		return f, nil
	}, f.journal}}
}

func (f *fakeSystemd) journal(_ context.Context, start invoked) []string {
	f.calls = append(f.calls, fmt.Sprintf("journal %s, ended: %t", start.id, start.ended))
	return f.lines
}

func (f *fakeSystemd) Identity() string { return "abcd" }

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
	return f.err
}

func (f *fakeSystemd) Link(_ context.Context, path string) error { return f.call("link", path) }

func (f *fakeSystemd) Restart(_ context.Context, unit string) (invocation, error) {
	return f, f.call("restart", unit)
}

func (f *fakeSystemd) Refresh(_ context.Context, unit string) error {
	f.calls = append(f.calls, "refresh "+unit)
	return nil
}

func (f *fakeSystemd) ControlGroup(_ context.Context, unit string) (string, error) {
	return f.group, nil
}

func (f *fakeSystemd) Gone(context.Context) (string, error) { return f.gone, nil }

func (f *fakeSystemd) Stop(_ context.Context, unit string) error { return f.call("stop", unit) }

func (f *fakeSystemd) State(_ context.Context, unit string) (systemd.State, error) {
	return f.state, f.call("state", unit)
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
