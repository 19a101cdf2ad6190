//go:build bench

package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// A plot has two panels: the time of single files against their size, both
// logarithmic, and for every workload how many times as fast as aws everything is.
const (
	panelWidth  = 420.0
	panelHeight = 300.0
	margin      = 60.0
	barHeight   = 11.0
)

var colours = []string{"#c0392b", "#2c3e50", "#2980b9", "#8e44ad", "#7f8c8d", "#27ae60"}

func plot(results []*result) string {
	left, right := lines(results), bars(results)
	height := max(panelHeight, barsHeight(results)) + 2*margin
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" font-family="sans-serif" font-size="11">`+
		`<rect width="100%%" height="100%%" fill="white"/><g transform="translate(%.0f %.0f)">%s</g><g transform="translate(%.0f %.0f)">%s</g></svg>`+"\n",
		2*panelWidth+5*margin, height, margin, margin, left, panelWidth+2*margin, margin, right)
}

// axis maps values onto a logarithmic axis of some length.
type axis struct{ low, high, length float64 }

func (a axis) at(v float64) float64 {
	return a.length * math.Log(v/a.low) / math.Log(a.high/a.low)
}

// lines is the left panel.
func lines(results []*result) string {
	var files []*result
	for _, r := range results {
		if r.workload.format == "file" {
			files = append(files, r)
		}
	}
	x := axis{10e6, 2e9, panelWidth}
	y := axis{0.05, 20, panelHeight}
	var b strings.Builder
	text(&b, 0, -30, "", "time of one file against its size, s3 shape")
	for _, size := range []float64{16, 128, 1024} {
		rule(&b, x.at(size*1e6), 0, x.at(size*1e6), panelHeight)
		text(&b, x.at(size*1e6), panelHeight+15, "middle", fmt.Sprintf("%.0f MB", size))
	}
	for _, t := range []float64{0.1, 0.3, 1, 3, 10} {
		rule(&b, 0, panelHeight-y.at(t), panelWidth, panelHeight-y.at(t))
		text(&b, -6, panelHeight-y.at(t)+4, "end", fmt.Sprintf("%g s", t))
	}
	for i, name := range plotted(files) {
		var points []string
		for _, r := range files {
			if m, ok := r.time(name); ok {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(float64(r.workload.plain)), panelHeight-y.at(m)))
			}
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`, colours[i%len(colours)], strings.Join(points, " "))
		fmt.Fprintf(&b, `<rect x="8" y="%d" width="10" height="3" fill="%s"/>`, 8+14*i, colours[i%len(colours)])
		text(&b, 24, float64(13+14*i), "", name)
	}
	return b.String()
}

// bars is the right panel.
func bars(results []*result) string {
	x := axis{0.3, 30, panelWidth}
	var b strings.Builder
	text(&b, 0, -30, "", "times as fast as aws, sha256sum, tar")
	for _, v := range []float64{0.5, 1, 2, 5, 10, 20} {
		rule(&b, x.at(v), -8, x.at(v), barsHeight(results))
		text(&b, x.at(v), -12, "middle", fmt.Sprintf("%gx", v))
	}
	y := 0.0
	for _, r := range results {
		text(&b, 0, y+10, "", r.workload.title())
		y += 14
		for i, bar := range r.bars() {
			length := max(1, x.at(bar.times))
			fmt.Fprintf(&b, `<rect x="0" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, y, length, barHeight-1, colours[i%len(colours)])
			text(&b, length+4, y+9, "", fmt.Sprintf("%s, %.1f", bar.name, bar.times))
			y += barHeight
		}
		y += 10
	}
	return b.String()
}

// bar is a way that took a part of the time of aws.
type bar struct {
	name  string
	times float64
}

// bars are those of the ways that did not fail, of koboshi at a launch until the app
// was started.
func (r *result) bars() (all []bar) {
	theirs, ok := r.median(aws)
	if !ok {
		return nil
	}
	for _, name := range r.names {
		m, ok := r.median(name)
		if !ok || isLimit(name) || name == aws {
			continue
		}
		took := m.wall
		if m.started > 0 {
			took = m.started
		}
		all = append(all, bar{name, theirs.wall.Seconds() / took.Seconds()})
	}
	return all
}

func barsHeight(results []*result) (height float64) {
	for _, r := range results {
		height += 24 + barHeight*float64(len(r.bars()))
	}
	return height
}

// plotted are the contenders in their order, and the limit.
func plotted(results []*result) (names []string) {
	for _, r := range results[:min(1, len(results))] {
		for _, name := range r.names {
			if !isLimit(name) {
				names = append(names, name)
			}
		}
	}
	return append(names, "limit")
}

// time is a contender's, or the limit's, in seconds.
func (r *result) time(name string) (float64, bool) {
	if name == "limit" {
		_, limit := r.limit()
		return limit.Seconds(), limit > 0
	}
	m, ok := r.median(name)
	return m.wall.Seconds(), ok
}

func text(b *strings.Builder, x, y float64, anchor, what string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(what))
}

func rule(b *strings.Builder, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#ddd"/>`, x1, y1, x2, y2)
}
