package unpack

import (
	"archive/tar"
	"io/fs"
	"strings"

	"koboshi/artifacts/tree"
)

const specials = 0o7000 // setuid, setgid, sticky

// entryOf checks one header by itself, and normalises it.
func entryOf(hdr *tar.Header) (*tree.Entry, error) {
	name, err := tree.CleanPath(hdr.Name)
	if err != nil {
		return nil, err
	}
	switch {
	case hdr.Typeflag != tar.TypeReg && hdr.Size != 0:
		return nil, tree.Refuse(hdr.Name, "has a size of %d but is no file", hdr.Size)
	case hdr.Typeflag != tar.TypeDir && strings.HasSuffix(hdr.Name, "/"):
		return nil, tree.Refuse(hdr.Name, "ends in a slash but is no directory")
	}
	switch hdr.Typeflag {
	case tar.TypeDir:
		return &tree.Entry{Path: name, Type: tree.TypeDir, Mode: tree.DirMode}, nil
	case tar.TypeReg:
		if hdr.Mode&specials != 0 {
			return nil, tree.Refuse(name, "setuid, setgid or sticky bit on a file")
		}
		mode := tree.FileMode(fs.FileMode(hdr.Mode)) //nolint:gosec // masked
		return &tree.Entry{Path: name, Type: tree.TypeFile, Mode: mode, Size: hdr.Size}, nil
	case tar.TypeLink:
		link, err := tree.CleanPath(hdr.Linkname)
		if err != nil {
			return nil, tree.Refuse(name, "hard link to %q, which is no path in the tree", hdr.Linkname)
		}
		return &tree.Entry{Path: name, Type: tree.TypeHardlink, Link: link}, nil
	case tar.TypeSymlink:
		if err := tree.CheckTarget(name, hdr.Linkname); err != nil {
			return nil, err
		}
		return &tree.Entry{Path: name, Type: tree.TypeSymlink, Link: hdr.Linkname}, nil
	default:
		return nil, tree.Refuse(hdr.Name, "type %q is not allowed", hdr.Typeflag)
	}
}
