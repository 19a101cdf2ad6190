package delta

import (
	"path"

	"koboshi/artifacts/tree"
)

// changed is each distinct content that is in a tree and not in its base, with
// the most similar file of the base; bytes is their total size.
func changed(base, to Tree) (files []File, bytes int64) {
	known := map[string]bool{}
	byName := map[string][]tree.Entry{} // by the last part of their paths
	for _, e := range base.Entries {
		if e.Type == tree.TypeFile {
			known[e.SHA256] = true
			byName[path.Base(e.Path)] = append(byName[path.Base(e.Path)], e)
		}
	}
	for _, e := range to.Entries {
		if e.Type != tree.TypeFile || e.Size == 0 || known[e.SHA256] {
			continue
		}
		known[e.SHA256] = true
		bytes += e.Size
		f := File{SHA256: e.SHA256, Size: e.Size, Open: to.opener(e)}
		if old, ok := mostSimilar(e.Path, byName[path.Base(e.Path)]); ok {
			f.From, f.FromSize, f.OpenFrom = old.SHA256, old.Size, base.opener(old)
		}
		files = append(files, f)
	}
	return files, bytes
}

func (t Tree) opener(e tree.Entry) func() (Reader, error) {
	return func() (Reader, error) { return t.Root.Open(e.Path) }
}

// maxSimilar bounds how many files of one name are compared: a tree of packages
// has an index.js in every directory.
const maxSimilar = 4096

// mostSimilar is the file whose path has most in common with name: the same
// path, or one in a directory that was renamed, such as for a new version.
func mostSimilar(name string, similar []tree.Entry) (best tree.Entry, ok bool) {
	most := -1
	for _, e := range similar[:min(len(similar), maxSimilar)] {
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
