package lint

import (
	"fmt"
	"path"
	"strings"

	"koboshi/artifacts/tree"
)

// whole checks the tree as one.
func (c *checker) whole() {
	files := c.tree.Files
	if len(files) == 0 {
		c.note(Error, "empty", "", "was the build run, is this its output, and what do --exclude and .koboshiignore leave of it?", "nothing is in it")
		return
	}
	if top := files[0].Path; len(files) > 1 && files[0].Type == tree.TypeDir && c.alone(top) {
		c.note(Warning, "top-folder", top, fmt.Sprintf("--strip-components 1 takes it off, unless hooks and units name %s/…", top), "holds everything: the app would be in current/%s", top)
	}
}

func (c *checker) alone(top string) bool {
	for i := range c.tree.Files {
		if name := c.tree.Files[i].Path; name != top && !strings.HasPrefix(name, top+"/") {
			return false
		}
	}
	return true
}

// faults passes on the reasons of package tree.
func (c *checker) faults() {
	entries := make([]tree.Entry, 0, len(c.tree.Files))
	for _, f := range c.tree.Files {
		if f.Type != "" {
			entries = append(entries, f.Entry)
		}
	}
	for _, fault := range tree.Faults(entries) {
		if f := c.paths[fault.Entry]; f != nil && f.Type == tree.TypeSymlink {
			c.note(Error, "link", fault.Entry, c.hintForLink(f), "is a link to %q, which leads out of the tree or in circles", tree.Clip(f.Link))
			continue
		}
		c.note(Error, "name", fault.Entry, "rename or remove it", "%s", fault.Reason)
	}
}

// hintForLink is what to do about a link that leads elsewhere.
func (c *checker) hintForLink(f *File) string {
	inside, ofTree := strings.CutPrefix(f.Link, c.tree.Built+"/")
	switch base := path.Base(f.Link); {
	case strings.HasPrefix(base, "python"):
		return "python3 -m venv --copies makes an environment without such links"
	case c.tree.Built != "" && ofTree:
		return fmt.Sprintf("make it relative, to %s in the tree: ln -srf, or cp -a of the whole", inside)
	case path.IsAbs(f.Link):
		return fmt.Sprintf("publish an empty directory in its place, and put BindPaths=%s:<root>/current/%s into the app's unit", f.Link, f.Path)
	}
	return "let it lead to something in the tree, by a relative path"
}
