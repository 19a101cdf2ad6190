package convert

import (
	"archive/zip"
	"errors"
	"io"
	"io/fs"
	"strings"

	"koboshi/artifacts/tree"
)

// Where a zip was made: only there do its entries have permissions.
const (
	madeOnUnix  = 3
	madeOnMacOS = 19
)

const encrypted = 1 // a flag of an entry

func (r *reader) zip() error {
	z, err := zip.NewReader(r, r.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return refuse("", err)
	}
	r.archive.NoModes = len(z.File) > 0
	for _, f := range z.File {
		if err := r.zipEntry(f); err != nil {
			return err
		}
		if system := f.CreatorVersion >> 8; system == madeOnUnix || system == madeOnMacOS {
			r.archive.NoModes = false
		}
	}
	return nil
}

func (r *reader) zipEntry(f *zip.File) error {
	switch {
	case f.Flags&encrypted != 0:
		return tree.Refuse(f.Name, "is encrypted")
	case strings.Contains(f.Name, `\`):
		return tree.Refuse(f.Name, `a backslash in a name: make the zip with a tool that writes "/"`)
	}
	item := Item{Name: f.Name, Was: f.Mode(), Modified: f.Modified}
	if !item.Was.IsRegular() && item.Was&fs.ModeSymlink == 0 {
		return r.add(item, nil)
	}
	body, err := f.Open()
	if err != nil {
		return refuse(f.Name, err)
	}
	defer func() { _ = body.Close() }()
	from := &plain{reader: r, from: body}
	if item.Was.IsRegular() {
		return r.add(item, from)
	}
	target, err := io.ReadAll(io.LimitReader(from, tree.MaxPath+1)) // one that is longer is refused with the tree
	item.Link = string(target)
	if err != nil {
		return refuse(f.Name, err)
	}
	return r.add(item, nil)
}
