package picture

import (
	"slices"
	"strings"
	"time"

	"koboshi/agent/report"
)

// Class says what kind of work a row shows, for drawings that have colours.
type Class string

// The classes of rows.
const (
	ClassStep     Class = "step"     // work on the machine itself
	ClassTransfer Class = "transfer" // moved bytes
	ClassSystem   Class = "system"   // what ran outside koboshi: kernel, userspace, cloud-init
	ClassFailed   Class = "failed"   // ended in an error
)

// Row is one bar of the picture: a name, when it began and ended, and a short
// remark. An End at or before Start is a moment without duration. Rows of
// other origins can be added to those of a report: the earliest Start is the
// left edge.
type Row struct {
	Name       string
	Start, End time.Time
	Detail     string
	Class      Class
}

// Duration is how long the row lasted, never negative.
func (r Row) Duration() time.Duration { return max(r.End.Sub(r.Start), 0) }

// Rows turns the steps of a report into rows, in the order of starting.
func Rows(r report.Report) []Row {
	rows := make([]Row, 0, len(r.Steps))
	for _, s := range r.Steps {
		rows = append(rows, Row{
			Name:   s.Name,
			Start:  s.Started,
			End:    s.Started.Add(duration(s)),
			Detail: detail(s),
			Class:  classOf(s),
		})
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return a.Start.Compare(b.Start) })
	return rows
}

// duration keeps what a report claims within what a time.Duration can hold.
func duration(s report.Step) time.Duration {
	const longest = 365 * 24 * time.Hour
	return time.Duration(min(max(s.MS, 0), longest.Milliseconds())) * time.Millisecond
}

// rated is how many bytes a rate takes: below it says more about latency.
const rated = 1_000_000

// detail puts first what is out of the ordinary, since narrow pictures cut the
// end off.
func detail(s report.Step) string {
	var parts []string
	parts = append(parts, s.Tries())
	if s.Bytes > 0 {
		parts = append(parts, report.Bytes(s.Bytes))
	}
	if s.Bytes >= rated {
		parts = append(parts, report.Rate(s.Bytes, duration(s)))
	}
	parts = append(parts, s.Note, s.Error)
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	return strings.Join(parts, ", ")
}

func classOf(s report.Step) Class {
	switch {
	case s.Error != "":
		return ClassFailed
	case s.Bytes > 0:
		return ClassTransfer
	default:
		return ClassStep
	}
}

// span returns the beginning and the length of all rows together.
func span(rows []Row) (time.Time, time.Duration) {
	if len(rows) == 0 {
		return time.Time{}, 0
	}
	first, last := rows[0].Start, rows[0].Start
	for _, r := range rows {
		if r.Start.Before(first) {
			first = r.Start
		}
		if end := r.Start.Add(r.Duration()); end.After(last) {
			last = end
		}
	}
	return first, last.Sub(first)
}

// place scales a row to a picture of the given size: where it begins and ends.
func place(r Row, first time.Time, total time.Duration, size float64) (from, to float64) {
	if total <= 0 {
		return 0, 0
	}
	offset := r.Start.Sub(first)
	from = size * (float64(offset) / float64(total))
	to = size * ((float64(offset) + float64(r.Duration())) / float64(total))
	return min(from, size), min(to, size)
}
