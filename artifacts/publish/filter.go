package publish

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

// ErrStrip is a path that has fewer folders than are to be taken off.
var ErrStrip = errors.New("is in too few folders")

// filter takes folders off the front of all paths and leaves out what is
// excluded, by the options and by the ignore file.
func (l *listing) filter(opt Options) error {
	patterns, err := parsePatterns(opt.Exclude)
	if err != nil {
		return err
	}
	kept := make([]kept, len(l.files))
	ignore := -1
	for i := range l.files {
		kept[i] = l.strip(i, opt.Strip)
		if kept[i].path == IgnoreFile && l.files[i].Type == tree.TypeFile {
			ignore = i
		}
	}
	if ignore >= 0 {
		more, err := l.ignored(ignore)
		if err != nil {
			return err
		}
		patterns = append(patterns, more...)
	}
	return l.keep(kept, patterns)
}

// kept is what a path is to become.
type kept struct {
	path  string // empty for a folder that is taken off
	stray bool   // something else, in too few folders
}

func (l *listing) strip(i, folders int) kept {
	f := &l.files[i]
	parts := strings.Split(f.Path, "/")
	switch {
	case folders == 0:
		return kept{path: f.Path}
	case len(parts) > folders:
		return kept{path: strings.Join(parts[folders:], "/")}
	}
	return kept{stray: f.Type != tree.TypeDir}
}

// ignored reads the ignore file.
func (l *listing) ignored(i int) ([]pattern, error) {
	if l.files[i].Size > maxIgnore {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", IgnoreFile, l.files[i].Size, maxIgnore)
	}
	text := make([]byte, l.files[i].Size)
	n, err := l.head(i, text)
	if err != nil {
		return nil, err
	}
	return parseIgnore(text[:n])
}

// keptFile is a path that stays.
type keptFile struct {
	lint.File
	number int    // in the source
	first  string // the path that the file with these bytes had
}

// keep rebuilds the list. A directory that is excluded takes all in it along.
func (l *listing) keep(become []kept, patterns []pattern) error {
	var all []keptFile
	originals := map[string]lint.File{}
	gone := map[string]bool{} // directories that are excluded, by the paths that they had
	l.watched = nil
	for i, f := range l.files {
		name := become[i].path
		if name == "" {
			name = f.Path
		}
		first := f.Path
		switch f.Type {
		case tree.TypeFile:
			originals[f.Path] = f
		case tree.TypeHardlink:
			first = f.Link
		}
		matches := func(p pattern) bool { return p.matches(name, f.Type == tree.TypeDir) }
		if gone[path.Dir(f.Path)] || slices.ContainsFunc(patterns, matches) || name == IgnoreFile {
			gone[f.Path] = f.Type == tree.TypeDir
			continue
		}
		if become[i].stray {
			return fmt.Errorf("%q %w to take them off", f.Path, ErrStrip)
		}
		l.watched = append(l.watched, l.numbers[i])
		if become[i].path != "" {
			f.Path = become[i].path
			all = append(all, keptFile{f, l.numbers[i], first})
		}
	}
	slices.SortStableFunc(all, func(a, b keptFile) int { return inOrder(a.Path, b.Path) })
	l.relink(all, originals)
	return nil
}

// relink lists what stays. Of several names of one file the first is now the
// file, whichever it was before.
func (l *listing) relink(all []keptFile, originals map[string]lint.File) {
	l.files, l.numbers = nil, nil
	now := map[string]string{} // the first path that has the bytes of an original
	for i, f := range all {
		if i > 0 && f.Type == tree.TypeDir && all[i-1].Type == tree.TypeDir && all[i-1].Path == f.Path {
			continue // two folders have become one
		}
		original, known := originals[f.first]
		if known && (f.Type == tree.TypeFile || f.Type == tree.TypeHardlink) {
			name := f.Path
			if earlier, linked := now[f.first]; linked && earlier != name { // a name that comes twice is refused as what it is
				f.File = lint.File{Entry: tree.Entry{Path: name, Type: tree.TypeHardlink, Link: earlier}, Was: original.Was}
			} else {
				f.File, now[f.first] = original, name
				f.Path = name
			}
		}
		l.files, l.numbers = append(l.files, f.File), append(l.numbers, f.number)
	}
}
