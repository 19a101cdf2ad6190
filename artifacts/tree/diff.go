package tree

import "slices"

// Diff is how two trees differ: relative paths, sorted. A directory that was
// added stands for all that is in it.
type Diff struct {
	Altered, Added, Removed []string
}

// Clean reports whether there is no difference.
func (d Diff) Clean() bool { return len(d.Altered)+len(d.Added)+len(d.Removed) == 0 }

func (d *Diff) sort() {
	for _, list := range []*[]string{&d.Altered, &d.Added, &d.Removed} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
}

// Difference is what changes from one tree to another, by their entries.
func Difference(before, after []Entry) (d Diff) {
	was := make(map[string]Entry, len(before))
	for _, e := range before {
		was[e.Path] = e.content()
	}
	for _, e := range after {
		old, known := was[e.Path]
		switch {
		case !known:
			d.Added = append(d.Added, e.Path)
		case old != e.content():
			d.Altered = append(d.Altered, e.Path)
		}
		delete(was, e.Path)
	}
	for path := range was {
		d.Removed = append(d.Removed, path)
	}
	d.sort()
	return d
}

// content is an entry without the position of its bytes in the archive, and
// without its time.
func (e Entry) content() Entry {
	e.Offset, e.Time = 0, 0
	return e
}
