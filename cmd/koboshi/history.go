package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/report"
)

func (c *cli) history() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history",
		Short: "list what ran here, when, and why",
		Long: "List the last hundred runs of boot, sync, rollback and prebake, and each hold and its end,\n" +
			"the latest first: who ran it, why, and what went wrong." + exits(failure.OK, failure.Usage, failure.Configuration, failure.Resolve, failure.Disk),
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.runHistory(asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *cli) runHistory(asJSON bool) (err error) {
	cfg, err := c.loadConfig()
	if err != nil {
		return err
	}
	dir, err := os.OpenRoot(cfg.State.Dir)
	if err != nil {
		return nothingHere(err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	runs, err := report.LoadHistory(dir)
	if err != nil {
		return nothingHere(err)
	}
	if asJSON {
		return c.ui.printJSON(runs)
	}
	return c.ui.listRuns(runs)
}

func (u *ui) listRuns(runs []report.Run) error {
	if len(runs) == 0 {
		u.say("koboshi has not run here yet")
	}
	w := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	for _, r := range runs {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Started.Format(time.RFC3339), r.Command, cmp.Or(r.Verdict, "-"), orNone(r.Version),
			report.Duration(time.Duration(r.MS)*time.Millisecond), why(r)) // Flush reports it
	}
	return w.Flush()
}

// why is the rest of a line of history, after its verdict: who ran it, why, and the
// error.
func why(r report.Run) string {
	var parts []string
	if r.By != "" {
		parts = append(parts, "by "+r.By+untilText(r.Until))
	}
	if r.Drain != "" {
		parts = append(parts, r.Drain)
	}
	if r.NodeID != nil {
		parts = append(parts, fmt.Sprintf("node id %d", *r.NodeID))
	}
	if r.Reason != "" {
		parts = append(parts, r.Reason)
	}
	if r.Target != "" && r.Target != r.Version {
		parts = append(parts, "wanted "+r.Target)
	}
	if r.Error != nil {
		parts = append(parts, r.Error.Message)
	}
	return strings.Join(parts, ": ")
}

func orNone(version string) string {
	if version == "" {
		return "none"
	}
	return version
}
