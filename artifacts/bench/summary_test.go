//go:build bench

package bench

import (
	"fmt"
	"strings"
	"time"
)

// summary is the tables of koboshi help speed, to be pasted there.
func summary(results []*result) string {
	var unpacked, mounted, answers strings.Builder
	compared := len(compared(results)) > 0
	head, line := "", ""
	if compared {
		head, line = " rclone | curl, in a pipe |", "---:|---:|"
	}
	for _, r := range results {
		unpacked.WriteString(r.unpacked(compared))
		mounted.WriteString(r.mounted())
		answers.WriteString(r.answers())
	}
	return "| artifact | koboshi | at a launch, to the app's start | aws |" + head + " the limit: what and time | CPU of aws's | peak memory |\n" +
		"|---|---:|---:|---:|" + line + "---|---:|---:|\n" + unpacked.String() +
		"\n| artifact | way | installed | faster than aws | CPU of aws's | peak memory |\n|---|---|---:|---:|---:|---:|\n" + mounted.String() +
		"\n| artifact | way | app started | first answer | CONTINUE |\n|---|---|---:|---:|---:|\n" + answers.String()
}

// compared are the results that have more scripts than that with aws.
func compared(results []*result) (all []*result) {
	for _, r := range results {
		if len(r.samples[scripts[1].name])+len(r.samples[scripts[3].name]) > 0 {
			all = append(all, r)
		}
	}
	return all
}

// short is a title for these tables.
func (w *workload) short() string {
	parts := []string{w.input}
	if w.format == "tar.gz" {
		parts = append(parts, w.format)
	}
	parts = append(parts, w.sizes())
	switch w.origin {
	case secure:
		parts = append(parts, "by TLS")
	case faulty:
		parts = append(parts, "5 % of requests 503 and 5 % reset")
	}
	if w.disk == gp3 {
		parts = append(parts, "gp3")
	}
	return strings.Join(parts, ", ")
}

func (r *result) unpacked(compared bool) string {
	ours, ok := r.median(koboshi)
	theirs, has := r.median(aws)
	if !ok {
		return ""
	}
	limit, cpu, others := "", "", ""
	if what, most := r.limit(); most > 0 {
		limit = what + " " + seconds(most)
	}
	if has {
		cpu = fmt.Sprintf("%.2f", ours.cpu.Seconds()/theirs.cpu.Seconds())
	}
	if compared {
		others = fmt.Sprintf(" %s | %s |", r.times(scripts[1].name, ours), r.times(scripts[3].name, ours))
	}
	boot, _ := r.median(atLaunch)
	return fmt.Sprintf("| %s | %s | %s | %s |%s %s | %s | %d MiB |\n", r.workload.short(), seconds(ours.wall), against(boot.started, theirs.wall),
		r.times(aws, ours), others, limit, cpu, ours.rss>>20)
}

// times is the time of a contender and how many times ours that is.
func (r *result) times(name string, ours sample) string {
	m, ok := r.median(name)
	n, all := r.failed(name), len(r.samples[name])
	switch {
	case !ok:
		return ""
	case n > 0:
		return fmt.Sprintf("%s (%d of %d failed)", seconds(m.wall), n, all)
	}
	return fmt.Sprintf("%s (%.1fx)", seconds(m.wall), m.wall.Seconds()/ours.wall.Seconds())
}

// against is our time, and how many times that the other one is.
func against(ours, theirs time.Duration) string {
	if ours == 0 || theirs == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%.1fx)", seconds(ours), theirs.Seconds()/ours.Seconds())
}

func (r *result) mounted() string {
	theirs, ok := r.median(aws)
	if !ok || len(r.workload.images) == 0 {
		return ""
	}
	title := r.workload.short()
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | aws, tar | %s | | 1 | %d MiB |\n", title, seconds(theirs.wall), theirs.rss>>20)
	for _, name := range r.names {
		if m, ok := r.median(name); ok && strings.HasPrefix(name, koboshi) && !strings.HasPrefix(name, atLaunch) {
			fmt.Fprintf(&b, "| | %s | %s | %.1fx | %.2f | %d MiB |\n", name, seconds(m.wall), theirs.wall.Seconds()/m.wall.Seconds(), m.cpu.Seconds()/theirs.cpu.Seconds(), m.rss>>20)
		}
	}
	return b.String()
}

func (r *result) answers() string {
	if len(r.workload.images) == 0 {
		return ""
	}
	theirs, _ := r.median(aws)
	var b strings.Builder
	title := r.workload.short()
	for _, name := range r.names {
		m, ok := r.median(name)
		if !ok || m.answered == 0 && m.started == 0 {
			continue
		}
		started, done := against(m.started, theirs.wall), seconds(m.wall)
		if name == aws {
			started, done = seconds(theirs.wall), ""
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", title, name, started, against(m.answered, theirs.answered), done)
		title = ""
	}
	return b.String()
}
