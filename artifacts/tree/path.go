package tree

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// CleanPath returns name without the "./", "//" and trailing slash that
// archivers write, or refuses it. The top of the tree is ".".
func CleanPath(name string) (string, error) {
	if reason := textFault(name); reason != "" {
		return "", Refuse(name, "%s", reason)
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", Refuse(name, `".." in a path`)
		case len(part) > MaxName:
			return "", Refuse(name, "a name of %d bytes, limit %d", len(part), MaxName)
		}
	}
	clean := path.Clean(name)
	if strings.Count(clean, "/") >= MaxDepth {
		return "", Refuse(name, "more than %d levels deep", MaxDepth)
	}
	return clean, nil
}

// CheckTarget checks the target of the symbolic link name by itself. Where it
// leads is checked when the whole tree is known.
func CheckTarget(name, target string) error {
	if reason := textFault(target); reason != "" {
		return Refuse(name, "link target: %s", reason)
	}
	if strings.Count(target, "/") >= MaxDepth {
		return Refuse(name, "link target of more than %d components", MaxDepth)
	}
	return nil
}

// textFault is why a string cannot be a path or target, "" if it can.
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
