package config

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"koboshi/artifacts"
)

// validate checks the merged configuration. It reports the first problem, at the
// line that set the key.
func (c *Config) validate() error {
	for _, check := range []func() error{
		c.validateApp, c.validateSource, c.validateChannel, c.validateTrust, c.validateService,
		c.validateHealth, c.validateHooks, c.validateLifecycle, c.validateSignal, c.validateFallback, c.validateNotify, c.validateInstall,
		c.validateDrain, c.validateFlushes, c.validateNodeID, c.validateFleet, c.validatePaths,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// at is a problem with the value of key.
func (c *Config) at(key, format string, args ...any) error {
	o := c.origins[key]
	return &Error{File: o.File, Line: o.Line, Err: fmt.Errorf("%s: %w", key, fmt.Errorf(format, args...))}
}

func (c *Config) missing(key, hint string) error {
	return &Error{Err: fmt.Errorf("%s is missing", key), Hint: hint}
}

func (c *Config) validateApp() error {
	if c.App == "" {
		return c.missing("app", `name the app, for example app = "web"`)
	}
	if err := artifacts.CheckName(c.App); err != nil {
		return c.at("app", "%w", err)
	}
	return nil
}

func (c *Config) validateSource() error {
	if len(c.Source) == 0 {
		return c.missing("source", `set where releases are stored, for example source = "s3://acme-releases/apps"`)
	}
	for _, s := range c.Source {
		if err := CheckSource(s); err != nil {
			return c.at("source", "%w", err)
		}
	}
	return nil
}

func (c *Config) validateChannel() error {
	for _, name := range append([]string{c.Channel}, c.Channels...) {
		if err := artifacts.CheckName(name); err != nil {
			return c.at("channel", "%w", err)
		}
	}
	if !slices.Contains(c.Channels, c.Channel) {
		return c.at("channel", "%q is not among channels %q", c.Channel, c.Channels)
	}
	return nil
}

func (c *Config) validateTrust() error {
	if len(c.Trust.Keys) == 0 {
		return c.missing("trust.keys", "without a trusted key nothing can be verified; bake one in and name it, for example [\"/etc/koboshi/keys/release.pub\"]")
	}
	if n := c.Trust.Threshold; n < 1 || n > len(c.Trust.Keys) {
		return c.at("trust.threshold", "%d, want 1 to %d, the number of keys", n, len(c.Trust.Keys))
	}
	n, promoters := c.Trust.PromoteThreshold, len(c.Trust.PromoteKeys)
	switch {
	case promoters == 0 && n != 0:
		return c.at("trust.promote_threshold", "goes with trust.promote_keys only")
	case promoters == 0:
	case n < 0 || n > promoters:
		return c.at("trust.promote_threshold", "%d, want 1 to %d, the number of promote_keys", n, promoters)
	case n == 0 && c.Trust.Threshold > promoters:
		return c.at("trust.promote_keys", "there are fewer than trust.threshold = %d: want more of them, or trust.promote_threshold", c.Trust.Threshold)
	}
	for channel, sequence := range c.Trust.Floor {
		if artifacts.CheckName(channel) != nil || sequence < 0 {
			return c.at("trust.floor."+channel, "want a channel and a sequence of at least 0")
		}
	}
	return nil
}

func (c *Config) validateService() error {
	restart, stop := c.Service.Restart, c.Service.Stop
	key := "service.units"
	if c.Service.Unit != "" {
		key = "service.unit"
	}
	switch units := len(c.Service.AllUnits()) > 0; {
	case c.Service.Unit != "" && len(c.Service.Units) > 0:
		return c.at("service.units", "service.unit is set too: want one of them")
	case units && len(restart) > 0:
		return c.at("service.restart", "%s is set too: want one of them", key)
	case !units && len(restart) == 0:
		return c.missing("service.unit", `name the app's unit, or several in service.units, or service.restart = ["command"] where there is no systemd`)
	case units && len(stop) > 0:
		return c.at("service.stop", "%s is set, which systemd stops: want it with service.restart only", key)
	case !units && c.Service.Reload:
		return c.at("service.reload", "there is no unit to reload: service.restart may be a command that reloads the app")
	case len(restart) > 0 && restart[0] == "":
		return c.at("service.restart", "the command is empty")
	case len(stop) > 0 && stop[0] == "":
		return c.at("service.stop", "the command is empty")
	}
	if err := c.validateUnits(key); err != nil {
		return err
	}
	return c.validateUnitFiles()
}

func (c *Config) validateFleet() error {
	if c.Fleet.Report && c.ReportTo() == "" {
		return c.at("fleet.report", "no source can be written: want one that is s3:// or file://")
	}
	return nil
}

// laterUnits are the kinds of units that may follow the first, which is a service.
var laterUnits = []string{".service", ".timer", ".path"}

// ownUnit is a unit that koboshi install brings: to start it from within a run
// would wait for itself.
var ownUnit = regexp.MustCompile(`^koboshi-(boot|sync|watch)(@.*)?\.`)

func (c *Config) validateUnits(key string) error {
	units := c.Service.AllUnits()
	for i, unit := range units {
		kind := path.Ext(unit)
		switch {
		case ownUnit.MatchString(unit):
			return c.at(key, "%q is koboshi's own: want the app's", unit)
		case kind == "" || kind == unit || strings.ContainsAny(unit, "/ \t\n"):
			return c.at(key, "%q, want a name such as %s.service", unit, c.App)
		case i == 0 && kind != ".service" && slices.Contains(laterUnits, kind):
			return c.at(key, "%q cannot be the first: that one is probed, so it has to be a service", unit)
		case i == 0 && kind != ".service":
			return c.at(key, "%q, want a name such as %s.service", unit, c.App)
		case !slices.Contains(laterUnits, kind):
			return c.at(key, "%q, want services, timers and paths; what they need is started with them by Requires= or Wants=", unit)
		case slices.Contains(units[:i], unit):
			return c.at(key, "%q is named twice", unit)
		}
	}
	return nil
}

func (c *Config) validateUnitFiles() error {
	files := c.Service.AllUnitFiles()
	switch key := "service.unit_files"; {
	case c.Service.UnitFile != "" && len(c.Service.UnitFiles) > 0:
		return c.at(key, "service.unit_file is set too: want one of them")
	case c.Service.UnitFile != "" && (!isInTree(c.Service.UnitFile) || !slices.ContainsFunc(c.Service.AllUnits(), c.Service.Brings)):
		return c.at("service.unit_file", "%q, want a path inside the tree that ends in the name of service.unit", c.Service.UnitFile)
	case len(files) > 0 && len(c.Service.AllUnits()) == 0:
		return c.at(key, "there is no service.unit or service.units that they could be of")
	}
	names := map[string]bool{}
	for _, file := range files {
		name := path.Base(file)
		if !isInTree(file) || path.Ext(name) == "" || path.Ext(name) == name {
			return c.at("service.unit_files", "%q, want a path inside the tree that ends in the name of a unit", file)
		}
		if names[name] {
			return c.at("service.unit_files", "%s is named twice", name)
		}
		names[name] = true
	}
	return nil
}

func isInTree(file string) bool { return filepath.IsLocal(file) && path.Clean(file) == file }

func (c *Config) validateHealth() error {
	h, kinds := c.Health, 0
	for _, set := range []bool{h.URL != "", h.TCP != "", len(h.Command) > 0} {
		if set {
			kinds++
		}
	}
	if kinds == 0 && len(c.Service.AllUnits()) == 0 {
		return c.missing("health.url", `set what answers when the app is healthy, for example url = "http://127.0.0.1:8080/healthz"; for a worker without a port, health.command`)
	}
	if kinds == 0 && h.Bake <= 0 {
		return c.at("health.bake", "want more than 0s: without url, tcp and command the units are only watched, for this long")
	}
	if kinds > 1 {
		return c.at("health", "want one of url, tcp and command")
	}
	if h.URL != "" {
		if err := artifacts.CheckProbeURL(h.URL); err != nil {
			return c.at("health.url", "%w, for example http://127.0.0.1:8080/healthz", err)
		}
	}
	if h.TCP != "" {
		if err := artifacts.CheckProbeTCP(h.TCP); err != nil {
			return c.at("health.tcp", "%q: %w", h.TCP, err)
		}
	}
	if err := c.validateRequest(); err != nil {
		return err
	}
	if h.Timeout <= 0 {
		return c.at("health.timeout", "want more than 0s")
	}
	if h.Listener != ListenerApp && h.Listener != ListenerAny {
		return c.at("health.listener", "%q, want %q or %q", h.Listener, ListenerApp, ListenerAny)
	}
	return nil
}

// validateRequest checks how health.url is asked.
func (c *Config) validateRequest() error {
	h := c.Health
	tls := strings.HasPrefix(strings.ToLower(h.URL), "https:")
	for _, o := range []struct {
		key string
		set bool
		tls bool // only for https
	}{
		{"health.host", h.Host != "", false}, {"health.status", h.Status != artifacts.DefaultStatuses, false},
		{"health.ca", h.CA != "", true}, {"health.insecure", h.Insecure, true},
	} {
		switch {
		case o.set && h.URL == "":
			return c.at(o.key, "goes with health.url only")
		case o.set && o.tls && !tls:
			return c.at(o.key, "health.url has no certificate: it begins with http://")
		}
	}
	switch {
	case h.Host != "" && !isHost(h.Host):
		return c.at("health.host", "%q, want a name such as www.example.com, with a port where the app expects one", h.Host)
	case h.CA != "" && h.Insecure:
		return c.at("health.insecure", "health.ca is set too: want one of them")
	case h.CA != "" && !path.IsAbs(h.CA):
		return c.at("health.ca", "%q, want an absolute path", h.CA)
	}
	return nil
}

// isHost reports whether a Host header may be s: a name or an address, and
// perhaps a port.
func isHost(s string) bool {
	u, err := url.Parse("http://" + s)
	return err == nil && u.Host == s && u.Hostname() != "" && artifacts.CheckProbeURL("http://"+s) == nil &&
		strings.Trim(strings.ToLower(u.Hostname()), "abcdefghijklmnopqrstuvwxyz0123456789-._:") == ""
}

func (c *Config) validateHooks() error {
	if user := c.Hooks.User; strings.HasPrefix(user, "-") || strings.ContainsFunc(user, notInUser) {
		return c.at("hooks.user", "%q, want the name of a user", user)
	}
	if c.Hooks.Timeout <= 0 {
		return c.at("hooks.timeout", "want more than 0s")
	}
	return nil
}

// notInUser reports a character that /etc/passwd does not allow in a name, or
// that systemd would read as a specifier.
func notInUser(r rune) bool {
	return strings.ContainsRune(":/,%", r) || unicode.IsSpace(r) || !unicode.IsPrint(r)
}

func (c *Config) validateLifecycle() error {
	l := c.Lifecycle
	if need := c.Health.Timeout + c.Health.Bake + l.ContinueJitter; l.Deadline <= need {
		return c.at("lifecycle.deadline", "%s, want more than health.timeout + health.bake + lifecycle.continue_jitter = %s", time.Duration(l.Deadline), time.Duration(need))
	}
	if l.OnFailure != Abandon && l.OnFailure != Wait {
		return c.at("lifecycle.on_failure", "%q, want %q or %q", l.OnFailure, Abandon, Wait)
	}
	for key, hook := range map[string]string{"lifecycle.launch_hook": l.LaunchHook, "lifecycle.terminate_hook": l.TerminateHook} {
		if strings.HasPrefix(hook, "CodeDeploy-managed-") {
			return c.at(key, "%q belongs to CodeDeploy", hook)
		}
	}
	if l.TerminateHook == l.LaunchHook && l.LaunchHook != "" {
		return c.at("lifecycle.terminate_hook", "%q is lifecycle.launch_hook too: a lifecycle hook has one transition", l.TerminateHook)
	}
	return nil
}

// What CloudFormation takes for a stack and for a logical id.
var (
	stackName = regexp.MustCompile(`^([a-zA-Z][-a-zA-Z0-9]{0,127}|arn:aws[a-z-]*:cloudformation:[-a-z0-9]+:[0-9]{12}:stack/[-a-zA-Z0-9]+/[-a-zA-Z0-9]+)$`)
	logicalID = regexp.MustCompile(`^[a-zA-Z0-9]{1,255}$`)
)

func (c *Config) validateSignal() error {
	switch s := c.Signal; {
	case s.Stack == "" && s.Resource == "":
	case s.Resource == "":
		return c.at("signal.stack", "signal.resource is missing: want both, or none")
	case s.Stack == "":
		return c.at("signal.resource", "signal.stack is missing: want both, or none")
	case !stackName.MatchString(s.Stack):
		return c.at("signal.stack", "%q, want the name or the id of a stack", s.Stack)
	case !logicalID.MatchString(s.Resource):
		return c.at("signal.resource", "%q, want a logical id, such as WebGroup", s.Resource)
	}
	return nil
}

func (c *Config) validateFallback() error {
	for _, when := range c.Fallback.When {
		if !slices.Contains([]string{Unavailable, Unhealthy, Untrusted}, when) {
			return c.at("fallback.when", "%q, want %q, %q or %q", when, Unavailable, Unhealthy, Untrusted)
		}
	}
	return nil
}

// maxNotify bounds how long the end of a run may be held up.
const maxNotify = Duration(2 * time.Minute)

func (c *Config) validateNotify() error {
	n := c.Notify
	if n.Timeout <= 0 || n.Timeout > maxNotify {
		return c.at("notify.timeout", "%s, want more than 0s and at most %s", time.Duration(n.Timeout), time.Duration(maxNotify))
	}
	if len(n.Command) == 0 {
		return nil
	}
	if program := n.Command[0]; program == "" || strings.Contains(program, "/") && !path.IsAbs(program) {
		return c.at("notify.command", "%q, want a program in PATH or an absolute path", program)
	}
	if c.Service.UnitFile != "" && c.Hooks.User == "" {
		return c.at("notify.command", "hooks.user is not set: want it where the release brings the unit (service.unit_file)")
	}
	return nil
}

func (c *Config) validateInstall() error {
	if when := c.Install.Delta; !slices.Contains([]string{DeltaSync, DeltaAlways, DeltaNever}, when) {
		return c.at("install.delta", "%q, want %q, %q or %q", when, DeltaSync, DeltaAlways, DeltaNever)
	}
	if when := c.Install.Verify; !slices.Contains([]string{VerifyInstall, VerifyLaunch, VerifyStart}, when) {
		return c.at("install.verify", "%q, want %q, %q or %q", when, VerifyInstall, VerifyLaunch, VerifyStart)
	}
	if when := c.Install.Images; when != ImagesAuto && when != ImagesNever {
		return c.at("install.images", "%q, want %q or %q", when, ImagesAuto, ImagesNever)
	}
	return nil
}

func (c *Config) validatePaths() error {
	dirs := map[string]string{}
	for _, p := range []struct{ key, path string }{
		{"install.root", c.Install.Root}, {"state.dir", c.State.Dir}, {"state.run", c.State.Run},
	} {
		if !path.IsAbs(p.path) || path.Clean(p.path) != p.path || p.path == "/" {
			return c.at(p.key, "%q, want an absolute, clean path", p.path)
		}
		if other, taken := dirs[p.path]; taken {
			return c.at(p.key, "%q is %s too", p.path, other)
		}
		dirs[p.path] = p.key
	}
	for name, keys := range map[string][]string{"trust.keys": c.Trust.Keys, "trust.promote_keys": c.Trust.PromoteKeys} {
		for _, key := range keys {
			if !path.IsAbs(key) {
				return c.at(name, "%q, want an absolute path", key)
			}
		}
	}
	if c.Install.Keep < 1 {
		return c.at("install.keep", "%d, want at least 1", c.Install.Keep)
	}
	return nil
}
