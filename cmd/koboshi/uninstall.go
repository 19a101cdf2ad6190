package main

import (
	"context"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/systemd/install"
)

func (c *cli) uninstall() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "remove what install has written",
		Long: "Remove the binary, the units, and the links that enable the app's units. Configuration, keys,\n" +
			"releases and state stay, and nothing is stopped. Doing it again changes nothing. With several apps\n" +
			"it is done for the one of --config, and binary and units go with the last one." +
			exits(failure.OK, failure.Usage, failure.Disk),
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
	changes, others, err := root.Uninstall(o.app)
	if err != nil {
		return err
	}
	for _, other := range others {
		c.ui.say("binary and units stay for %s/%s.toml", install.ConfigDir, other)
	}
	return c.reportChanges(ctx, root, changes, o.json)
}
