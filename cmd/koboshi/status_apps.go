package main

import (
	"context"
	"fmt"

	"koboshi/agent/failure"
	"koboshi/agent/report"
)

// unrecorded is an app that there is nothing to show of, as status --json prints it.
type unrecorded struct {
	Config string        `json:"config"`
	Error  *report.Error `json:"error"`
}

// showApps shows several apps, one after the other. Whatever is the matter with one
// of them, the others are shown; then it ends as the first that failed.
func (c *cli) showApps(ctx context.Context, o statusOptions) (failed error) {
	if o.svg != "" || o.against != "" {
		return failure.WithHint(usage(fmt.Errorf("%d apps are configured here: --svg and --against are for one", len(o.apps))), "choose it with --config "+o.apps[0])
	}
	all := []any{}
	for i, file := range o.apps {
		c.configFile = file
		last, err := c.recorded(ctx, o.command)
		last.Config = file
		switch {
		case err != nil && failed == nil:
			failed = fmt.Errorf("%s: %w", file, err)
			fallthrough
		case err != nil:
			all = append(all, unrecorded{file, failure.Explain(err)})
		default:
			all = append(all, last)
		}
		if o.json {
			continue
		}
		if i > 0 {
			c.ui.printf("\n")
		}
		c.ui.row("config", "%s", file)
		if err != nil {
			c.ui.errorRows(failure.Explain(err))
		} else if err := c.showRecorded(ctx, o, last); err != nil {
			return err
		}
	}
	if o.json {
		if err := c.ui.printJSON(all); err != nil {
			return err
		}
	}
	return failed
}
