package picture

import (
	"strings"
	"time"
	"unicode/utf8"

	"koboshi/agent/report"
)

// Glyphs chooses the characters of a picture.
type Glyphs int

// The sets of characters a terminal may have.
const (
	Blocks Glyphs = iota // Unicode block elements
	ASCII
)

// minWidth is the narrowest picture there is, in columns.
const minWidth = 40

// Text draws the rows as bars along one line of time, a row a line, for a
// terminal of the given width in columns (40 or more): failure mark, name,
// bar, duration, detail. The last line is the scale, from the earliest start
// to the latest end. A row without duration is a tick. There are no colours
// and no trailing spaces; without rows there is nothing.
func Text(rows []Row, width int, g Glyphs) string {
	if len(rows) == 0 {
		return ""
	}
	first, total := span(rows)
	c := columnsFor(rows, total, max(width, minWidth))
	var out strings.Builder
	for _, r := range rows {
		from, to := place(r, first, total, float64(8*c.bar))
		c.write(&out, g, line{
			mark:     g.mark(r.Class),
			name:     r.Name,
			bar:      g.bar(c.bar, from, to, r.Duration() == 0),
			duration: report.Duration(r.Duration()),
			detail:   r.Detail,
		})
	}
	c.write(&out, g, line{mark: " ", name: "total", bar: g.scale(c.bar), duration: report.Duration(total)})
	return out.String()
}

// line is the text of one line; bar is already as wide as its column.
type line struct{ mark, name, bar, duration, detail string }

// columns are the widths of a picture's columns.
type columns struct{ name, bar, duration, detail int }

const (
	maxName = 16
	gaps    = 2 + 1 + 1 + 2 // the mark with its space, and the spaces between columns
)

// columnsFor gives names and durations what they need, the details what they
// need as long as the bars keep a third of the line, and the bars the rest.
func columnsFor(rows []Row, total time.Duration, width int) columns {
	c := columns{name: len("total"), duration: len(report.Duration(total))}
	for _, r := range rows {
		c.name = max(c.name, utf8.RuneCountInString(r.Name))
		c.duration = max(c.duration, len(report.Duration(r.Duration())))
		c.detail = max(c.detail, utf8.RuneCountInString(r.Detail))
	}
	c.name = min(c.name, maxName)
	rest := width - gaps - c.name - c.duration
	c.detail = min(c.detail, max(rest-width/3, 0))
	c.bar = rest - c.detail
	return c
}

func (c columns) write(out *strings.Builder, g Glyphs, l line) {
	text := l.mark + " " + pad(g.cut(l.name, c.name), c.name) +
		" " + l.bar +
		" " + strings.Repeat(" ", c.duration-len(l.duration)) + l.duration +
		"  " + g.cut(l.detail, c.detail)
	out.WriteString(strings.TrimRight(text, " ") + "\n")
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", width-utf8.RuneCountInString(text))
}

func (g Glyphs) cut(text string, width int) string {
	runes := []rune(text)
	switch {
	case len(runes) <= width:
		return text
	case width < 1:
		return ""
	case g == ASCII:
		return string(runes[:width-1]) + "~"
	default:
		return string(runes[:width-1]) + "…"
	}
}

func (g Glyphs) mark(c Class) string {
	switch {
	case c != ClassFailed:
		return " "
	case g == ASCII:
		return "!"
	default:
		return "✗"
	}
}

func (g Glyphs) scale(width int) string {
	if g == ASCII {
		return "|" + strings.Repeat("-", width-2) + "|"
	}
	return "├" + strings.Repeat("─", width-2) + "┤"
}
