package publish

import (
	"fmt"
	"io/fs"
	"strings"

	"koboshi/artifacts/tree"
)

// anyoneReads is the permission that lets an app's user read a file of root's.
const anyoneReads = 0o004

// maxNamed is how many paths a [Widened] keeps.
const maxNamed = 20

// Widened is what every user of an instance may read, search or execute, though
// the modes of a ready archive or file do not say so: there it belongs to root,
// and the app is another user. Of a directory that is among the findings.
type Widened struct {
	Count int
	First []string // paths with their modes: "etc/app.key (0600)"
}

func (w *Widened) note(e *tree.Entry, was fs.FileMode) {
	if w.Count++; w.Count <= maxNamed {
		w.First = append(w.First, fmt.Sprintf("%s (%04o)", e.Path, was.Perm()))
	}
}

// String reads "etc/app.key (0600), bin/web (0700) and 2 more".
func (w Widened) String() string {
	text := strings.Join(w.First, ", ")
	if more := w.Count - len(w.First); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
