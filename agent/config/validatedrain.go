package config

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"koboshi/artifacts"
)

// maxOnShutdown is how long a shutdown may be held up: EC2 does not wait for ever.
const maxOnShutdown = Duration(2 * time.Minute)

// targetGroup is the ARN of a target group.
var targetGroup = regexp.MustCompile(`^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:targetgroup/[A-Za-z0-9-]+/[0-9a-f]+$`)

func (c *Config) validateDrain() error {
	d := c.Drain
	for _, arn := range d.TargetGroups {
		if !targetGroup.MatchString(arn) {
			return c.at("drain.target_groups", "%q, want the ARN of a target group", arn)
		}
	}
	for _, choice := range []struct {
		key, value string
		of         []string
	}{
		{"drain.deregister", d.Deregister, []string{DeregisterNever, DeregisterSpot, DeregisterAlways}},
		{"drain.spot", d.Spot, []string{DrainOn, DrainIgnore}},
		{"drain.rebalance", d.Rebalance, []string{DrainIgnore, DrainOn}},
	} {
		if !slices.Contains(choice.of, choice.value) {
			return c.at(choice.key, "%q, want one of %q", choice.value, choice.of)
		}
	}
	if d.OnShutdown > maxOnShutdown {
		return c.at("drain.on_shutdown", "%s, want at most %s: the machine is switched off then", time.Duration(d.OnShutdown), time.Duration(maxOnShutdown))
	}
	return nil
}

// validateFlushes also holds drain.deadline against the steps whose length is
// known: the hook before the stop, then all flushes side by side.
func (c *Config) validateFlushes() error {
	need := time.Duration(c.Hooks.Timeout)
	for _, name := range slices.Sorted(maps.Keys(c.Drain.Flush)) {
		if err := c.validateFlush(name, c.Drain.Flush[name]); err != nil {
			return err
		}
		need = max(need, time.Duration(c.Hooks.Timeout)+c.Drain.Flush[name].Longest())
	}
	if deadline := time.Duration(c.Drain.Deadline); deadline <= need {
		return c.at("drain.deadline", "%s, want more than hooks.timeout and the longest flush = %s", deadline, need)
	}
	return nil
}

func (c *Config) validateFlush(name string, f Flush) error {
	prefix := "drain.flush." + name + "."
	if err := artifacts.CheckName(name); err != nil {
		return c.at(strings.TrimSuffix(prefix, "."), "%w", err)
	}
	if err := c.validateKind(prefix, f); err != nil {
		return err
	}
	if err := c.validateFlushFiles(prefix, f); err != nil {
		return err
	}
	if u, err := url.Parse(f.URL); f.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return c.at(prefix+"url", "want http://host:port/path")
	}
	if len(f.Command) > 0 && (f.Command[0] == "" || strings.Contains(f.Command[0], "/") && !path.IsAbs(f.Command[0])) {
		return c.at(prefix+"command", "%q, want a program in PATH or an absolute path", f.Command[0])
	}
	if strings.HasPrefix(f.User, "-") || strings.ContainsFunc(f.User, notInUser) {
		return c.at(prefix+"user", "%q, want the name of a user", f.User)
	}
	return c.validateTimes(prefix, f)
}

func (c *Config) validateFlushFiles(prefix string, f Flush) error {
	for _, glob := range f.Files {
		if _, err := filepath.Match(glob, "x"); err != nil || !path.IsAbs(glob) {
			return c.at(prefix+"files", "%q, want an absolute path or pattern", glob)
		}
	}
	for key, file := range map[string]string{"state": f.State, "stats": f.Stats, "log": f.Log} {
		if file != "" && (!path.IsAbs(file) || path.Clean(file) != file) {
			return c.at(prefix+key, "%q, want an absolute, clean path", file)
		}
	}
	return nil
}

// validateKind checks that a flush has the keys that its kind needs, and no other.
func (c *Config) validateKind(prefix string, f Flush) error {
	k, found := kinds()[f.Kind]
	if f.Kind == "" {
		return c.lacks(prefix, "kind", fmt.Sprintf("want one of %q", FlushKinds()))
	}
	if !found {
		err := c.at(prefix+"kind", "%q, want one of %q", f.Kind, FlushKinds())
		if e, ok := err.(*Error); ok { //nolint:errorlint // made a line above
			if near, ok := artifacts.Nearest(f.Kind, FlushKinds()); ok {
				e.Hint = fmt.Sprintf("did you mean %q?", near)
			}
		}
		return err
	}
	value, takes := reflect.ValueOf(f), f.keys()
	for field, v := range value.Fields() {
		key := field.Tag.Get("toml")
		if c.origins[prefix+key] != (Origin{}) && !slices.Contains(takes, key) {
			return c.at(prefix+key, "kind %q does not have it: it takes %q", f.Kind, takes)
		}
		if (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) && slices.Contains(k.needs, key) {
			return c.lacks(prefix, key, fmt.Sprintf("kind %q needs it: koboshi help scale-in", f.Kind))
		}
	}
	if f.Kind == FlushMetrics && len(f.Zero)+len(f.Equal) == 0 {
		return c.lacks(prefix, "zero", "name the metrics that are 0 when everything is delivered, or pairs of them in equal")
	}
	return nil
}

// A shorter timeout would end before anything can be proven.
const (
	minFluentBit = Duration(20 * time.Second)
	minMetrics   = Duration(2 * time.Second)
)

func (c *Config) validateTimes(prefix string, f Flush) error {
	if f.Timeout == 0 && f.Kind != FlushWait {
		return c.at(prefix+"timeout", "want more than 0s")
	}
	if f.Kind == FlushMetrics && (f.For == 0 || f.Timeout <= 2*f.For+minMetrics) {
		return c.at(prefix+"for", "%s, want more than 0s, and timeout longer than twice that and %s", time.Duration(f.For), time.Duration(minMetrics))
	}
	if f.Kind == FluentBit && f.Timeout < minFluentBit {
		return c.at(prefix+"timeout", "%s, want at least %s: Fluent Bit makes its numbers every 5s", time.Duration(f.Timeout), time.Duration(minFluentBit))
	}
	return nil
}

// lacks is a flush without a key, at the line of its table or of its kind.
func (c *Config) lacks(prefix, key, hint string) error {
	o := c.origins[prefix+"kind"]
	if o == (Origin{}) {
		o = c.origins[strings.TrimSuffix(prefix, ".")]
	}
	return &Error{File: o.File, Line: o.Line, Err: fmt.Errorf("%s%s is missing", prefix, key), Hint: hint}
}
