package tree

import (
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
	Time   int64       `json:"time,omitzero"`   // of its last modification, see [Seconds]; 0 = that of the release
}

// DirMode is the mode of every directory.
const DirMode fs.FileMode = 0o755

// FileMode is the mode with which a file is written that has mode in its archive.
// Files belong to root and their readers are other users: so everyone may read
// them, and execute what the owner may.
func FileMode(mode fs.FileMode) fs.FileMode {
	mode = mode&0o755 | 0o444
	if mode&0o100 != 0 {
		mode |= 0o111
	}
	return mode
}

// check checks the shape of an entry that was read from an index.
func (e *Entry) check() error {
	want := Entry{Path: e.Path, Type: e.Type}
	if e.Type != TypeHardlink {
		want.Time = min(max(e.Time, 0), maxTime)
	}
	switch e.Type {
	case TypeDir:
		want.Mode = DirMode
	case TypeFile:
		want.Mode, want.SHA256 = FileMode(e.Mode), e.SHA256
		want.Size, want.Offset = max(e.Size, 0), max(e.Offset, 0)
	case TypeSymlink, TypeHardlink:
		want.Link = e.Link
	default:
		return Refuse(e.Path, "type %q is not known", e.Type)
	}
	if *e != want {
		return Refuse(e.Path, "has what a %s cannot have", e.Type)
	}
	if e.SHA256 != "" && !isSHA256(e.SHA256) {
		return Refuse(e.Path, "%q is no SHA-256", e.SHA256)
	}
	if clean, err := CleanPath(e.Path); err != nil {
		return err
	} else if clean != e.Path {
		return Refuse(e.Path, "is not a clean path")
	}
	if e.Type == TypeSymlink {
		return CheckTarget(e.Path, e.Link)
	}
	return nil // a hard link names a path of the tree, and those are clean
}

func isSHA256(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
