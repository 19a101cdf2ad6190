package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/failure"
	"koboshi/agent/lease"
	"koboshi/agent/nodeid"
	"koboshi/systemd/install"
)

func (c *cli) uninstall() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "remove what install has written",
		Long: "Remove the binary, the units, and the links that enable the app's units. Configuration, keys,\n" +
			"releases and state stay, and nothing is stopped but an app that has a node id: that is given back,\n" +
			"since nothing would renew it. Doing it again changes nothing. With several apps it is done for the\n" +
			"one of --config, and binary and units go with the last one." +
			exits(failure.OK, failure.Usage, failure.Disk, failure.Activate, failure.NodeID, failure.Locked),
		Example: "  koboshi uninstall\n  koboshi uninstall --config /etc/koboshi/green.toml",
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runUninstall(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.root, "root", "/", "`DIR` of the root file system to remove it from")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (c *cli) runUninstall(ctx context.Context, o installOptions) (err error) {
	if o.app, err = installedApp(c.configFile); err != nil {
		return err
	}
	root, err := install.Open(o.root)
	if err != nil {
		return err
	}
	defer root.Close()
	if o.root == "/" {
		if err := c.giveNodeIDBack(ctx); err != nil {
			return err
		}
	}
	changes, others, err := root.Uninstall(o.app)
	if err != nil {
		return err
	}
	for _, other := range others {
		c.ui.say("binary and units stay for %s/%s.toml", install.ConfigDir, other)
	}
	return c.reportChanges(ctx, root, changes, o.json)
}

// giveNodeIDBack stops the app and releases its node id, if it has one. An id that cannot
// be released frees itself; an app that cannot be stopped is an error.
func (c *cli) giveNodeIDBack(ctx context.Context) error {
	cfg, err := c.loadConfig()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.ui.warn(fmt.Sprintf("a node id, if the app has one, is not given back, and frees itself when its lease has ended: %v", err))
		return nil
	}
	if !cfg.NodeID.On() {
		return nil
	}
	a, err := c.newAgent(ctx)
	if err != nil {
		return err
	}
	v, err := a.NodeID(ctx)
	if errors.Is(err, nodeid.ErrNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("give the node id back: %w", err)
	}
	rep, err := a.ReleaseNodeID(ctx)
	for _, w := range rep.Warnings {
		c.ui.warn(w)
	}
	if err != nil && !ended(ctx, a) {
		return fmt.Errorf("give the node id back: %w", err)
	}
	if err != nil {
		c.ui.warn(fmt.Sprintf("%s is stopped, and its node id %d frees itself when its lease has ended: %v", cfg.App, v.NodeID, err))
		return nil
	}
	c.ui.say("%s is stopped, and its node id %d given back", cfg.App, v.NodeID)
	return nil
}

// ended reports whether the app is known to use its node id no more.
func ended(ctx context.Context, a *agent.Agent) bool {
	v, err := a.NodeID(ctx)
	return errors.Is(err, nodeid.ErrNone) || err == nil && v.Phase == lease.Stopped
}
