package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Place is what a directory of the app is like.
type Place struct {
	Changeable string // who but root and this user may change what is in it, and where; "" = no one
	NoExec     bool   // programs in it cannot be executed
	ReadOnly   bool   // the file system is mounted so
}

// places looks at directories; fs.ErrNotExist where there is none yet.
type places interface {
	Place(path string) (Place, error)
}

// checkPlaces looks at what root's own directories are open to: who may write to
// one of them, or to one that leads there, decides what root runs.
func checkPlaces(f *facts) []Finding {
	var found []Finding
	for _, dir := range []struct{ key, path string }{
		{"install.root", f.Config.Install.Root}, {"state.dir", f.Config.State.Dir}, {"state.run", f.Config.State.Run},
	} {
		place, err := placeOf(f.Places, dir.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			found = append(found, unknown(fmt.Errorf("%s: %w", dir.key, err))...)
		case place.ReadOnly:
			found = append(found, failure("mount it for writing, or set another "+dir.key, "%s %s is on a file system that is mounted read-only", dir.key, dir.path)...)
		case place.Changeable != "":
			found = append(found, warning("chown root: and chmod go-w: who may write there decides what root runs", "%s %s: %s", dir.key, dir.path, place.Changeable)...)
		case place.NoExec && dir.key == "install.root":
			found = append(found, warning("remount it with exec, or set install.root to another file system", "%s %s is mounted noexec: programs of a release cannot be executed", dir.key, dir.path)...)
		}
	}
	if len(found) == 0 {
		return fine("install.root, state.dir and state.run can be used, and written to by no one else")
	}
	return found
}

// placeOf looks at a directory, or where there is none yet, at what it would be
// made in: that decides whether it can be made.
func placeOf(p places, path string) (Place, error) {
	place, err := p.Place(path)
	for above := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && above != path; above = filepath.Dir(path) {
		path = above
		place, err = p.Place(path)
		place.Changeable = "" // what is made will be root's
	}
	return place, err
}

// placeHere looks at this machine.
type placeHere struct{}

func (placeHere) Place(path string) (p Place, err error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return p, err
	}
	var fsys unix.Statfs_t
	if err := unix.Statfs(real, &fsys); err != nil {
		return p, err
	}
	p.NoExec, p.ReadOnly = mounted(fsys)
	for dir := real; p.Changeable == ""; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return p, err
		}
		if why := changeable(info, dir == real); why != "" {
			p.Changeable = strings.TrimPrefix(dir+" ", real+" ") + why
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return p, nil
}

func mounted(fsys unix.Statfs_t) (noexec, readOnly bool) {
	return fsys.Flags&unix.ST_NOEXEC != 0, fsys.Flags&unix.ST_RDONLY != 0
}

// changeable says who else may change the entries of a directory. In a sticky one
// that leads to ours, such as /tmp, others can make entries, but not replace ours.
func changeable(info fs.FileInfo, ours bool) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode()
	switch {
	case !ok:
		return ""
	case !slices.Contains([]int{0, os.Geteuid()}, int(stat.Uid)):
		return fmt.Sprintf("is owned by user %d", stat.Uid)
	case !ours && mode&fs.ModeSticky != 0:
		return ""
	case mode&0o002 != 0:
		return fmt.Sprintf("may be written to by every user (%04o)", mode.Perm())
	case mode&0o020 != 0 && int(stat.Gid) != 0:
		return fmt.Sprintf("may be written to by group %d (%04o)", stat.Gid, mode.Perm())
	}
	return ""
}
