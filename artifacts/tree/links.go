package tree

import (
	"path"
	"strings"
)

// following marks a link that is being followed: to meet it again is a loop.
const following = -1

// checkLinks follows every symbolic link as the kernel would, on the tree in
// memory, and refuses one that leaves the tree, loops or leads through too
// many others. Comparing texts is not enough: with d/up -> "..", the target
// "d/up/.." looks like d and is the parent of the tree.
//
// A link to nothing is allowed, as long as nothing would be in the tree.
func (l *listing) checkLinks() error {
	for _, n := range l.order {
		if n.Type != TypeSymlink {
			continue
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
		return Refuse(n.Path, "link loop")
	case depth > MaxHops:
		return Refuse(n.Path, "more than %d links in a chain", MaxHops)
	}
	n.hops = following
	end, hops, err := l.walk(n, depth)
	if err == nil && hops > MaxHops {
		err = Refuse(n.Path, "leads through more than %d links", MaxHops)
	}
	if err != nil {
		n.hops = 0 // another link that leads here has its own reason
		return err
	}
	n.end, n.hops = end, hops
	return nil
}

func (l *listing) walk(n *node, depth int) (end string, hops int, err error) {
	at, hops := path.Dir(n.Path), 1
	for part := range strings.SplitSeq(n.Link, "/") {
		if part == ".." && at == "." {
			return "", 0, Refuse(n.Path, "link to %q, which is outside", Clip(n.Link))
		}
		at = path.Join(at, part)
		next := l.nodes[at]
		if next == nil || next.Type != TypeSymlink {
			continue
		}
		if err := l.follow(next, depth+1); err != nil {
			return "", 0, err
		}
		at = next.end
		hops += next.hops
	}
	return at, hops, nil
}
