package codedeploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"koboshi/artifacts"
)

// MaxBytes is how long an appspec may be.
const MaxBytes = 256 << 10

// Note is something that is wrong with an appspec, or has no counterpart.
type Note struct {
	Wrong bool // nothing is published with it
	Path  string
	Text  string
	Hint  string
}

// reader walks through a document and notes what is wrong with it. Only the
// document's own nodes are looked at: an alias is never followed, so a small
// text cannot stand for a large one.
type reader struct {
	file  string
	notes []Note
}

func (r *reader) wrong(n *yaml.Node, hint, text string, args ...any) {
	text = fmt.Sprintf(text, args...)
	if n != nil {
		text = fmt.Sprintf("line %d: %s", n.Line, text)
	}
	r.notes = append(r.notes, Note{Wrong: true, Path: r.file, Text: text, Hint: hint})
}

// document is the one value in a text; nil where there is none.
func (r *reader) document(text []byte) *yaml.Node {
	const hint = "see the AppSpec file reference of CodeDeploy for EC2"
	var doc, more yaml.Node
	from := yaml.NewDecoder(bytes.NewReader(text))
	switch err := from.Decode(&doc); {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		r.wrong(nil, hint, "is empty")
	case err != nil:
		r.wrong(nil, hint, "cannot be read: %v", err)
	case !errors.Is(from.Decode(&more), io.EOF):
		r.wrong(nil, hint, "has more than one document")
	default:
		return doc.Content[0]
	}
	return nil
}

const asInReference = "write it as in the AppSpec file reference of CodeDeploy for EC2"

// is reports whether a node is of a kind. Null counts as an empty list or table:
// "hooks:" with nothing in it is common.
func (r *reader) is(n *yaml.Node, kind yaml.Kind, where, want string) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.wrong(n, "write it out", "%s: anchors and aliases are not read", where)
		return false
	case n.Kind != kind && n.Tag == "!!null":
		return false
	case n.Kind != kind:
		r.wrong(n, asInReference, "%s: want %s", where, want)
		return false
	}
	return true
}

// table is the values of a mapping, which may only have keys that are known.
func (r *reader) table(n *yaml.Node, where string, known ...string) map[string]*yaml.Node {
	if !r.is(n, yaml.MappingNode, where, "a table") {
		return nil
	}
	values := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := key.Value
		switch {
		case key.Kind != yaml.ScalarNode:
			r.wrong(key, asInReference, "%s: a key that is no text", where)
		case values[name] != nil:
			r.wrong(key, "remove one of them", "%s: %q comes twice", where, clip(name))
		case !slices.Contains(known, name):
			hint := asInReference
			if near, ok := artifacts.Nearest(name, known); ok {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			r.wrong(key, hint, "%s: unknown key %q", where, clip(name))
		default:
			values[name] = value
		}
	}
	return values
}

func (r *reader) list(n *yaml.Node, where string) []*yaml.Node {
	if n == nil || !r.is(n, yaml.SequenceNode, where, "a list") {
		return nil
	}
	return n.Content
}

// text is a value that is a text or a number, as it is written.
func (r *reader) text(n *yaml.Node, where string) string {
	switch {
	case n == nil || !r.is(n, yaml.ScalarNode, where, "a text"):
		return ""
	case strings.ContainsFunc(n.Value, unicode.IsControl):
		r.wrong(n, asInReference, "%s: a control character", where)
		return ""
	}
	return n.Value
}

// required is a text that has to be there.
func (r *reader) required(values map[string]*yaml.Node, in *yaml.Node, where, key string) string {
	text := r.text(values[key], where+"."+key)
	if text == "" && values != nil {
		r.wrong(in, asInReference, "%s: %s is missing", where, key)
	}
	return text
}

func clip(text string) string {
	if len(text) > 80 {
		return text[:80] + "…"
	}
	return text
}
