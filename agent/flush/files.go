package flush

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxFiles bounds how many log files, and how many state files, are looked at.
const maxFiles = 10000

// maxTail is how much of a file's end is searched for its last newline.
const maxTail = 64 << 10

// compressed are the endings of files that no shipper reads.
var compressed = []string{".gz", ".xz", ".zst", ".bz2", ".lz4"}

// file is one log file. It is held by a descriptor, so that it is the same one
// when it has been renamed or deleted, and no other can get its inode.
type file struct {
	name     string // by which it was found
	handle   *os.File
	inode    uint64
	size     int64
	tail     int64 // how much of it follows the last newline
	modified time.Time
	// reached is how far the shipper has proven to be, at most size: it stays
	// where the shipper forgets the file.
	reached int64
	cut     int64 // bytes that were removed before they were proven
}

// fileSet is every file that has matched the patterns so far.
type fileSet struct {
	globs []string
	files []*file
	known map[[2]uint64]bool // device and inode
}

func newFileSet(globs []string) *fileSet {
	return &fileSet{globs: globs, known: map[[2]uint64]bool{}}
}

// measure takes the sizes of all files, those that match for the first time
// included.
func (s *fileSet) measure() ([]*file, error) {
	for _, glob := range s.globs {
		names, err := expand(glob)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if slices.Contains(compressed, strings.ToLower(filepath.Ext(name))) {
				continue
			}
			if err := s.hold(name); err != nil {
				return nil, err
			}
		}
	}
	for _, f := range s.files {
		if err := f.measure(); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return s.files, nil
}

// hold adds the file of that name, unless it is no regular file or known already.
func (s *fileSet) hold(name string) error {
	info, err := os.Stat(name)
	if absent(err) || err == nil && (!info.Mode().IsRegular() || s.known[identity(info)]) {
		return nil // or gone since, or a link to nothing
	}
	if err != nil {
		return err
	}
	handle, err := os.OpenFile(name, unix.O_PATH|unix.O_CLOEXEC, 0) // asks for no permission to read, and does not wait for a pipe
	if err != nil {
		return err
	}
	if info, err = handle.Stat(); err != nil || !info.Mode().IsRegular() || s.known[identity(info)] {
		return errors.Join(err, handle.Close())
	}
	if len(s.files) == maxFiles {
		return errors.Join(fmt.Errorf("more than %d log files match", maxFiles), handle.Close())
	}
	id := identity(info)
	s.known[id] = true
	s.files = append(s.files, &file{name: name, handle: handle, inode: id[1]})
	return nil
}

func identity(info os.FileInfo) [2]uint64 {
	stat := info.Sys().(*syscall.Stat_t) //nolint:errcheck,forcetypeassert // this is Linux
	return [2]uint64{stat.Dev, stat.Ino}
}

func (f *file) measure() error {
	info, err := f.handle.Stat()
	if err != nil {
		return err
	}
	if info.Size() < f.size {
		f.cut += max(0, f.size-f.tail-f.reached)
		f.reached = 0
	}
	if info.Size() != f.size || !info.ModTime().Equal(f.modified) {
		f.size, f.modified = info.Size(), info.ModTime()
		f.tail = f.unfinished()
	}
	return nil
}

// unfinished is how many bytes follow the last newline; 0 where the file cannot
// be read or its last line is very long.
func (f *file) unfinished() int64 {
	readable, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.handle.Fd()))
	if err != nil {
		return 0
	}
	defer func() { _ = readable.Close() }()
	from := max(0, f.size-maxTail)
	end := make([]byte, f.size-from)
	if _, err := readable.ReadAt(end, from); err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	if i := bytes.LastIndexByte(end, '\n'); i >= 0 {
		return int64(len(end) - i - 1)
	}
	if from == 0 {
		return f.size
	}
	return 0
}

// at reports whether the name still leads to this file.
func (f *file) at() bool {
	now, err := os.Stat(f.name)
	if err != nil {
		return false
	}
	held, err := f.handle.Stat()
	return err == nil && os.SameFile(now, held)
}

// doubt is what the files themselves leave unknown.
func (s *fileSet) doubt() string {
	if len(s.globs) > 0 && len(s.files) == 0 {
		return "no file matches " + strings.Join(s.globs, " ")
	}
	for _, f := range s.files {
		if f.cut > 0 {
			return fmt.Sprintf("%s was cut short: %d bytes were in it that had not been delivered", f.name, f.cut)
		}
	}
	return ""
}

func (s *fileSet) close() {
	for _, f := range s.files {
		_ = f.handle.Close()
	}
	s.files, s.known = nil, map[[2]uint64]bool{}
}
