package help

import (
	"regexp"
	"strings"
)

// maxProse is the widest line of running text, in columns; tables may use the
// whole width.
const maxProse = 100

// Render formats a page for a terminal of width columns: headings are bold, text
// is wrapped, code is indented, tables are aligned. It knows the Markdown that
// the pages use: headings, paragraphs, lists, code, tables, bold and code spans.
func Render(markdown string, width int, colour bool) string {
	r := &renderer{width: max(width-1, 20), colour: colour}
	lines := strings.Split(strings.TrimRight(markdown, "\n"), "\n")
	for len(lines) > 0 {
		n := r.block(lines)
		lines = lines[n:]
	}
	return r.out.String()
}

type renderer struct {
	out    strings.Builder
	width  int
	colour bool
}

var item = regexp.MustCompile(`^(- |\d+\. )`)

// block renders what begins at the first line, and returns how many lines that
// was.
func (r *renderer) block(lines []string) int {
	first := lines[0]
	switch {
	case first == "":
		r.out.WriteString("\n")
		return 1
	case strings.HasPrefix(first, "```"):
		return r.fenced(lines)
	case strings.HasPrefix(first, "    "):
		r.out.WriteString(first + "\n")
		return 1
	case strings.HasPrefix(first, "#"):
		r.out.WriteString(bold.paint(strings.TrimLeft(first, "# ")) + "\n")
		return 1
	case strings.HasPrefix(first, "|"):
		return r.table(lines)
	}
	n := 1
	for n < len(lines) && !begins(lines[n]) {
		n++
	}
	marker := item.FindString(first)
	text := strings.Join(lines[:n], " ")[len(marker):]
	indent := len(marker)
	wrapped := wrap(r.words(text), min(r.width, maxProse)-indent)
	r.out.WriteString(marker + strings.Join(wrapped, "\n"+strings.Repeat(" ", indent)) + "\n")
	return n
}

// begins reports whether a line ends the paragraph or list item before it.
func begins(line string) bool {
	return line == "" || strings.HasPrefix(line, "```") || strings.HasPrefix(line, "#") ||
		strings.HasPrefix(line, "|") || item.MatchString(line)
}

// fenced renders a block between two lines of backticks.
func (r *renderer) fenced(lines []string) int {
	for i, line := range lines[1:] {
		if strings.HasPrefix(line, "```") {
			return i + 2
		}
		r.out.WriteString(strings.TrimRight("    "+line, " ") + "\n")
	}
	return len(lines)
}
