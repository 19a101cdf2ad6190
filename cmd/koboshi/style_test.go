package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"koboshi/cmd/koboshi/help"
)

// archaic are phrases that an operator would not use, with the phrase to use.
var archaic = map[string]string{
	`nothing serves|what served|serves on`: "no release is running, the previous release",
	`could not be told|nobody to tell`:     "the lifecycle action could not be completed",
	`believed`:                             "verified, trusted",
	`(not to be|cannot be|to be) had\b`:    "unavailable",
	`channels? names?\b`:                   "the channel points to",
	`whoever|nobody|somebody|anybody`:      "anyone who, no one, the thing itself",
	`\blies?\b|beside it|on its way`:       "is stored next to, is being fetched",
	`(is|was|are|not) told\b|\btells?\b`:   "is reported, prints",
	`top-up|last good|abandon_hold`:        "delta update, last known good, abandon_delay",
	`gave up|look at what lies`:            "the download failed; check route, VPC endpoint and proxy",
	`(hook|action) (is|was|has been) told`: "the lifecycle action is completed",
}

// The documentation is plain English.
func TestDocumentationIsPlain(t *testing.T) {
	pages := map[string]string{}
	for _, topic := range help.Topics() {
		pages[topic.Name] = topic.Text
	}
	decisions, err := filepath.Glob("help/decisions/*.md")
	if err != nil || len(decisions) == 0 {
		t.Fatalf("no decisions: %v", err)
	}
	for _, name := range append(decisions, "../../README.md", "help/CHANGELOG.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(text)
	}
	for name, text := range pages {
		reportArchaic(t, name, text)
	}
}

// So are the messages of the programs: every string of their sources with a space.
func TestMessagesArePlain(t *testing.T) {
	root, seen := os.DirFS("../.."), 0
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/testdata/") {
			return err
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.Contains(lit.Value, " ") {
				seen++
				reportArchaic(t, name, lit.Value)
			}
			return true
		})
		return nil
	})
	if err != nil || seen < 1000 {
		t.Fatalf("%d strings: %v", seen, err)
	}
}

// reportArchaic reports archaic phrases in a text, whose lines may break anywhere.
func reportArchaic(t *testing.T, name, text string) {
	t.Helper()
	text = strings.Join(strings.Fields(text), " ")
	for phrase, instead := range archaic {
		for _, at := range regexp.MustCompile(`(?i)`+phrase).FindAllStringIndex(text, -1) {
			t.Errorf("%s: …%s…: say: %s", name, text[max(0, at[0]-30):min(len(text), at[1]+30)], instead)
		}
	}
}
