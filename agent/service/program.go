package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"koboshi/agent/health"
	"koboshi/agent/process"
	"koboshi/systemd"
)

// program is a command that runs as the app's user, with what its unit needs to know.
type program struct {
	process.Command
	unit  string // the name of its transient unit
	about string
	quiet bool   // runs too often to be worth a line in the journal
	late  bool   // runs also while the machine shuts down
	user  string // "" = as hooks do
	tree  string // of a hook: what it has to see as current; "" = what is current
}

// RunHook runs a hook to its end, as the app's user. However it ends, nothing
// that it started goes on running, and neither does a hook that a killed
// koboshi left behind in the same unit. An error includes the last line of the
// hook's output.
func (s Service) RunHook(ctx context.Context, h Hook) error {
	return s.runProgram(ctx, program{
		unit:  "koboshi-" + s.config.App + "-hook.service",
		about: fmt.Sprintf("%s of %s %s", h.Name, s.config.App, h.Version),
		tree:  h.Dir,
		Command: process.Command{
			Args: inTree(h.Dir, h.Args), Dir: h.Dir, Env: h.Env,
			Timeout: time.Duration(s.config.Hooks.Timeout),
		},
	}, func(line string) { s.output(h, line) })
}

// Notify runs the configuration's notify command to its end, as the user of
// hooks, with a run's report on its standard input. Its unit has our process id in
// its name: other runs go on meanwhile.
func (s Service) Notify(ctx context.Context, report []byte) error {
	return s.runProgram(ctx, program{
		unit:  fmt.Sprintf("koboshi-%s-notify-%d.service", s.config.App, os.Getpid()),
		about: "notify.command of " + s.config.App,
		Command: process.Command{
			Args: s.config.Notify.Command, Dir: "/", Input: report,
			Timeout: time.Duration(s.config.Notify.Timeout),
		},
	}, func(line string) { s.output(Hook{Name: "notify"}, line) })
}

// askInstalled runs the configuration's health command: a program in our PATH, or
// where it has a slash a path, from the current release's tree on.
func (s Service) askInstalled(ctx context.Context, args []string) error {
	if strings.Contains(args[0], "/") && !filepath.IsAbs(args[0]) {
		args = inTree(current(s.config), args)
	}
	return s.ask(ctx, args)
}

// ask runs a health command as the app's user, in the current tree. Its unit has
// our process id in its name: doctor may ask while a sync does.
func (s Service) ask(ctx context.Context, args []string) error {
	err := s.runProgram(ctx, program{
		unit:    fmt.Sprintf("koboshi-%s-health-%d.service", s.config.App, os.Getpid()),
		about:   "health of " + s.config.App,
		quiet:   true,
		Command: process.Command{Args: args, Dir: current(s.config), Timeout: health.DefaultProbeTimeout},
	}, func(string) {})
	if errors.Is(err, systemd.ErrDisconnected) { // the app was not asked
		err = fmt.Errorf("%w: %w", health.ErrUnknown, err)
	}
	return err
}

func (s Service) runProgram(ctx context.Context, p program, print func(line string)) error {
	out := &lines{print: print}
	p.Output = out
	return out.explain(s.backend.run(ctx, p))
}

// inTree makes the first argument, a path inside the tree, absolute.
func inTree(dir string, args []string) []string {
	return append([]string{filepath.Join(dir, args[0])}, args[1:]...)
}

// systemEnv is what a command gets of our environment: enough to find programs,
// and nothing that could be a credential.
func systemEnv() []string { return inherited("PATH", "HOME", "LANG", "TZ") }

func inherited(names ...string) (env []string) {
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+strings.ToValidUTF8(value, ""))
		}
	}
	return env
}

// merged are variables without a name that is there twice, which systemd refuses. The
// last value counts.
func merged(lists ...[]string) (env []string) {
	at := map[string]int{}
	for _, variable := range slices.Concat(lists...) {
		name, _, _ := strings.Cut(variable, "=")
		if i, found := at[name]; found {
			env[i] = variable
			continue
		}
		at[name] = len(env)
		env = append(env, variable)
	}
	return env
}
