package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxScript is how much of a file is searched for <root>/current.
const maxScript = 64 << 10

// throughCurrent is a hook that would run the code of another release.
type throughCurrent struct{ what, current string }

func (e throughCurrent) Error() string {
	return fmt.Sprintf("%s names %s, which is not this release while the hook runs", e.what, e.current)
}

// Advice is the hint.
func (throughCurrent) Advice() string {
	return "have the hook find its own tree, for example as: bin/python3 bin/migrate; or run the app by service.unit, where a hook sees its release as current"
}

// checkCurrent refuses a hook that is found through <root>/current where that is not
// its tree and cannot be made to look so: the hook would succeed, and the work would
// not be done. What can be known is in the arguments, in the program if it is a
// script, and in files of the tree that are arguments. What these start is not known.
func checkCurrent(root, tree string, args []string) error {
	if isCurrent(root, tree) {
		return nil
	}
	for i, arg := range args {
		if path := named(root, []byte(arg)); path != "" {
			return throughCurrent{fmt.Sprintf("%q", arg), path}
		}
		text, err := head(tree, arg)
		if err != nil {
			return err
		}
		if script := bytes.HasPrefix(text, []byte("#!")); i == 0 && !script || bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		if path := named(root, text); path != "" {
			return throughCurrent{arg, path}
		}
	}
	return nil
}

// head is the beginning of a file in the tree, and nothing where there is none of that
// name.
func head(tree, name string) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(tree, name)
	}
	name, err := filepath.Rel(tree, name)
	if err != nil || !filepath.IsLocal(name) {
		return nil, nil
	}
	dir, err := os.OpenRoot(tree)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	if info, err := dir.Stat(name); err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text := make([]byte, maxScript)
	n, err := io.ReadFull(f, text)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return text[:n], err
}

// named is the path in text that leads through current, under any name of root.
func named(root string, text []byte) string {
	for _, dir := range []string{root, resolved(root)} {
		path := filepath.Join(dir, currentName)
		for rest := text; ; {
			_, after, found := bytes.Cut(rest, []byte(path))
			if !found {
				break
			}
			if len(after) == 0 || !bytes.ContainsAny(after[:1], nameLetters) {
				return path
			}
			rest = after
		}
	}
	return ""
}

// nameLetters continue a name: /opt/web/current-2 is not /opt/web/current.
const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
