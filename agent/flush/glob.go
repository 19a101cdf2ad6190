package flush

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// expand returns what matches an absolute pattern. Unlike filepath.Glob it does
// not pass over a directory that cannot be read: a file in it may match.
func expand(pattern string) ([]string, error) {
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			names := []string{part}
			if strings.ContainsAny(part, `*?[\`) {
				var err error
				if names, err = matching(dir, part); err != nil {
					return nil, err
				}
			}
			for _, name := range names {
				next = append(next, path.Join(dir, name))
			}
		}
		if found = next; len(found) > maxFiles {
			return nil, fmt.Errorf("%s matches more than %d names", pattern, maxFiles)
		}
	}
	return found, nil
}

// matching are the names in a directory that match; none where there is no such
// directory.
func matching(dir, part string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		ok, err := filepath.Match(part, e.Name())
		if err != nil {
			return nil, err
		}
		if ok {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// absent reports that there is nothing of that name.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
