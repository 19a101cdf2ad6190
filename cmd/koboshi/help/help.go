// Package help is koboshi's documentation: one Markdown file a topic, embedded
// in the binary so that it can be read where there is no internet. It knows no
// commands and prints nothing.
package help

import (
	"embed"
	"strings"
)

//go:embed ami.md apps.md configuration.md deploys.md formats.md large-fleets.md network.md node-ids.md oncall.md release.md scale-in.md security.md speed.md
var files embed.FS

// names is the order in which topics are listed.
var names = [...]string{
	"oncall", "release", "ami", "apps", "configuration", "scale-in", "node-ids", "deploys", "network", "large-fleets", "security", "formats", "speed",
}

// Topic is one page of the documentation.
type Topic struct {
	Name    string // as in `koboshi help NAME`
	Summary string // one line: what the page answers
	Text    string // Markdown
}

// Topics are all pages. Each begins with the heading `# NAME: SUMMARY`.
func Topics() []Topic {
	var topics []Topic
	for _, name := range names {
		text, err := files.ReadFile(name + ".md")
		if err != nil {
			continue // a test holds that each of them is embedded
		}
		heading, _, _ := strings.Cut(string(text), "\n")
		_, summary, _ := strings.Cut(heading, ": ")
		topics = append(topics, Topic{Name: name, Summary: summary, Text: string(text)})
	}
	return topics
}

// Find returns the topic of that name.
func Find(name string) (Topic, bool) {
	for _, topic := range Topics() {
		if topic.Name == name {
			return topic, true
		}
	}
	return Topic{}, false
}
