//go:build bench

package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

var errMissing = errors.New("not installed")

// result is what was measured of one workload.
type result struct {
	workload *workload
	names    []string // of contenders and limits, as they are listed
	samples  map[string][]sample
}

// median is of the runs that succeeded; false if there is none. Each of its
// numbers is a median by itself, but for the memory, which is the peak.
func (r *result) median(name string) (m sample, ok bool) {
	var walls, cpus, started, answered []time.Duration
	for _, s := range r.samples[name] {
		if s.err == nil {
			walls, cpus, started, answered = append(walls, s.wall), append(cpus, s.cpu), append(started, s.started), append(answered, s.answered)
			m.rss = max(m.rss, s.rss)
		}
	}
	if len(walls) == 0 {
		return m, false
	}
	m.wall, m.cpu, m.started, m.answered = middle(walls), middle(cpus), middle(started), middle(answered)
	return m, true
}

func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func (r *result) failed(name string) (n int) {
	for _, s := range r.samples[name] {
		if s.err != nil {
			n++
		}
	}
	return n
}

func isLimit(name string) bool { return strings.HasPrefix(name, "limit: ") }

// limit is the slowest of the steps that no program can avoid, and its name.
func (r *result) limit() (name string, limit time.Duration) {
	for _, n := range r.names {
		if m, ok := r.median(n); ok && isLimit(n) && m.wall > limit {
			name, limit = strings.TrimPrefix(n, "limit: "), m.wall
		}
	}
	return name, limit
}

// markdown is one table of all results.
func markdown(results []*result) string {
	var b strings.Builder
	b.WriteString("| artifact, origin | how | time | koboshi is | CPU | koboshi needs | peak RSS | of the limit | failed |\n")
	b.WriteString("|---|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range results {
		title := r.workload.title()
		for _, name := range r.names {
			if !isLimit(name) {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", title, name, r.row(name))
				title = ""
			}
		}
		if what, limit := r.limit(); limit > 0 {
			fmt.Fprintf(&b, "| | *limit: %s* | %s | | | | | 1.00 | |\n", what, seconds(limit))
		}
	}
	return b.String()
}

func (r *result) row(name string) string {
	m, ok := r.median(name)
	failed := fmt.Sprintf("%d of %d", r.failed(name), len(r.samples[name]))
	if !ok {
		if errors.Is(r.samples[name][0].err, errMissing) {
			failed = errMissing.Error()
		}
		return " | | | | | | " + failed
	}
	_, limit := r.limit()
	faster, cheaper := "", ""
	if ours, ok := r.median(koboshi); ok && name != koboshi {
		faster = fmt.Sprintf("%.1fx as fast", m.wall.Seconds()/ours.wall.Seconds())
		cheaper = fmt.Sprintf("%.2f of it", ours.cpu.Seconds()/m.cpu.Seconds())
	}
	multiple := ""
	if limit > 0 {
		multiple = fmt.Sprintf("%.2f", m.wall.Seconds()/limit.Seconds())
	}
	return fmt.Sprintf("%s | %s | %s | %s | %d MiB | %s | %s", seconds(m.wall), faster, seconds(m.cpu), cheaper,
		m.rss>>20, multiple, failed)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
