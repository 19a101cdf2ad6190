package help

import (
	"strings"
	"unicode/utf8"
)

// style is the parameter of a terminal's SGR sequence, "" for plain text.
type style string

const (
	plain style = ""
	bold  style = "1"
	code  style = "36" // cyan
)

func (s style) paint(text string) string {
	if s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// word is text that is never broken: what is printed, and its width in columns.
type word struct {
	text  string
	width int
}

// words splits running text at spaces and applies **bold** and `code`. Without
// colour a code span keeps its backticks.
func (r *renderer) words(text string) (all []word) {
	var w word
	now := plain
	for _, part := range strings.SplitAfter(text, " ") {
		for part = strings.TrimRight(part, " "); part != ""; {
			end, mark, next := nextMark(part, now)
			piece := part[:end]
			shown := now
			if mark == "`" && !r.colour {
				piece += mark
			}
			if now == code && !r.colour {
				shown = plain
			}
			w.text += shown.paint(piece)
			w.width += utf8.RuneCountInString(piece)
			part, now = part[end+len(mark):], next
		}
		if w.width > 0 {
			all = append(all, w)
		}
		w = word{}
	}
	return all
}

// nextMark finds where the style changes next: the offset of the mark, the mark,
// and the style after it. Stars within a code span are text.
func nextMark(s string, now style) (at int, mark string, next style) {
	for i := range s {
		switch {
		case s[i] == '`' && now == code:
			return i, "`", plain
		case s[i] == '`':
			return i, "`", code
		case now != code && strings.HasPrefix(s[i:], "**") && now == bold:
			return i, "**", plain
		case now != code && strings.HasPrefix(s[i:], "**"):
			return i, "**", bold
		}
	}
	return len(s), "", now
}

// wrap joins words to lines of at most width columns.
func wrap(words []word, width int) []string {
	var lines []string
	var line strings.Builder
	used := 0
	for _, w := range words {
		if used > 0 && used+1+w.width > width {
			lines = append(lines, line.String())
			line.Reset()
			used = 0
		}
		if used > 0 {
			line.WriteString(" ")
			used++
		}
		line.WriteString(w.text)
		used += w.width
	}
	return append(lines, line.String())
}
