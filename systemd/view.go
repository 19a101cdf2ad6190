package systemd

import (
	"maps"
	"path/filepath"
	"slices"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"golang.org/x/sys/unix"
)

// View is a directory as one command sees it: with these entries in place of its
// own. It is a mount in the command's own mount namespace, so it is gone when the
// command has ended, however that ends, and nothing on the disk is changed.
//
// The directory itself is read-only there: what was created in it would be lost.
// Where systemd cannot make the mounts the command does not start.
type View struct {
	Dir     string            // exists; no link leads to it
	Entries map[string]string // by name: an absolute path, whose links are followed. What is gone by then is left out
}

// filesystem is an entry of TemporaryFileSystem: org.freedesktop.systemd1(5).
type filesystem struct{ Path, Options string }

func (v *View) properties() []sdbus.Property {
	if v == nil {
		return nil
	}
	type bind struct { // org.freedesktop.systemd1(5)
		Source, Destination string
		IgnoreMissing       bool
		Flags               uint64
	}
	var binds []bind
	for _, name := range slices.Sorted(maps.Keys(v.Entries)) {
		binds = append(binds, bind{v.Entries[name], filepath.Join(v.Dir, name), true, unix.MS_REC})
	}
	return properties([]property{
		{"TemporaryFileSystem", []filesystem{{v.Dir, "ro,mode=0755"}}},
		{"BindPaths", binds},
	})
}
