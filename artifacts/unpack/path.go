package unpack

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// cleanPath returns name without the "./", "//" and trailing slash that
// archivers write, or refuses it. The top of the tree is ".".
func cleanPath(name string) (string, error) {
	if reason := textFault(name); reason != "" {
		return "", refuse(name, "%s", reason)
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", refuse(name, `".." in a path`)
		case len(part) > MaxName:
			return "", refuse(name, "a name of %d bytes, limit %d", len(part), MaxName)
		}
	}
	clean := path.Clean(name)
	if strings.Count(clean, "/") >= MaxDepth {
		return "", refuse(name, "more than %d levels deep", MaxDepth)
	}
	return clean, nil
}

// checkTarget judges the target of the symbolic link name by itself. Where it
// leads is judged when the whole tree is known.
func checkTarget(name, target string) error {
	if reason := textFault(target); reason != "" {
		return refuse(name, "link target: %s", reason)
	}
	if strings.Count(target, "/") >= MaxDepth {
		return refuse(name, "link target of more than %d components", MaxDepth)
	}
	return nil
}

// textFault says what keeps a path or target from being one.
func textFault(text string) string {
	switch {
	case text == "":
		return "empty"
	case len(text) > MaxPath:
		return fmt.Sprintf("%d bytes long, limit %d", len(text), MaxPath)
	case text[0] == '/':
		return "absolute"
	case strings.ContainsRune(text, 0):
		return "holds a NUL"
	case !utf8.ValidString(text):
		return "not UTF-8"
	}
	return ""
}
