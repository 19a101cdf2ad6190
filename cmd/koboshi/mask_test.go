package main

import (
	"regexp"
	"strings"
)

// masks are what differs from run to run in koboshi's output, and what stands
// for it in golden files. Their order matters.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "SHA256"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\bi-[0-9a-f]{17}\b`), "INSTANCE"},
	{regexp.MustCompile(`\b17[0-9]{8}\b`), "SEQUENCE"},
	{regexp.MustCompile(`\b18[0-9]{8}\b`), "SEQUENCE"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "DIGITS12"},
	{regexp.MustCompile(`"ms": \d+`), `"ms": N`},
	{regexp.MustCompile(`\d+ (h|min) \d\d (min|s) left`), "LEFT"},
	{regexp.MustCompile(`"left_seconds": \d+`), `"left_seconds": LEFT`},
	{regexp.MustCompile(`"(bytes|attempts)": \d+`), `"$1": N`},
	{regexp.MustCompile(`\d+ (attempts|requests)`), "N $1"},
	{regexp.MustCompile(`(?m)(\S) {2,}`), "$1  "}, // columns are as wide as what stands in them
	{regexp.MustCompile(`(?m) +$`), ""},
	{regexp.MustCompile(`<?\d+(\.\d+)? m?s\b`), "TOOK"},
	{regexp.MustCompile(`\d+(\.\d+)? [kM]?B(/s)?`), "BYTES"},
	{regexp.MustCompile(`127(\.\d+){3}:\d+`), "ADDR"},
}

func mask(w *world, text string) string {
	text = strings.ReplaceAll(text, w.dir, "$WORK")
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.with)
	}
	return text
}
