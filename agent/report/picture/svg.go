package picture

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"slices"
	"time"

	"koboshi/agent/report"
)

// The measures of the drawing, in pixels.
const (
	svgWidth    = 960
	svgMargin   = 24
	svgLeft     = 152 // where the plot begins
	svgPlot     = 448 // how wide it is
	svgDuration = 684 // where durations end
	svgDetail   = 700 // where details begin
	svgTop      = 76  // where the first row begins, without notes
	svgNote     = 18  // how much each line of a note moves it down
	svgRow      = 26
	svgBar      = 16
	svgFoot     = 48
)

// Texts are cut by count, because an SVG cannot measure them.
const (
	svgTitleRunes  = 96
	svgNameRunes   = 18
	svgDetailRunes = 36
	svgNoteRunes   = 132
)

// svgStyle carries its own background, because the page that shows the
// drawing may be of the other colour scheme.
const svgStyle = `<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.number { font-variant-numeric: tabular-nums; text-anchor: end }
.small { font-size: 12px; fill: #59636e }
.tick { font-size: 11px; fill: #59636e; text-anchor: middle }
.page { fill: #ffffff }
.grid { stroke: #d8dee4; stroke-width: 1 }
.step { fill: #0969da }
.transfer { fill: #1a7f37 }
.system { fill: #818b98 }
.failed { fill: #cf222e }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small, .tick { fill: #9198a1 }
.page { fill: #0d1117 }
.grid { stroke: #30363d }
.step { fill: #4493f8 }
.transfer { fill: #3fb950 }
.system { fill: #767e89 }
.failed { fill: #f85149 }
}
</style>
`

// SVG writes the rows as a drawing of its own, for a post-mortem: a title, notes
// of any length beneath it, an axis of time, a bar a row coloured by class, its
// duration and detail. It
// needs no script and no font, and follows the reader's light or dark scheme.
// The error is the writer's.
func SVG(w io.Writer, title string, notes []string, rows []Row) error {
	d := drawing{rows: rows, notes: wrapped(notes)}
	d.first, d.total = span(rows)
	d.open(report.Clean(title, report.MaxText))
	d.axis()
	for i, r := range rows {
		d.row(i, r)
	}
	d.legend()
	d.printf("</svg>\n")
	if _, err := w.Write(d.out.Bytes()); err != nil {
		return fmt.Errorf("write svg: %w", err)
	}
	return nil
}

type drawing struct {
	out   bytes.Buffer
	rows  []Row
	notes []string // lines
	first time.Time
	total time.Duration
}

func (d *drawing) printf(format string, args ...any) {
	fmt.Fprintf(&d.out, format, args...)
}

// top is where the first row begins.
func (d *drawing) top() int { return svgTop + svgNote*len(d.notes) }

func (d *drawing) bottom() int { return d.top() + svgRow*len(d.rows) }

func (d *drawing) open(title string) {
	height := d.bottom() + svgFoot
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		svgWidth, height, svgWidth, height)
	d.printf("<title>%s</title>\n%s", html.EscapeString(title), svgStyle)
	d.printf(`<rect class="page" width="%d" height="%d" rx="6"/>`+"\n", svgWidth, height)
	d.text("title", svgMargin, 34, Blocks.cut(title, svgTitleRunes))
	for i, line := range d.notes {
		d.text("small", svgMargin, float64(34+svgNote*(i+1)), line)
	}
}

func (d *drawing) axis() {
	every := tickEvery(d.total)
	for i := range d.total/every + 1 {
		at := i * every
		x := float64(svgLeft)
		if d.total > 0 {
			x += svgPlot * float64(at) / float64(d.total)
		}
		d.printf(`<path class="grid" d="M%.1f %dV%d"/>`+"\n", x, d.top()-8, d.bottom()+4)
		d.text("tick", x, float64(d.top()-14), tickLabel(at))
	}
}

func (d *drawing) row(i int, r Row) {
	top := d.top() + svgRow*i
	base := float64(top + svgBar - 3)
	from, to := place(r, d.first, d.total, svgPlot)
	name, detail := report.Clean(r.Name, report.MaxText), report.Clean(r.Detail, report.MaxText)
	d.printf("<g>\n<title>%s</title>\n", html.EscapeString(r.tooltip()))
	d.text("name", svgMargin, base, Blocks.cut(name, svgNameRunes))
	d.printf(`<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n",
		r.class(), svgLeft+from, top, max(to-from, 2), svgBar)
	d.text("number", svgDuration, base, report.Duration(r.Duration()))
	d.text("small", svgDetail, base, Blocks.cut(detail, svgDetailRunes))
	d.printf("</g>\n")
}

// tooltip is the row's whole text, which the columns may have cut.
func (r Row) tooltip() string {
	text := r.Name + ": " + report.Duration(r.Duration())
	if r.Detail != "" {
		text += ", " + r.Detail
	}
	return report.Clean(text, report.MaxText)
}

// legend explains the colours, where there is more than one.
func (d *drawing) legend() {
	var used []Class
	for _, c := range []Class{ClassSystem, ClassStep, ClassTransfer, ClassFailed} {
		if slices.ContainsFunc(d.rows, func(r Row) bool { return r.class() == c }) {
			used = append(used, c)
		}
	}
	if len(used) < 2 {
		return
	}
	y := d.bottom() + svgFoot - 28
	for i, c := range used {
		x := svgLeft + 96*i
		d.printf(`<rect class="%s" x="%d" y="%d" width="12" height="12" rx="2"/>`+"\n", c, x, y)
		d.text("small", float64(x+18), float64(y+10), string(c))
	}
}

func (d *drawing) text(class string, x, y float64, text string) {
	if text != "" {
		d.printf(`<text class="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, x, y, html.EscapeString(text))
	}
}

// class is the row's class, or the plain one for a class that is not known.
func (r Row) class() Class {
	switch r.Class {
	case ClassTransfer, ClassSystem, ClassFailed:
		return r.Class
	default:
		return ClassStep
	}
}
