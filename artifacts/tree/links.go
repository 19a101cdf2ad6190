package tree

import (
	"context"
	"path"
	"strings"
)

// following marks a link that is being followed: meeting it again means a loop.
const following = -1

// position is where following a link has come to: a node, and from there on names
// that are not in the tree.
type position struct {
	at   *node
	rest string // "" or a relative path
}

func (p position) String() string {
	if p.at == nil {
		return ""
	}
	return path.Join(p.at.path(), p.rest)
}

// checkLinks follows every symbolic link as the kernel would, on the tree in
// memory, and refuses one that leaves the tree, loops or leads through too
// many others. Comparing texts is not enough: with d/up -> "..", the target
// "d/up/.." looks like d and is the parent of the tree. The cause of a context
// that has ended ends it.
//
// A link to nothing is allowed, as long as nothing would be in the tree.
func (l *listing) checkLinks(ctx context.Context) error {
	for _, n := range l.order {
		if n.Type != TypeSymlink {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := l.follow(n, 1); err != nil {
			return err
		}
	}
	return nil
}

// follow sets n.end and n.hops. Every link is followed once, so all of them
// together cost no more than the targets are long.
func (l *listing) follow(n *node, depth int) error {
	switch {
	case n.hops > 0:
		return nil
	case n.hops == following:
		return Refuse(n.path(), "link loop")
	case depth > MaxHops:
		return Refuse(n.path(), "more than %d links in a chain", MaxHops)
	}
	n.hops = following
	end, hops, err := l.walk(n, depth)
	if err == nil && hops > MaxHops {
		err = Refuse(n.path(), "leads through more than %d links", MaxHops)
	}
	if err != nil {
		n.hops = 0 // another link that leads here gets an error of its own
		return err
	}
	n.end, n.hops = end, hops
	return nil
}

func (l *listing) walk(n *node, depth int) (end position, hops int, err error) {
	p, hops := position{at: n.dir}, 1
	for part := range strings.SplitSeq(n.Link, "/") {
		switch {
		case part == "" || part == ".":
		case part == ".." && p.rest != "":
			p.rest = p.rest[:max(0, strings.LastIndexByte(p.rest, '/'))]
		case part == ".." && p.at.dir == nil:
			return position{}, 0, Refuse(n.path(), "link to %q, which is outside", Clip(n.Link))
		case part == "..":
			p.at = p.at.dir
		case p.rest != "" || l.nodes[key{p.at, part}] == nil:
			p.rest = path.Join(p.rest, part)
		default:
			p.at = l.nodes[key{p.at, part}]
			if p.at.Type != TypeSymlink {
				continue
			}
			link := p.at
			if err := l.follow(link, depth+1); err != nil {
				return position{}, 0, err
			}
			p = link.end
			hops += link.hops
		}
	}
	return p, hops, nil
}
