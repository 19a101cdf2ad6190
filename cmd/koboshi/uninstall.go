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
		Long: "Remove the binary, the unit, and the link that enables it. Configuration, keys, releases\n" +
			"and state stay, and nothing is stopped. Doing it again changes nothing." +
			exits(failure.OK, failure.Usage, failure.Disk),
		Example: "  koboshi uninstall",
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runUninstall(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.root, "root", "/", "`DIR` of the root file system to remove it from")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (c *cli) runUninstall(ctx context.Context, o installOptions) error {
	root, err := install.Open(o.root)
	if err != nil {
		return err
	}
	defer root.Close()
	changes, err := root.Uninstall()
	if err != nil {
		return err
	}
	return c.reportChanges(ctx, root, changes, o.json)
}
