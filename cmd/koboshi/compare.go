package main

import (
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"koboshi/agent/failure"
	"koboshi/agent/report"
)

// compareWith compares the last run with another one, such as a usual one of the group.
func (c *cli) compareWith(file string, here report.Report) error {
	data, err := readArgument(file)
	if err != nil {
		return usage(err)
	}
	there, err := report.Parse(data)
	if err != nil {
		return failure.WithHint(usage(fmt.Errorf("--against %s: %w", file, err)), "want the output of koboshi status --json")
	}
	return c.ui.comparison(here, there)
}

// comparison prints how long each step took in both runs. Repetitions of a step
// are added up.
func (u *ui) comparison(here, there report.Report) error {
	mine, theirs := durations(here), durations(there)
	w := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	row := func(name, a, b, ratio string) {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, a, b, ratio) // Flush reports it
	}
	row("step", "here", "there", "ratio")
	for _, name := range stepNames(here, there) {
		a, inMine := mine[name]
		b, inTheirs := theirs[name]
		row(name, orDash(a, inMine), orDash(b, inTheirs), ratio(a, b, inMine && inTheirs))
	}
	row("total", orDash(here.MS, true), orDash(there.MS, true), ratio(here.MS, there.MS, true))
	return w.Flush()
}

func durations(r report.Report) map[string]int64 {
	out := map[string]int64{}
	for _, s := range r.Steps {
		out[s.Name] += s.MS
	}
	return out
}

// stepNames are those of both reports, in the order in which they ran.
func stepNames(reports ...report.Report) (names []string) {
	for _, r := range reports {
		for _, s := range r.Steps {
			if !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

func orDash(ms int64, known bool) string {
	if !known {
		return "-"
	}
	return report.Duration(time.Duration(ms) * time.Millisecond)
}

func ratio(a, b int64, known bool) string {
	if !known || b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}
