//go:build boottest && apps

package boottest

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"koboshi/cmd/koboshi/help"
)

// recipe is a chapter of the topic apps.
type recipe struct {
	name    string
	project map[string]string // files on the build machine
	image   files             // files in the image
	once    []string          // commands on the build machine, for all versions
	build   []string          // commands on the build machine, for each
	next    []string          // commands on the build machine for the second version, where they differ
	install []string          // commands on the image
}

// commands is how many a new user types until an instance is in service.
func (r recipe) commands() int { return len(r.once) + len(r.build) + len(r.install) }

// configs are the configurations in the image, one an app.
func (r recipe) configs() (names []string) {
	for name := range r.image {
		if path.Dir(name) == path.Dir(config) && path.Ext(name) == ".toml" {
			names = append(names, name)
		}
	}
	return names
}

// forAll is the chapter that all others build on.
const forAll = "For all recipes"

// recipes are the chapters of the topic, each with what they have in common.
func recipes(t *testing.T) (all []recipe) {
	t.Helper()
	topic, found := help.Find("apps")
	if !found {
		t.Fatal("no topic apps")
	}
	_, text, _ := strings.Cut(topic.Text, "\n## ")
	var common recipe
	for chapter := range strings.SplitSeq(text, "\n## ") {
		name, body, _ := strings.Cut(chapter, "\n")
		r := recipe{name: name, project: map[string]string{}, image: files{}.with(common.image), once: slices.Clone(common.once)}
		for _, m := range block.FindAllStringSubmatch(body, -1) {
			r.add(t, m[1], m[2])
		}
		switch {
		case name == forAll:
			common = r
		case len(r.build) > 0:
			all = append(all, r)
		}
	}
	return all
}

// block is a line that says what is below it, and that in a fence.
var block = regexp.MustCompile("(?m)^(.*):\n\n```[a-z]*\n((?s:.*?))^```$")

// fileName is what a caption is about, perhaps with a remark.
var fileName = regexp.MustCompile("^(?:In the image.*, )?`([^`]+)`(?:, .*)?$")

func (r *recipe) add(t *testing.T, caption, text string) {
	t.Helper()
	switch name := fileName.FindStringSubmatch(caption); {
	case strings.HasPrefix(caption, "On the build machine, once"):
		r.once = append(r.once, commands(text)...)
	case strings.HasPrefix(caption, "On the build machine, for the next version"):
		r.next = append(r.next, commands(text)...)
	case strings.HasPrefix(caption, "On the build machine"):
		r.build = append(r.build, commands(text)...)
	case caption == "On the image":
		r.install = append(r.install, commands(text)...)
	case name == nil:
		t.Errorf("%s: %q is neither a file nor a machine", r.name, caption)
	case path.IsAbs(name[1]):
		r.image[name[1]] = text
	default:
		r.project[name[1]] = text
	}
}

// commands are the lines of a text, those that end in a backslash joined with the
// next.
func commands(text string) []string {
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\\\n", " ")), "\n")
}
