package publish

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"koboshi/artifacts/unpack"
)

// ErrCommand tells that a hook or the health command of a release cannot be run
// from each of its trees.
var ErrCommand = errors.New("no such command")

// anyoneRuns is the permission that lets an app's user run a program that
// belongs to root.
const anyoneRuns = 0o001

// checkCommands finds every command of the draft in the tree of every platform.
func (d Draft) checkCommands() error {
	type command struct {
		name string
		argv []string
	}
	var commands []command
	for _, c := range []command{
		{"hooks.pre_start", d.Hooks.PreStart}, {"hooks.post_start", d.Hooks.PostStart}, {"hooks.pre_stop", d.Hooks.PreStop},
		{"health.command", d.Health.Command},
	} {
		if len(c.argv) > 0 {
			commands = append(commands, c)
		}
	}
	if len(commands) == 0 {
		return nil
	}
	for _, p := range d.Packed {
		tree, err := p.tree(d.App)
		if err != nil {
			return err
		}
		for _, c := range commands {
			if err := runnable(tree, c.argv[0]); err != nil {
				return fmt.Errorf("%s: %w for %s/%s: %w", c.name, ErrCommand, p.artifact.OS, p.artifact.Arch, err)
			}
		}
	}
	return nil
}

// tree is what an instance will have, by path.
func (p *Packed) tree(app string) (map[string]unpack.Entry, error) {
	if p.index == nil { // a single file lands as the app
		return map[string]unpack.Entry{app: {Path: app, Type: unpack.TypeFile, Mode: 0o755}}, nil
	}
	entries, err := unpack.ReadIndex(bytes.NewReader(p.index), unpack.MaxEntries)
	tree := make(map[string]unpack.Entry, len(entries))
	for _, e := range entries {
		tree[e.Path] = e
	}
	return tree, err
}

// runnable follows the links of a tree, none of which leads out of it.
func runnable(tree map[string]unpack.Entry, command string) error {
	name := command
	for range unpack.MaxHops {
		name = follow(tree, name)
	}
	switch e, found := tree[name]; {
	case !found:
		return fmt.Errorf("%q is not in the tree", command)
	case e.Type != unpack.TypeFile:
		return fmt.Errorf("%q is no file", command)
	case e.Mode&anyoneRuns == 0:
		return fmt.Errorf("%q may not be executed by everyone (mode %04o)", command, e.Mode)
	}
	return nil
}

// follow replaces the first link on the way to name by what it points to.
func follow(tree map[string]unpack.Entry, name string) string {
	for end := range len(name) + 1 {
		if end < len(name) && name[end] != '/' {
			continue
		}
		switch e := tree[name[:end]]; e.Type {
		case unpack.TypeSymlink:
			return path.Join(path.Dir(e.Path), e.Link, strings.TrimPrefix(name[end:], "/"))
		case unpack.TypeHardlink:
			return e.Link
		}
	}
	return name
}
