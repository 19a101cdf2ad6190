package publish

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// ErrCommand is a hook or a health command that is not in every tree of a
// release, or cannot be run from there.
var ErrCommand = errors.New("no such command")

// anyoneRuns is the permission that lets an app's user run a program that
// belongs to root.
const anyoneRuns = 0o001

// checkCommands finds every command of the draft in the tree of every platform.
func (d Draft) checkCommands(ctx context.Context) error {
	commands := commandsOf(d.Hooks, d.Health)
	if len(commands) == 0 {
		return nil
	}
	for _, p := range d.Packed {
		paths, err := p.tree(ctx, d.App)
		if err != nil {
			return err
		}
		for _, c := range commands {
			if err := runnable(paths, c.argv[0]); err != nil {
				return fmt.Errorf("%s: %w for %s/%s: %w", c.name, ErrCommand, p.artifact.OS, p.artifact.Arch, err)
			}
		}
	}
	return nil
}

// tree is what an instance will have, by path.
func (p *Packed) tree(ctx context.Context, app string) (map[string]tree.Entry, error) {
	f, err := format.Of(p.artifact)
	if err != nil {
		return nil, err
	}
	entries := p.entries
	if entries == nil {
		entries, err = f.Entries(ctx, format.Target{App: app, Artifact: p.artifact, Index: p.index})
	}
	paths := make(map[string]tree.Entry, len(entries))
	for _, e := range entries {
		paths[e.Path] = e
	}
	return paths, err
}

// runnable follows the links of a tree, none of which leads out of it.
func runnable(paths map[string]tree.Entry, command string) error {
	switch e, found := paths[resolve(paths, command)]; {
	case !found:
		return fmt.Errorf("%q is not in the tree", command)
	case e.Type != tree.TypeFile:
		return fmt.Errorf("%q is no file", command)
	case e.Mode&anyoneRuns == 0:
		return fmt.Errorf("%q may not be executed by everyone (mode %04o)", command, e.Mode)
	}
	return nil
}

// resolve is what a path is once links are followed.
func resolve(paths map[string]tree.Entry, name string) string {
	for range tree.MaxHops {
		name = follow(paths, name)
	}
	return name
}

// follow replaces the first link on the way to name by what it points to.
func follow(paths map[string]tree.Entry, name string) string {
	for end := range len(name) + 1 {
		if end < len(name) && name[end] != '/' {
			continue
		}
		switch e := paths[name[:end]]; e.Type {
		case tree.TypeSymlink:
			return path.Join(path.Dir(e.Path), e.Link, strings.TrimPrefix(name[end:], "/"))
		case tree.TypeHardlink:
			return e.Link
		}
	}
	return name
}
