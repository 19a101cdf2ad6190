package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/artifacts"
)

// behaviour is how a release is started and checked: the flags --hook and
// --health, each key=VALUE with the keys of the manifest.
type behaviour struct {
	hooks, health []string
}

func (b *behaviour) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&b.hooks, "hook", nil, "`NAME=COMMAND`: run it at pre_start, post_start or pre_stop; a path in the tree and its arguments, split at spaces")
	cmd.Flags().StringArrayVar(&b.health, "health", nil, "`KEY=VALUE` over the instance's [health]: url, status, tcp, command (as of --hook), timeout or bake")
}

func (b behaviour) parse() (hooks artifacts.Hooks, check artifacts.Health, err error) {
	for _, text := range b.hooks {
		if err := setHook(&hooks, text); err != nil {
			return hooks, check, usage(fmt.Errorf("--hook %q: %w", text, err))
		}
	}
	given := map[string]bool{}
	for _, text := range b.health {
		key, _, _ := strings.Cut(text, "=")
		if given[key] {
			return hooks, check, usage(fmt.Errorf("--health %q: %s is given twice", text, key))
		}
		given[key] = true
		if err := setHealth(&check, text); err != nil {
			return hooks, check, usage(fmt.Errorf("--health %q: %w", text, err))
		}
	}
	if err := errors.Join(hooks.Validate(), check.Validate()); err != nil {
		return hooks, check, usage(err)
	}
	return hooks, check, nil
}

func setHook(h *artifacts.Hooks, text string) error {
	name, command, _ := strings.Cut(text, "=")
	commands := map[string]*[]string{"pre_start": &h.PreStart, "post_start": &h.PostStart, "pre_stop": &h.PreStop}
	argv, known := commands[name]
	switch {
	case !known:
		return errors.New("want pre_start, post_start or pre_stop")
	case *argv != nil:
		return fmt.Errorf("%s is given twice", name)
	}
	if *argv = strings.Fields(command); len(*argv) == 0 {
		return errors.New("want a command")
	}
	return nil
}

func setHealth(h *artifacts.Health, text string) (err error) {
	key, value, _ := strings.Cut(text, "=")
	if slices.Contains([]string{"host", "ca", "insecure", "listener"}, key) {
		return errors.New("only an instance's configuration says that")
	}
	if value == "" {
		return errors.New("want KEY=VALUE")
	}
	switch key {
	case "url":
		h.URL, err = value, artifacts.CheckProbeURL(value)
	case "status":
		err = h.Status.UnmarshalText([]byte(value))
	case "tcp":
		h.TCP, err = value, artifacts.CheckProbeTCP(value)
	case "command":
		h.Command = strings.Fields(value)
	case "timeout":
		h.Timeout, err = duration(value)
	case "bake":
		h.Bake, err = duration(value)
	default:
		err = errors.New("want url, status, tcp, command, timeout or bake")
	}
	return err
}

func duration(text string) (artifacts.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("want more than 0s")
	}
	return artifacts.Duration(d), err
}
