package report

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	tests := map[string]struct {
		in    string
		limit int
		want  string
	}{
		"plain":                {"not found", 100, "not found"},
		"empty":                {"", 100, ""},
		"line breaks":          {"one\ntwo\r\n\tthree\u2028four", 100, "one two three four"},
		"outer space":          {"  x \n", 100, "x"},
		"forged log line":      {"bad\nkoboshi: ok", 100, "bad koboshi: ok"},
		"colour":               {"\x1b[1;31mred\x1b[0m", 100, "red"},
		"clear screen":         {"a\x1b[2J\x1b[Hb", 100, "ab"},
		"window title, BEL":    {"a\x1b]0;owned\x07b", 100, "ab"},
		"hyperlink, ST":        {"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", 100, "link"},
		"device control":       {"a\x1bPq#0\x1b\\b", 100, "ab"},
		"open title":           {"a\x1b]0;rest stays", 100, "a]0;rest stays"},
		"full reset":           {"a\x1bcb", 100, "ab"},
		"character set":        {"a\x1b(0b", 100, "ab"},
		"lone escape at end":   {"a\x1b", 100, "a"},
		"escape in escape":     {"\x1b\x1b[m[31mx", 100, "[31mx"},
		"one-byte CSI":         {"a\u009b31mb", 100, "a31mb"},
		"NUL, BEL, backspace":  {"a\x00\x07\x08\x7fb", 100, "ab"},
		"bidirectional":        {"a\u202etxt.exe\u2066b", 100, "atxt.exeb"},
		"zero width":           {"a\u200bb\ufeffc", 100, "abc"},
		"invalid UTF-8":        {"a\xff\xfeb", 100, "a\ufffd\ufffdb"},
		"other scripts":        {"起き上がり小法師", 100, "起き上がり小法師"},
		"fits exactly":         {"12345", 5, "12345"},
		"shortened":            {"123456", 5, "12…"},
		"no space before dots": {"12 456789", 6, "12…"},
		"shortened in a rune":  {"ääää", 7, "ää…"},
		"rune does not fit":    {"ääää", 6, "ä…"},
		"room for dots only":   {"ääää", 3, "…"},
		"no room":              {"abc", 2, ""},
		"absurd limit":         {"abc", -1, ""},
		"empty, absurd limit":  {"", -1, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Clean(test.in, test.limit); got != test.want {
				t.Errorf("Clean(%q, %d) = %q, want %q", test.in, test.limit, got, test.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "plain text", "\x1b[31mred\x1b[0m", "\x1b]0;t\x07", "a\nb", "\xff", "\u202e", "ääää"} {
		f.Add(seed, 20)
		f.Add(seed, 4)
	}
	f.Fuzz(func(t *testing.T, in string, limit int) {
		got := Clean(in, limit)
		if len(got) > max(limit, 0) {
			t.Errorf("%d bytes, limit %d", len(got), limit)
		}
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("Clean(%q) = %q, which does not print", in, got)
		}
		if again := Clean(got, limit); again != got {
			t.Errorf("Clean(%q) = %q, cleaned again %q", in, got, again)
		}
	})
}
