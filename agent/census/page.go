package census

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"koboshi/agent/report"
)

// Page writes the view as one HTML page, which needs nothing else: no script, no other
// file, no network. source is where the records were read.
func (v View) Page(w io.Writer, source string) error {
	p := &page{to: w}
	p.print("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
	p.print("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"color-scheme\" content=\"light dark\">\n")
	p.print("<title>%s: fleet</title>\n<style>\n", v.App)
	p.raw(style)
	p.print("</style>\n</head>\n<body>\n<main>\n<h1>%s: fleet</h1>\n<p class=\"note\">%s of %s, read at %s. The records are not signed: they are hints.</p>\n",
		v.App, instances(len(v.Rows)), source, stamp(v.At))
	p.summary(v)
	p.channels(v)
	p.table(v)
	p.print("</main>\n</body>\n</html>\n")
	return p.err
}

// page escapes whatever is put into it.
type page struct {
	to  io.Writer
	err error
}

func (p *page) raw(text string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.to, text)
	}
}

// print is Printf whose texts are escaped.
func (p *page) print(format string, args ...any) {
	for i, arg := range args {
		args[i] = escape(fmt.Sprint(arg))
	}
	p.raw(fmt.Sprintf(format, args...))
}

var entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// escape makes a text fit for the content of an element and for an attribute in quotes.
// What is not visible, such as a mark that turns the direction of writing, is replaced.
func escape(text string) string {
	visible := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	return entities.Replace(visible)
}

func instances(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

// summary is how many there are of each status.
func (p *page) summary(v View) {
	p.print("<ul class=\"sum\" aria-label=\"How many instances have each status\">\n")
	all := Statuses()
	for i := len(all) - 1; i >= 0; i-- {
		if n := v.Counts[all[i]]; n > 0 {
			p.print("<li class=\"%s\"><b>%v</b> %s</li>\n", all[i], n, all[i])
		}
	}
	p.print("</ul>\n")
}

// channels has a bar for each: what its instances run.
func (p *page) channels(v View) {
	for _, c := range v.Channels {
		counts, total := map[Status]int{}, 0
		for _, r := range v.Rows {
			if r.Channel == c.Channel && r.Status != Left && r.Status != Ended {
				counts[r.Status]++
				total++
			}
		}
		p.print("<section>\n<h2>channel %s</h2>\n<p>%s", c.Channel, c.Version)
		if c.Next != nil {
			p.print(", and %s for %v %% of the instances", c.Next.Version, c.Next.Percent)
		}
		p.print("</p>\n")
		if total > 0 {
			p.bar(counts, total)
		}
		p.print("</section>\n")
	}
}

// bar is drawn in proportion; its label says the same in words.
func (p *page) bar(counts map[Status]int, total int) {
	var words []string
	for _, s := range Statuses() {
		if counts[s] > 0 {
			words = append(words, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	p.print("<div class=\"bar\" role=\"img\" aria-label=\"%s of %s\">", strings.Join(words, ", "), instances(total))
	for _, s := range Statuses() {
		if n := counts[s]; n > 0 {
			p.print("<span class=\"%s\" style=\"flex-grow:%v\"></span>", s, n)
		}
	}
	p.print("</div>\n<p class=\"note\">%s</p>\n", strings.Join(words, ", "))
}

// table has what needs someone first.
func (p *page) table(v View) {
	p.print("<div class=\"scroll\"><table>\n<caption>Instances</caption>\n<thead><tr>")
	for _, head := range []string{"Instance", "Status", "Release", "Channel", "Since", "Last boot", "Node id", "Group", "Zone", "Note"} {
		p.print("<th scope=\"col\">%s</th>", head)
	}
	p.print("</tr></thead>\n<tbody>\n")
	for i := len(v.Rows) - 1; i >= 0; i-- {
		r := v.Rows[i]
		p.print("<tr><th scope=\"row\"><code>%s</code></th><td><span class=\"tag %s\">%s</span></td>", r.Instance, r.Status, r.Status)
		p.print("<td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
			cmp.Or(r.Release, "-"), cmp.Or(r.Channel, "-"), Age(v.At, r.Since), r.BootText(), r.NodeText(), cmp.Or(r.Group, "-"), cmp.Or(r.AZ, "-"), r.Note())
	}
	p.print("</tbody>\n</table></div>\n")
}

// Age is how long something lasts at a time: "-" where it is not known since when.
func Age(now, since time.Time) string {
	d := now.Sub(since)
	switch {
	case since.IsZero() || now.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d/time.Second)))
	case d < 48*time.Hour:
		return report.Duration(d)
	}
	return fmt.Sprintf("%d d", int(d/(24*time.Hour)))
}

// BootText is how the last boot ended: "12.3 s", or its exit code too.
func (r Row) BootText() string {
	if r.Boot == nil {
		return "-"
	}
	took := report.Duration(time.Duration(min(r.Boot.MS, 1<<40)) * time.Millisecond)
	if r.Boot.Code != 0 {
		return fmt.Sprintf("exit %d, %s", r.Boot.Code, took)
	}
	return took
}

// NodeText is the node id.
func (r Row) NodeText() string {
	if r.NodeID == nil {
		return "-"
	}
	return fmt.Sprint(*r.NodeID)
}

// Note is what else there is to say.
func (r Row) Note() string {
	var notes []string
	add := func(when bool, format string, args ...any) {
		if when {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	add(r.Status == Behind || r.Status == Bad && r.Wants != "" && r.Wants != r.About && r.Wants != r.Release, "wants %s", r.Wants)
	add(r.Rollout && r.Status != Left && r.Status != Ended, "in the rollout")
	add(r.Status == Bad || r.About != "" && r.Status != Left && r.Status != Unknown, "%s failed", cmp.Or(r.About, r.Release))
	add(r.Verdict == report.Held || r.Verdict == report.Stale, "%s", r.Verdict)
	add(r.Why != "", "%s", r.Why)
	add(r.Status == Unknown && r.Why == "", "no record")
	add(r.State != "" && r.State != "InService", "%s", r.State)
	return strings.Join(notes, "; ")
}

// style is readable without colour, and in the dark. The colours of text have a contrast
// of at least 4.5 to 1.
const style = `:root{--bg:#fff;--fg:#1a1f24;--dim:#59636e;--line:#d1d9e0;--ok:#136f2c;--behind:#7a4b00;--unknown:#59407d;--failed:#b3160d;--gone:#59636e;--stripe:#f6f8fa}
@media (prefers-color-scheme:dark){:root{--bg:#0f1418;--fg:#e6edf3;--dim:#9aa5b1;--line:#313a44;--ok:#56d364;--behind:#e3b341;--unknown:#c8a6ff;--failed:#ff8f87;--gone:#9aa5b1;--stripe:#171d23}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
main{max-width:90rem;margin:0 auto;padding:1.5rem}
h1{margin:0;font-size:1.6rem}
h2{margin:0;font-size:1.05rem}
section{margin:1.2rem 0;padding:1rem;border:1px solid var(--line);border-radius:8px}
section p{margin:.2rem 0}
.note{color:var(--dim);margin:.3rem 0}
.sum{display:flex;flex-wrap:wrap;gap:.8rem;list-style:none;margin:1.2rem 0;padding:0}
.sum li{min-width:7rem;padding:.6rem .9rem;border:1px solid var(--line);border-left:6px solid currentColor;border-radius:8px}
.sum b{display:block;font-size:1.5rem;line-height:1.2}
.bar{display:flex;height:1rem;gap:2px;margin:.5rem 0;border-radius:4px;overflow:hidden}
.bar span{min-width:4px;background:currentColor}
.ok{color:var(--ok)}.behind{color:var(--behind)}.unknown{color:var(--unknown)}.failed{color:var(--failed)}.gone,.ended{color:var(--gone)}
.tag{padding:.05rem .5rem;border:1px solid currentColor;border-radius:1rem;white-space:nowrap}
.scroll{overflow-x:auto}
table{width:100%;border-collapse:collapse}
caption{text-align:left;font-weight:600;padding:.5rem 0}
th,td{padding:.4rem .7rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line);unicode-bidi:isolate;white-space:nowrap}
td:last-child{width:100%;min-width:16rem;white-space:normal;overflow-wrap:anywhere}
thead th{color:var(--dim);font-weight:600}
tbody th{font-weight:400;white-space:nowrap}
tbody tr:nth-child(even){background:var(--stripe)}
code{font:13px/1.5 ui-monospace,"DejaVu Sans Mono",monospace}
@media print{section{break-inside:avoid}}
`
