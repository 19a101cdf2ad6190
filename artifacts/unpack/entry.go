package unpack

import (
	"archive/tar"
	"io/fs"
	"strings"
)

// Type is what an entry of a tree is.
type Type string

// The types of entries. Everything else is refused.
const (
	TypeDir      Type = "dir"
	TypeFile     Type = "file"
	TypeSymlink  Type = "symlink"
	TypeHardlink Type = "hardlink"
)

// Entry is one path of a tree, and one line of its index.
type Entry struct {
	Path   string      `json:"path"` // relative, clean, slashes
	Type   Type        `json:"type"`
	Mode   fs.FileMode `json:"mode,omitzero"`   // permission bits of a dir or file
	Size   int64       `json:"size,omitzero"`   // bytes of a file
	SHA256 string      `json:"sha256,omitzero"` // of a file: lower-case hex; empty where it was not asked for
	Link   string      `json:"link,omitzero"`   // a symlink's target as it stands, a hardlink's path in the tree
	Offset int64       `json:"offset,omitzero"` // of a file's bytes in the plain tar stream
}

const (
	dirMode   fs.FileMode = 0o755
	fileModes fs.FileMode = 0o755 // the bits that a file may have
	ownerRead fs.FileMode = 0o400
	specials              = 0o7000 // setuid, setgid, sticky
)

// entryOf judges what one header says by itself, and normalises it.
func entryOf(hdr *tar.Header) (*Entry, error) {
	name, err := cleanPath(hdr.Name)
	if err != nil {
		return nil, err
	}
	switch {
	case hdr.Typeflag != tar.TypeReg && hdr.Size != 0:
		return nil, refuse(hdr.Name, "has a size of %d but is no file", hdr.Size)
	case hdr.Typeflag != tar.TypeDir && strings.HasSuffix(hdr.Name, "/"):
		return nil, refuse(hdr.Name, "ends in a slash but is no directory")
	}
	switch hdr.Typeflag {
	case tar.TypeDir:
		return &Entry{Path: name, Type: TypeDir, Mode: dirMode}, nil
	case tar.TypeReg:
		return file(name, hdr)
	case tar.TypeLink:
		return hardlink(name, hdr.Linkname)
	case tar.TypeSymlink:
		return symlink(name, hdr.Linkname)
	default:
		return nil, refuse(hdr.Name, "type %q is not allowed", hdr.Typeflag)
	}
}

func file(name string, hdr *tar.Header) (*Entry, error) {
	if hdr.Mode&specials != 0 {
		return nil, refuse(name, "setuid, setgid or sticky bit on a file")
	}
	mode := fs.FileMode(hdr.Mode)&fileModes | ownerRead //nolint:gosec // masked
	return &Entry{Path: name, Type: TypeFile, Mode: mode, Size: hdr.Size}, nil
}

func hardlink(name, target string) (*Entry, error) {
	link, err := cleanPath(target)
	if err != nil {
		return nil, refuse(name, "hard link to %q, which is no path in the tree", target)
	}
	return &Entry{Path: name, Type: TypeHardlink, Link: link}, nil
}

func symlink(name, target string) (*Entry, error) {
	if err := checkTarget(name, target); err != nil {
		return nil, err
	}
	return &Entry{Path: name, Type: TypeSymlink, Link: target}, nil
}

// check judges the shape of an entry that was read from an index.
func (e *Entry) check() error {
	want := Entry{Path: e.Path, Type: e.Type}
	switch e.Type {
	case TypeDir:
		want.Mode = dirMode
	case TypeFile:
		want.Mode, want.SHA256 = e.Mode&fileModes|ownerRead, e.SHA256
		want.Size, want.Offset = max(e.Size, 0), max(e.Offset, 0)
	case TypeSymlink, TypeHardlink:
		want.Link = e.Link
	default:
		return refuse(e.Path, "type %q is not known", e.Type)
	}
	if *e != want {
		return refuse(e.Path, "has what a %s cannot have", e.Type)
	}
	if e.SHA256 != "" && !isSHA256(e.SHA256) {
		return refuse(e.Path, "%q is no SHA-256", e.SHA256)
	}
	if clean, err := cleanPath(e.Path); err != nil || clean != e.Path {
		return refuse(e.Path, "is not a clean path")
	}
	if e.Type == TypeSymlink {
		return checkTarget(e.Path, e.Link)
	}
	return nil // a hard link names a path of the tree, and those are clean
}

func isSHA256(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
