package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

// A job of a CI runner that is a service inherits the variable, and has a pipe.
func TestOnlyTheJournalGetsPriorities(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	own := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	for stream, want := range map[string]bool{own: true, fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1): false, "": false} {
		if got := isJournal(file, stream); got != want {
			t.Errorf("JOURNAL_STREAM=%s, the file is %s: %t", stream, own, got)
		}
	}
}

func TestWrap(t *testing.T) {
	const text = "the app is not healthy now: GET http://127.0.0.1:8080/healthz: 503 Service Unavailable"
	for _, test := range []struct {
		text          string
		indent, width int
		want          string
	}{
		{"short", 10, 80, "short"},
		{"", 10, 80, ""},
		{text, 10, 0, text},
		{text, 10, 25, text},
		{text, 4, 40, "the app is not healthy now: GET\n    http://127.0.0.1:8080/healthz: 503\n    Service Unavailable"},
		{"a word-that-is-much-longer-than-the-line b", 2, 20, "a\n  word-that-is-much-longer-than-the-line\n  b"},
		{"täglich grüßt die Möwe", 2, 18, "täglich grüßt\n  die Möwe"},
	} {
		if got := wrap(test.text, test.indent, test.width); got != test.want {
			t.Errorf("wrap(%q, %d, %d) = %q, want %q", test.text, test.indent, test.width, got, test.want)
		}
	}
}

// Nothing is lost, and a line is too long only where a word is.
func TestWrapKeepsWords(t *testing.T) {
	text := strings.Repeat("an instance of koboshi ", 20)
	for width := minWrap + 3; width < 120; width++ {
		lines := strings.Split(strings.Repeat(" ", 3)+wrap(text, 3, width), "\n")
		for _, line := range lines {
			if utf8.RuneCountInString(line) >= width || !strings.HasPrefix(line, "   ") {
				t.Fatalf("width %d: %q", width, line)
			}
		}
		if got := strings.Join(strings.Fields(strings.Join(lines, " ")), " "); got != strings.TrimSpace(text) {
			t.Fatalf("width %d: %q", width, got)
		}
	}
}

func TestCut(t *testing.T) {
	for width, want := range map[int]string{0: "…sieben", 20: "…sieben", 8: "…sieben", 7: "…siebe", 1: ""} {
		if got := cut("…sieben", width); got != want {
			t.Errorf("cut to %d: %q, want %q", width, got, want)
		}
	}
}
