package help

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const page = "# page: a `page`\n\n" +
	"Some **bold words** and `some code`, with text that is\nlonger than forty columns.\n\n" +
	"    koboshi status   # indented code stays as it is, whatever its length\n\n" +
	"```toml\n[a]\n\n  b = 1\n```\n\n" +
	"- an item of a list that is also longer than a line of forty columns\n- `**` is no mark\n1. one\n\n" +
	"| name | count | |\n|---|---:|---|\n| `a` | 1 | what it is, in more words than fit |\n| two\\|bars | 10 | |\n"

// The goldens are rewritten with UPDATE_GOLDEN=1.
func TestRender(t *testing.T) {
	for _, tt := range []struct {
		width  int
		colour bool
	}{{80, true}, {40, false}, {22, false}} {
		name := fmt.Sprintf("testdata/%d.golden", tt.width)
		got := strings.ReplaceAll(Render(page, tt.width, tt.colour), "\x1b", "^")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// No line of a topic is wider than the terminal, but for code and for words that
// are.
func TestTopicsFit(t *testing.T) {
	for _, topic := range Topics() {
		for _, width := range []int{80, 120} {
			for line := range strings.Lines(Render(topic.Text, width, true)) {
				line = strings.TrimSuffix(line, "\n")
				if visible(line) >= width && !strings.HasPrefix(line, "    ") && strings.Contains(strings.TrimSpace(line), " ") {
					t.Errorf("%s at %d columns: %q", topic.Name, width, line)
				}
			}
		}
	}
}
