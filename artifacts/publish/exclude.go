package publish

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// IgnoreFile lists patterns of what is not published, at the top of what is. It
// is not published itself.
const IgnoreFile = ".koboshiignore"

// maxIgnore is how many bytes an ignore file may have.
const maxIgnore = 64 << 10

// ErrPattern is a pattern that cannot be used.
var ErrPattern = errors.New("not a pattern")

// pattern is one of what is left out. Without a slash it is for a name anywhere,
// with one for a path from the top; "**" stands for any number of folders; a
// slash at its end means directories only.
type pattern struct {
	parts   []string
	onlyDir bool
	rooted  bool
}

func parsePattern(text string) (pattern, error) {
	var p pattern
	glob, onlyDir := strings.CutSuffix(text, "/")
	p.onlyDir, p.rooted = onlyDir, strings.Contains(glob, "/")
	p.parts = strings.Split(strings.TrimPrefix(glob, "/"), "/")
	switch _, err := path.Match(glob, ""); {
	case strings.HasPrefix(text, "!"):
		return p, fmt.Errorf("%w: %q: there are no exceptions", ErrPattern, text)
	case err != nil || slices.Contains(p.parts, "") || slices.Contains(p.parts, ".."):
		return p, fmt.Errorf("%w: %q", ErrPattern, text)
	}
	return p, nil
}

func parsePatterns(texts []string) (all []pattern, err error) {
	for _, text := range texts {
		p, err := parsePattern(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// parseIgnore reads an ignore file: a pattern a line, comments begin with #.
func parseIgnore(text []byte) (all []pattern, err error) {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		trimmed := strings.TrimSpace(string(line))
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		p, err := parsePattern(trimmed)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", IgnoreFile, number, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func (p pattern) matches(name string, isDir bool) bool {
	switch {
	case p.onlyDir && !isDir:
		return false
	case !p.rooted:
		return matchParts(p.parts, []string{path.Base(name)})
	}
	return matchParts(p.parts, strings.Split(name, "/"))
}

func matchParts(parts, names []string) bool {
	for len(parts) > 0 {
		if parts[0] == "**" {
			for skip := range len(names) + 1 {
				if matchParts(parts[1:], names[skip:]) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 {
			return false
		}
		if ok, err := path.Match(parts[0], names[0]); !ok || err != nil {
			return false
		}
		parts, names = parts[1:], names[1:]
	}
	return len(names) == 0
}
