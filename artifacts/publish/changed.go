package publish

import (
	"path"

	"koboshi/artifacts/delta"
	"koboshi/artifacts/unpack"
)

// changed is every content that a tree has and its base has not, once, with the
// file of the base that is most like it.
func changed(base, tree *laid) (files []delta.File, bytes int64) {
	known := map[string]bool{}
	kin := map[string][]unpack.Entry{} // by the last part of their paths
	for _, e := range base.entries {
		if e.Type == unpack.TypeFile {
			known[e.SHA256] = true
			kin[path.Base(e.Path)] = append(kin[path.Base(e.Path)], e)
		}
	}
	for _, e := range tree.entries {
		if e.Type != unpack.TypeFile || e.Size == 0 || known[e.SHA256] {
			continue
		}
		known[e.SHA256] = true
		bytes += e.Size
		f := delta.File{SHA256: e.SHA256, Size: e.Size, Open: tree.opener(e)}
		if like, ok := nearest(e.Path, kin[path.Base(e.Path)]); ok {
			f.From, f.FromSize, f.OpenFrom = like.SHA256, like.Size, base.opener(like)
		}
		files = append(files, f)
	}
	return files, bytes
}

func (l *laid) opener(e unpack.Entry) func() (delta.Reader, error) {
	return func() (delta.Reader, error) { return l.root.Open(e.Path) }
}

// maxKin bounds how many files of one name are compared: a tree of packages
// has an index.js in every directory.
const maxKin = 4096

// nearest is the file whose path has most in common with name: itself, or the
// one in a directory that was renamed, as by a version in its name.
func nearest(name string, kin []unpack.Entry) (best unpack.Entry, ok bool) {
	most := -1
	for _, e := range kin[:min(len(kin), maxKin)] {
		if e.Path == name {
			return e, e.Size > 0
		}
		if n := common(e.Path, name); n > most && e.Size > 0 {
			best, most, ok = e, n, true
		}
	}
	return best, ok
}

// common is how many bytes two paths share at their beginnings and ends.
func common(a, b string) int {
	least, head, tail := min(len(a), len(b)), 0, 0
	for head < least && a[head] == b[head] {
		head++
	}
	for tail < least-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return head + tail
}
