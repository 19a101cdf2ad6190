package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// App is one of several apps on a machine: its configuration file, and what is in
// it.
type App struct {
	File   string
	Config *Config
}

// Neighbour is what is seen of another app on the machine.
type Neighbour struct {
	File     string
	Err      error     // why its configuration cannot be compared
	Overlaps []Overlap // in the words of the app that looks
}

// Overlap is something that two apps on one machine have in common, while each
// needs its own. Err names both files.
type Overlap struct {
	Err   *Error // with a hint
	Fatal bool   // only one of the two can run
}

// Overlaps finds what a and another app have in common. real resolves links in a
// path as far as it exists.
func (a App) Overlaps(b App, real func(string) string) (all []Overlap) {
	all = append(a.sameDirs(b, real), a.sameUnits(b)...)
	return append(append(all, a.samePort(b)...), a.sameHook(b)...)
}

// overlap is a finding about a's key, and the same or another key of b.
func (a App) overlap(b App, fatal bool, key, other, hint, format string, args ...any) Overlap {
	at, there := a.Config.origins[key], b.Config.origins[other]
	if at.File == "" {
		at.File = a.File
	}
	if there.File == "" {
		there.File = b.File
	}
	err := fmt.Errorf("%s: %s of %s", key, fmt.Sprintf(format, args...), there)
	return Overlap{&Error{File: at.File, Line: at.Line, Err: err, Hint: hint}, fatal}
}

type keyDir struct{ key, dir string }

func (c *Config) dirs() []keyDir {
	return []keyDir{{"install.root", c.Install.Root}, {"state.dir", c.State.Dir}, {"state.run", c.State.Run}}
}

// sameDirs finds the first directory of a that is one of b's, or inside of one, or
// around one: a lock, a link and a sweep of one app would be the other's.
func (a App) sameDirs(b App, real func(string) string) []Overlap {
	hint := "give each app directories of its own: set install.root, state.dir and state.run in one of them"
	if a.Config.App == b.Config.App {
		hint = fmt.Sprintf("both are for the app %q, which decides the defaults: set install.root, state.dir and state.run in one of them", a.Config.App)
	}
	for _, ours := range a.Config.dirs() {
		for _, theirs := range b.Config.dirs() {
			switch one, other := real(ours.dir), real(theirs.dir); {
			case one == other:
				return []Overlap{a.overlap(b, true, ours.key, theirs.key, hint, "%q is %s", ours.dir, theirs.key)}
			case isInside(one, other):
				return []Overlap{a.overlap(b, true, ours.key, theirs.key, hint, "%q is inside %s %q", ours.dir, theirs.key, theirs.dir)}
			case isInside(other, one):
				return []Overlap{a.overlap(b, true, ours.key, theirs.key, hint, "%q is around %s %q", ours.dir, theirs.key, theirs.dir)}
			}
		}
	}
	return nil
}

func isInside(dir, above string) bool {
	return strings.HasPrefix(dir, strings.TrimSuffix(above, "/")+"/")
}

// sameUnits finds a unit that both apps would start and stop.
func (a App) sameUnits(b App) []Overlap {
	for _, unit := range a.Config.Service.AllUnits() {
		if slices.Contains(b.Config.Service.AllUnits(), unit) {
			return []Overlap{a.overlap(b, true, a.Config.Service.unitsKey(), b.Config.Service.unitsKey(), "give each app units of its own", "%q is a unit", unit)}
		}
	}
	return nil
}

func (s Service) unitsKey() string {
	if s.Unit != "" {
		return "service.unit"
	}
	return "service.units"
}

// samePort finds a port that both probes ask, where what answers has to be the app
// itself: then one of the two cannot become healthy.
func (a App) samePort(b App) []Overlap {
	key, ours := a.Config.probed()
	other, theirs := b.Config.probed()
	if ours == "" || ours != theirs || a.Config.Health.Listener != ListenerApp || b.Config.Health.Listener != ListenerApp {
		return nil
	}
	return []Overlap{a.overlap(b, false, key, other, "give each app a port of its own, and ask it there", "asks %s, as does %s", ours, other)}
}

// probed is the address that the probe asks, "" where it is a command.
func (c *Config) probed() (key, address string) {
	if c.Health.TCP != "" {
		return "health.tcp", atLoopback(c.Health.TCP)
	}
	u, err := url.Parse(c.Health.URL)
	if err != nil || u.Host == "" {
		return "", ""
	}
	port := u.Port()
	switch {
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	return "health.url", atLoopback(net.JoinHostPort(u.Hostname(), port))
}

// atLoopback spells this machine in one way: IPv4 and IPv6 have the same ports
// mostly.
func atLoopback(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (strings.EqualFold(host, "localhost") || ip.IsLoopback() || ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return address
}

// sameHook finds one lifecycle hook for two launches, or two ends. Auto Scaling
// waits once for it, whichever app completes it.
func (a App) sameHook(b App) (all []Overlap) {
	ours, theirs := a.Config.Lifecycle, b.Config.Lifecycle
	if ours.Group != "" && theirs.Group != "" && ours.Group != theirs.Group {
		return nil
	}
	for _, hook := range []struct{ key, ours, theirs, hint, early string }{
		{"lifecycle.launch_hook", ours.LaunchHook, theirs.LaunchHook, `add a launch hook to the group for each app and name it there; "" is for an app that no launch waits for`,
			"the first CONTINUE lets the instance into service before both apps are healthy"},
		{"lifecycle.terminate_hook", ours.TerminateHook, theirs.TerminateHook, `add a terminate hook to the group for each app that is drained and name it there; "" is for an app that is not`,
			"the first app that has drained lets the instance go before the other one has"},
	} {
		if hook.ours != "" && hook.ours == hook.theirs {
			all = append(all, a.overlap(b, false, hook.key, hook.key, hook.hint, "%q is waited for once, so %s; it is %s", hook.ours, hook.early, hook.key))
		}
	}
	return all
}
