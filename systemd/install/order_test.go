package install

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/config"
	"koboshi/systemd"
)

const order = UnitDir + "/koboshi-watch.service.d/10-order.conf"

// flushing has the app web.service, and log shippers of these kinds.
func flushing(kinds ...string) *config.Config {
	cfg := settings("/opt/koboshi/web", "/var/lib/koboshi/web")
	cfg.Service.Unit = "web.service"
	cfg.Drain.OnShutdown = config.Duration(30 * time.Second)
	cfg.Drain.Flush = map[string]config.Flush{}
	for _, kind := range kinds {
		cfg.Drain.Flush[kind] = config.Flush{Kind: kind}
	}
	return cfg
}

func TestOrder(t *testing.T) {
	r := newRootFS(t)
	o := r.options(flushing(config.FlushKinds()...))
	r.install(o)
	text, err := os.ReadFile(r.path(order))
	if want := `# Written by koboshi install: the app is stopped first, then the watch, then the log shippers.
[Unit]
After=amazon-cloudwatch-agent.service
After=aws-kinesis-agent.service
After=fluent-bit.service
After=otelcol-contrib.service
After=otelcol.service
After=rsyslog.service
Before=web.service
[Service]
TimeoutStopSec=45s
`; err != nil || string(text) != want {
		t.Errorf("%v:\n%s", err, text)
	}
	if again := r.install(o); len(again) != 0 {
		t.Errorf("the second time changed %v", again)
	}
	if changes := r.install(r.options(flushing())); !slices.Contains(changes, Change{order, "replaced"}) {
		t.Errorf("the order for other shippers stays: %v", changes)
	}
	if r.uninstall(); r.has(order) || r.has(path.Dir(order)) {
		t.Error("it stays without koboshi")
	}
}

// What would close an ordering cycle is left out, by whichever file says so.
func TestOrderLeavesOutCycles(t *testing.T) {
	const lib = "/usr/lib/systemd/system/"
	for _, tt := range []struct {
		name string
		unit map[string]string // by its file
		link map[string]string
		want string
	}{
		{"none", map[string]string{lib + "rsyslog.service": "[Unit]\nAfter=network.target\n"}, nil, ""},
		{"shipper after app", map[string]string{lib + "rsyslog.service": "[Unit]\nAfter=network.target web.service\n"}, nil,
			"rsyslog.service, since rsyslog.service starts after web.service"},
		{"app before shipper", map[string]string{UnitDir + "/web.service": "[Unit]\nBefore=rsyslog.service\n"}, nil,
			"rsyslog.service, since rsyslog.service starts after web.service"},
		{"in a drop-in", map[string]string{UnitDir + "/rsyslog.service.d/x.conf": "[Unit]\nAfter=\\\n web.service\n"}, nil,
			"rsyslog.service, since rsyslog.service starts after web.service"},
		{"through another", map[string]string{lib + "rsyslog.service": "[Unit]\nAfter=a.service\n", lib + "a.service": "[Unit]\nAfter=web.service\n"}, nil,
			"rsyslog.service, since rsyslog.service starts after a.service, and that after web.service"},
		{"after the boot", map[string]string{lib + "rsyslog.service": "[Unit]\nAfter=cloud-final.service\n", lib + "cloud-final.service": "[Unit]\nAfter=multi-user.target\n"}, nil,
			"rsyslog.service, since rsyslog.service starts after multi-user.target, and that after koboshi-boot.service"},
		{"a target that wants the app", map[string]string{lib + "rsyslog.service": "[Unit]\nAfter=x.target\n", lib + "x.target": "[Unit]\nWants=web.service\n"}, nil,
			"rsyslog.service, since rsyslog.service starts after x.target, and that after web.service"},
		{"a target that orders nothing", map[string]string{lib + "rsyslog.service": "[Unit]\nAfter=x.target\n", lib + "x.target": "[Unit]\nWants=web.service\nDefaultDependencies=no\n"}, nil, ""},
		{"an alias", map[string]string{lib + "rsyslog.service": "[Unit]\nAfter=site.service\n", lib + "web.service": "[Unit]\n"},
			map[string]string{UnitDir + "/site.service": lib + "web.service"}, "rsyslog.service, since rsyslog.service starts after web.service"},
		{"masked in /etc", map[string]string{lib + "rsyslog.service": "[Unit]\nAfter=web.service\n"}, map[string]string{UnitDir + "/rsyslog.service": "/dev/null"}, ""},
		{"overridden in /etc", map[string]string{lib + "rsyslog.service": "[Unit]\nAfter=web.service\n", UnitDir + "/rsyslog.service": "[Unit]\n"}, nil, ""},
		{"app before the network is up", map[string]string{UnitDir + "/web.service": "[Unit]\nBefore=network-online.target\n"}, nil,
			"web.service, since koboshi-watch.service starts after network-online.target, and that after web.service"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRootFS(t)
			for file, text := range tt.unit {
				r.write(file, text, 0o644)
			}
			for link, target := range tt.link {
				r.write(path.Dir(link)+"/x", "", 0o644)
				if err := os.Symlink(target, r.path(link)); err != nil {
					t.Fatal(err)
				}
			}
			cfg := flushing(config.Rsyslog)
			r.install(r.options(cfg))
			r.install(r.options(cfg)) // the drop-in that is there is not a reason
			o, written, err := r.open().WatchOrder(systemd.FirstApp, cfg)
			if err != nil || !written || strings.Join(o.LeftOut, "\n") != tt.want {
				t.Errorf("left out: %q (written: %t, %v), want %q", o.LeftOut, written, err, tt.want)
			}
			if text, _ := os.ReadFile(r.path(order)); tt.want != "" && !strings.Contains(string(text), "\n# Left out, since it would close an ordering cycle: "+tt.want+".\n") {
				t.Errorf("the drop-in is\n%s", text)
			}
			if got := len(o.After) + len(o.Before) + len(o.LeftOut); got != 2 {
				t.Errorf("%d units of 2 are placed", got)
			}
		})
	}
}

// A socket of the app starts before every service: it is in no one's way.
func TestOrderOfSockets(t *testing.T) {
	r := newRootFS(t)
	cfg := flushing(config.Rsyslog)
	cfg.Service.Unit, cfg.Service.Units = "", []string{"web.service", "web.socket", "clean.timer"}
	r.write("/usr/lib/systemd/system/sockets.target.wants/web.socket", "", 0o644)
	r.write("/usr/lib/systemd/system/sockets.target", "[Unit]\n", 0o644)
	r.write("/usr/lib/systemd/system/basic.target", "[Unit]\nAfter=sockets.target\n", 0o644)
	r.install(r.options(cfg))
	o, _, err := r.open().WatchOrder(systemd.FirstApp, cfg)
	if err != nil || !slices.Equal(o.Before, []string{"web.service", "clean.timer"}) || !slices.Equal(o.After, []string{"rsyslog.service"}) || len(o.LeftOut) > 0 {
		t.Errorf("%+v (%v)", o, err)
	}
}
