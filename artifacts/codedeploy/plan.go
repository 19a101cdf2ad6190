package codedeploy

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"

	"koboshi/artifacts"
)

// Bundle is what is around an appspec.
type Bundle interface {
	// Has reports whether a path is in the bundle.
	Has(path string) bool
	// Runnable is why a path cannot be run as a hook; nil if it can.
	Runnable(path string) error
	// Head is the first bytes of a file.
	Head(path string) ([]byte, error)
}

// hookOf is the release hook that runs when an event's scripts would have.
var hookOf = map[string]string{
	"ApplicationStop": "pre_stop", "BeforeInstall": "pre_start", "AfterInstall": "pre_start", "ValidateService": "post_start",
}

// without is what to do about events that have no such hook.
var without = map[string]string{
	"ApplicationStart":   "name the app's unit in service.unit, or its command in service.restart: koboshi starts it; what has to happen before belongs into --hook pre_start",
	"BeforeBlockTraffic": "--hook pre_stop runs before the app is stopped; connections end with the target group's deregistration delay",
	"AfterBlockTraffic":  "--hook pre_stop runs before the app is stopped",
	"BeforeAllowTraffic": "--hook post_start runs once the app is healthy, before the instance is InService",
	"AfterAllowTraffic":  "--hook post_start runs before the instance is InService; what comes later is for a unit of its own",
}

// Plan maps the scripts to hooks and notes what has no counterpart. Hooks that
// are given count in place of the appspec's.
func (s *AppSpec) Plan(b Bundle, given artifacts.Hooks) (artifacts.Hooks, []Note, error) {
	p := &planner{bundle: b, hooks: given, scripts: map[string][]Script{}}
	for _, f := range s.Files {
		p.file(f)
	}
	for _, object := range s.Permissions {
		p.note("", "everything in a release belongs to root and may be read, and what its owner may execute, by everyone: what the app writes goes to StateDirectory= or LogsDirectory= of its unit, a secret to LoadCredential=",
			"permissions of %q are not applied", clip(object))
	}
	if s.Retain {
		p.note("", "what has to survive a release is outside of it: StateDirectory= of the app's unit", "file_exists_behavior RETAIN: a release is a tree of its own, in which nothing is retained")
	}
	for _, script := range s.Scripts {
		if hook := hookOf[script.Event]; hook != "" {
			p.scripts[hook] = append(p.scripts[hook], script)
			continue
		}
		p.note(script.Location, without[script.Event], "is not run: %s has no counterpart", script.Event)
	}
	for _, h := range []struct {
		name string
		argv *[]string
	}{{"pre_start", &p.hooks.PreStart}, {"post_start", &p.hooks.PostStart}, {"pre_stop", &p.hooks.PreStop}} {
		if err := p.hook(h.name, h.argv); err != nil {
			return given, nil, err
		}
	}
	return p.hooks, p.notes, nil
}

type planner struct {
	bundle  Bundle
	hooks   artifacts.Hooks
	scripts map[string][]Script // by hook
	notes   []Note
}

func (p *planner) note(path, hint, text string, args ...any) {
	p.notes = append(p.notes, Note{Path: path, Text: fmt.Sprintf(text, args...), Hint: hint})
}

func (p *planner) wrong(path, hint, text string, args ...any) {
	p.note(path, hint, text, args...)
	p.notes[len(p.notes)-1].Wrong = true
}

func (p *planner) file(f File) {
	here := path.Join("<root>/current", f.Source)
	if f.Source != "." && !p.bundle.Has(f.Source) {
		p.wrong(f.Source, "correct files in the appspec, or the build", "is in files and not in the bundle")
		return
	}
	hint := fmt.Sprintf("let the app's unit use %s; where %s has to stay, BindPaths=%s:%s in the unit", here, f.Destination, here, f.Destination)
	switch {
	case strings.HasSuffix(f.Source, ".service"):
		hint = fmt.Sprintf("let the release bring its unit: service.unit_file = %q", f.Source)
	case strings.HasPrefix(f.Destination+"/", "/etc/"):
		hint = fmt.Sprintf("bake it into the AMI, or let the app read %s", here)
	}
	if f.Source == "." {
		p.note("", hint, "the bundle is not copied to %s: it is at %s", f.Destination, here)
		return
	}
	p.note(f.Source, hint, "is not copied to %s: it is at %s", f.Destination, here)
}

func (p *planner) hook(name string, argv *[]string) error {
	scripts := p.scripts[name]
	switch {
	case len(scripts) == 0:
		return nil
	case len(*argv) > 0:
		for _, s := range scripts {
			p.note(s.Location, "nothing to do if that is meant", "is not run at %s: --hook %s counts", s.Event, name)
		}
		return nil
	case len(scripts) > 1:
		var all []string
		for _, s := range scripts {
			all = append(all, fmt.Sprintf("%s (%s)", s.Location, s.Event))
		}
		p.wrong("", fmt.Sprintf("write one script that runs them in turn, and name it: --hook %s=PATH", name), "%d scripts for %s, which is one program: %s", len(all), name, strings.Join(all, ", "))
		return nil
	}
	*argv = []string{scripts[0].Location}
	return p.script(scripts[0], name)
}

// hookTimeout is the default of hooks.timeout in seconds.
const hookTimeout = 60

func (p *planner) script(s Script, hook string) error {
	if err := p.bundle.Runnable(s.Location); err != nil {
		p.wrong(s.Location, "correct the appspec, or chmod a+x it in the build", "cannot run at %s: %v", s.Event, err)
		return nil
	}
	switch s.RunAs {
	case "", "root":
		p.note(s.Location, `hooks do not run as root: bake into the AMI what needs it; hooks.user = "root" in the configuration is the last resort`, "ran as root at %s: it is the hook %s, and runs as the app's user", s.Event, hook)
	default:
		p.note(s.Location, fmt.Sprintf("hooks run as the app's user; hooks.user = %q in the configuration if that is another", clip(s.RunAs)), "ran as %s at %s: it is the hook %s", clip(s.RunAs), s.Event, hook)
	}
	if s.Timeout > hookTimeout {
		p.note(s.Location, fmt.Sprintf("hooks.timeout = \"%ds\" in the configuration", s.Timeout), "had %d seconds: hooks have hooks.timeout, 1m by default", s.Timeout)
	}
	text, err := p.bundle.Head(s.Location)
	if err != nil {
		return err
	}
	p.variables(s.Location, text)
	return nil
}

// variables of CodeDeploy's scripts, and what hooks have in their place.
var variables = []struct{ name, instead string }{
	{"APPLICATION_NAME", "KOBOSHI_APP"},
	{"DEPLOYMENT_ID", "KOBOSHI_MANIFEST_SHA256, or KOBOSHI_VERSION"},
	{"DEPLOYMENT_GROUP_NAME", "KOBOSHI_CHANNEL"},
	{"DEPLOYMENT_GROUP_ID", "KOBOSHI_CHANNEL"},
	{"LIFECYCLE_EVENT", "an argument: --hook pre_start=\"PATH pre_start\""},
}

func (p *planner) variables(location string, text []byte) {
	for _, v := range variables {
		if bytes.Contains(text, []byte(v.name)) && regexp.MustCompile(`\b`+v.name+`\b`).Match(text) {
			p.note(location, "use "+v.instead, "reads %s, which is not set", v.name)
		}
	}
}
