package codedeploy

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// AppSpec is what an appspec asks for.
type AppSpec struct {
	Files       []File
	Permissions []string // their objects
	Retain      bool     // files of the machine are to stay
	Scripts     []Script // in the order in which they would run
}

// File is what is copied where.
type File struct {
	Source      string // relative to the bundle; "." is all of it
	Destination string
}

// Script is a program of the bundle that runs at an event.
type Script struct {
	Event    string
	Location string // relative to the bundle
	RunAs    string // "" = root
	Timeout  int    // seconds; 0 = an hour
}

// events are those at which scripts may run, in order.
var events = [...]string{
	"BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop", "BeforeInstall", "AfterInstall",
	"ApplicationStart", "ValidateService", "BeforeAllowTraffic", "AfterAllowTraffic",
}

// reserved are the events of CodeDeploy's own, at which no script runs.
var reserved = [...]string{"Start", "DownloadBundle", "Install", "BlockTraffic", "AllowTraffic", "End"}

var behaviors = []string{"DISALLOW", "OVERWRITE", "RETAIN"}

// Parse reads an appspec. Where a note is wrong the rest may be incomplete.
func Parse(file string, text []byte) (*AppSpec, []Note) {
	r := &reader{file: file}
	spec := &AppSpec{}
	if len(text) > MaxBytes {
		r.wrong(nil, asInReference, "has more than %d bytes", MaxBytes)
		return spec, r.notes
	}
	if doc := r.document(text); doc != nil {
		r.spec(doc, spec)
	}
	return spec, r.notes
}

func (r *reader) spec(doc *yaml.Node, spec *AppSpec) {
	values := r.table(doc, "appspec", "version", "os", "files", "permissions", "hooks", "file_exists_behavior", "Resources", "Hooks")
	if values["Resources"] != nil || values["Hooks"] != nil {
		r.wrong(doc, "koboshi deploys to EC2 instances", "is for ECS or Lambda")
		return
	}
	if version := r.required(values, doc, "appspec", "version"); version != "" && version != "0.0" {
		r.wrong(values["version"], "0.0 is the only version", "version %q", clip(version))
	}
	if system := r.required(values, doc, "appspec", "os"); system != "" && system != "linux" {
		r.wrong(values["os"], "koboshi runs on Linux", "os %q, want linux", clip(system))
	}
	for i, n := range r.list(values["files"], "files") {
		r.copied(n, fmt.Sprintf("files[%d]", i), spec)
	}
	for i, n := range r.list(values["permissions"], "permissions") {
		where := fmt.Sprintf("permissions[%d]", i)
		fields := r.table(n, where, "object", "pattern", "except", "owner", "group", "mode", "acls", "context", "type")
		spec.Permissions = append(spec.Permissions, r.required(fields, n, where, "object"))
	}
	switch behavior := r.text(values["file_exists_behavior"], "file_exists_behavior"); {
	case behavior != "" && !slices.Contains(behaviors, behavior):
		r.wrong(values["file_exists_behavior"], "want DISALLOW, OVERWRITE or RETAIN", "file_exists_behavior %q", clip(behavior))
	default:
		spec.Retain = behavior == "RETAIN"
	}
	if values["hooks"] != nil {
		r.hooks(values["hooks"], spec)
	}
}

func (r *reader) copied(n *yaml.Node, where string, spec *AppSpec) {
	values := r.table(n, where, "source", "destination")
	source, destination := r.required(values, n, where, "source"), r.required(values, n, where, "destination")
	source, inside := inBundle(source)
	switch {
	case source == "" || destination == "":
		return
	case !inside:
		r.wrong(n, "want a path inside the bundle", "%s: source leads out of the bundle", where)
		return
	case !path.IsAbs(destination):
		r.wrong(n, "want an absolute path", "%s: destination %q", where, clip(destination))
		return
	}
	spec.Files = append(spec.Files, File{source, path.Clean(destination)})
}

// inBundle is a path relative to the bundle, whose own is "/".
func inBundle(name string) (clean string, inside bool) {
	if name == "" {
		return "", true
	}
	clean = path.Clean(strings.TrimLeft(name, "/"))
	return clean, clean != ".." && !strings.HasPrefix(clean, "../")
}

func (r *reader) hooks(n *yaml.Node, spec *AppSpec) {
	values := r.table(n, "hooks", slices.Concat(events[:], reserved[:])...)
	for _, event := range reserved {
		if values[event] != nil {
			r.wrong(values[event], "scripts run at "+strings.Join(events[:], ", "), "hooks: %s is CodeDeploy's own", event)
		}
	}
	for _, event := range events {
		for i, script := range r.list(values[event], "hooks."+event) {
			r.script(script, event, fmt.Sprintf("hooks.%s[%d]", event, i), spec)
		}
	}
}

// maxTimeout is that of CodeDeploy for all scripts of an event, in seconds.
const maxTimeout = 3600

func (r *reader) script(n *yaml.Node, event, where string, spec *AppSpec) {
	values := r.table(n, where, "location", "timeout", "runas")
	s := Script{Event: event, RunAs: r.text(values["runas"], where+".runas")}
	location, inside := inBundle(r.required(values, n, where, "location"))
	if !inside || location == "." {
		r.wrong(n, "want a path inside the bundle", "%s: location leads out of the bundle", where)
		return
	}
	s.Location = location
	if text := r.text(values["timeout"], where+".timeout"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 1 || seconds > maxTimeout {
			r.wrong(values["timeout"], "want seconds, 1 to 3600", "%s: timeout %q", where, clip(text))
		}
		s.Timeout = seconds
	}
	if location != "" {
		spec.Scripts = append(spec.Scripts, s)
	}
}
