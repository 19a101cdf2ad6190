package install

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ownPaths are what the boot unit makes and may write to without a drop-in.
var ownPaths = []string{"/opt/koboshi", "/run/koboshi", "/var/lib/koboshi"}

// pathsDropIn is the text of a drop-in that lets the boot unit write to these
// absolute paths. It is empty where the unit may do so without one.
//
// The directories are made before the sandbox is: one that is missing cannot be
// made writable in it. Quoting is that of systemd.syntax(7).
func pathsDropIn(paths ...string) string {
	var b strings.Builder
	for _, p := range paths {
		if slices.ContainsFunc(ownPaths, func(own string) bool { return p == own || strings.HasPrefix(p, own+"/") }) {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("# Written by koboshi install: the paths of the configuration.\n[Service]\n")
		}
		fmt.Fprintf(&b, "ExecStartPre=+:/usr/bin/mkdir -p %s\nReadWritePaths=%s\n", quote(p), quote("-"+p))
	}
	return b.String()
}

// quote spells a word that systemd takes literally: its escapes are C's, as
// Go's are, and % begins a specifier.
func quote(word string) string {
	return strings.ReplaceAll(strconv.Quote(word), "%", "%%")
}
