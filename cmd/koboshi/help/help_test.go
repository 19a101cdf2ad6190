package help

import (
	"os"
	"strings"
	"testing"
)

// Every page in this directory is a topic, and begins as Topics says.
func TestTopics(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	for _, e := range entries {
		name, page := strings.CutSuffix(e.Name(), ".md")
		if !page || name == "CHANGELOG" {
			continue
		}
		pages++
		topic, found := Find(name)
		if !found {
			t.Errorf("%s is not listed", e.Name())
			continue
		}
		if want := "# " + name + ": " + topic.Summary + "\n\n"; topic.Summary == "" || !strings.HasPrefix(topic.Text, want) {
			t.Errorf("%s begins %q, want %q", e.Name(), topic.Text[:40], want)
		}
		if len(topic.Summary) > 63 {
			t.Errorf("%s: the summary does not fit 80 columns: %q", e.Name(), topic.Summary)
		}
	}
	if pages != len(names) {
		t.Errorf("%d pages, %d names", pages, len(names))
	}
	if _, found := Find("CHANGELOG"); found {
		t.Error("the change log is a topic")
	}
}
