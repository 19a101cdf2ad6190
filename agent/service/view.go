package service

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"koboshi/systemd"
)

// A hook sees its own release as <root>/current, although current is moved only once
// pre_start has succeeded: interpreters and scripts are found through it. No link on
// the disk is touched for that, as the app of the previous release runs from there.

// viewOf is root as a hook sees it whose tree is not current: all that is in there,
// with the tree as current. It is nil where the tree is current.
func viewOf(root, tree string) (*systemd.View, error) {
	if isCurrent(root, tree) {
		return nil, nil
	}
	dir, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, fmt.Errorf("make a hook's view of install.root: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("make a hook's view of install.root: %w", err)
	}
	view := systemd.View{Dir: dir, Entries: map[string]string{currentName: tree}}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if _, err := os.Stat(path); err == nil && e.Name() != currentName { // not a link that leads nowhere
			view.Entries[e.Name()] = path
		}
	}
	return &view, nil
}

// isCurrent reports whether <root>/current is tree.
func isCurrent(root, tree string) bool {
	is, err := os.Stat(filepath.Join(root, currentName))
	if err != nil {
		return false
	}
	want, err := os.Stat(tree)
	return err == nil && os.SameFile(is, want)
}

// inherit is what a hook gets of the app's unit, the first one. <run>/env is not
// among it: it has the values of the release that was started last, and the hook has
// its own. A unit that comes with the release is not asked: systemd may know only
// that of the release before.
func (u units) inherit(ctx context.Context, m manager) (systemd.Inherited, error) {
	if u.config.Service.Brings(u.config.Service.FirstUnit()) {
		return systemd.Inherited{}, nil
	}
	i, err := m.Inherit(ctx, u.config.Service.FirstUnit())
	if err != nil {
		return i, err
	}
	i.Files = without(i.Files, filepath.Join(u.config.State.Run, envName))
	return i, nil
}

// without removes one file, under whatever path, from those of a unit. Of a pattern
// that matches it the other files remain.
func without(files []systemd.EnvironmentFile, name string) (others []systemd.EnvironmentFile) {
	name = resolved(name)
	for _, f := range files {
		matches, err := filepath.Glob(f.Path)
		if err != nil || len(matches) == 0 {
			matches = []string{f.Path}
		}
		if !slices.ContainsFunc(matches, func(m string) bool { return resolved(m) == name }) {
			others = append(others, f)
			continue
		}
		for _, m := range matches {
			if resolved(m) != name {
				others = append(others, systemd.EnvironmentFile{Path: m, Optional: true})
			}
		}
	}
	return others
}

// resolved is a path without links. The last element need not exist.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, filepath.Base(path))
}
