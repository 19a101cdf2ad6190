package report

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText bounds each text of a report, in bytes.
const MaxText = 1000

// escape matches one terminal escape sequence (ECMA-48): a control sequence, a
// terminated control string, another escape, or at least a lone ESC.
var escape = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])?`)

// Clean makes foreign text fit to print on one line: terminal escapes are cut
// out, line breaks and runs of space become one space, and control characters,
// invisible formatting (such as bidirectional overrides) and invalid UTF-8 are
// dropped or replaced. Then it is redacted: see [Redact]. The result is valid UTF-8 of at most limit bytes; what
// was shortened ends in an ellipsis.
func Clean(text string, limit int) string {
	text = escape.ReplaceAllLiteralString(text, "")
	text = strings.Map(printable, text)
	return shorten(Redact(strings.Join(strings.Fields(text), " ")), limit)
}

func printable(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case unicode.IsGraphic(r):
		return r
	default:
		return -1
	}
}

func shorten(text string, limit int) string {
	const ellipsis = "…"
	if len(text) <= limit {
		return text
	}
	if limit < len(ellipsis) {
		return ""
	}
	end := limit - len(ellipsis)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.TrimRight(text[:end], " ") + ellipsis
}
