package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/lease"
	"koboshi/artifacts/bucket"
)

func (c *cli) nodeIDInit() *cobra.Command {
	var o idsOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "try out the table of node ids",
		Long: "Try out what node ids need of their table, on an object of its own: your rights,\n" +
			"conditional writes, and the clock. No id is written. The object stays, since no one may\n" +
			"delete anything there." +
			exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Fetch, failure.Interrupted),
		Example: "  koboshi node-id init --table s3://acme-releases/apps/web --scope web",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runNodeIDInit(cmd.Context(), o) },
	}
	return o.addTable(cmd)
}

func (c *cli) runNodeIDInit(ctx context.Context, o idsOptions) error {
	s, err := c.scopeOf(o)
	if err != nil {
		return err
	}
	t, err := openIDs(ctx, s)
	if err != nil {
		return err
	}
	prober, ok := t.(lease.Prober)
	if !ok {
		return fmt.Errorf("%s cannot be tried out", t)
	}
	if _, err := t.List(ctx, 0); err != nil && !errors.Is(err, bucket.ErrDenied) { // what is missing is a right, or all of it
		return ofTable(fmt.Errorf("try out %s: %w", t, err))
	}
	ignoreSIGPIPE()
	rows, failed := judged(lease.Probe(ctx, prober, time.Now).Checks)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if o.json {
		err = c.ui.printJSON(rows)
	} else {
		c.ui.listChecks(rows)
	}
	if err != nil || failed == 0 {
		return err
	}
	found := fmt.Errorf("%s does not do %s that node ids need", t, count(failed, "thing", "things"))
	return failure.WithHint(failure.Mark(found, failure.ErrFound), "koboshi iam-policy prints the rights that are needed; koboshi help node-ids has what else a table must do")
}
