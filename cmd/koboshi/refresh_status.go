package main

import (
	"context"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
)

func (c *cli) refreshStatus() *cobra.Command {
	var f refreshFlags
	cmd := &cobra.Command{
		Use:   "status --group G",
		Short: "show the newest instance refresh of a group",
		Long: "Show how far the newest instance refresh of a group is, or how it has ended, also of one that was not\n" +
			"started by koboshi." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Fetch, failure.Interrupted),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return ofRefresh(c.runRefreshStatus(cmd.Context(), f)) },
	}
	return f.add(cmd)
}

func (c *cli) runRefreshStatus(ctx context.Context, f refreshFlags) error {
	r, err := c.refresher(ctx, f)
	if err != nil {
		return err
	}
	last, err := r.Newest(ctx)
	if err != nil {
		return err
	}
	if f.json {
		return c.ui.printJSON(refreshOf(f.group, last))
	}
	c.ui.printf("%s\n", refreshLine(f.group, last))
	return nil
}
