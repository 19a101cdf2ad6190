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
// absolute paths, and lets it wait for the file systems that they are on. It is
// empty where the unit does both without one.
//
// The directories are made before the sandbox is: one that is missing cannot be
// made writable in it. Quoting is that of systemd.syntax(7).
func pathsDropIn(paths ...string) string {
	var mounts, service strings.Builder
	for _, p := range paths {
		if !slices.Contains(ownPaths, p) { // a volume may be mounted below one of them
			fmt.Fprintf(&mounts, "RequiresMountsFor=%s\n", quote(p))
		}
		if slices.ContainsFunc(ownPaths, func(own string) bool { return p == own || strings.HasPrefix(p, own+"/") }) {
			continue
		}
		fmt.Fprintf(&service, "ExecStartPre=+:/usr/bin/mkdir -p %s\nReadWritePaths=%s\n", quote(p), quote("-"+p))
	}
	text := ""
	if mounts.Len() > 0 {
		text = "# Written by koboshi install: the paths of the configuration.\n[Unit]\n" + mounts.String()
	}
	if service.Len() > 0 {
		text += "[Service]\n" + service.String()
	}
	return text
}

// quote spells a word that systemd takes literally: its escapes are C's, as
// Go's are, and % begins a specifier.
func quote(word string) string {
	return strings.ReplaceAll(strconv.Quote(word), "%", "%%")
}
