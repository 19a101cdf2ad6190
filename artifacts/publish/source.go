package publish

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

// source is where the bytes of a listing come from, by the number that its
// entries had when they were listed.
type source interface {
	// open is the bytes of a file, and what checks afterwards that it has not
	// changed meanwhile.
	open(i int) (body io.ReadCloser, unchanged func() error, err error)
	// settled checks that of these entries none was added, removed or renamed.
	settled(kept []int) error
	Close() error
}

// listing is what is to be packed.
type listing struct {
	source
	files   []lint.File // parents first, names in byte order
	numbers []int       // of files, in the source
	watched []int       // numbers of all that must not change until it is packed
}

func (l *listing) add(f lint.File) {
	l.watched = append(l.watched, len(l.files))
	l.numbers = append(l.numbers, len(l.files))
	l.files = append(l.files, f)
}

// entries are what an instance will have; hashes and offsets come with packing.
func (l *listing) entries() []tree.Entry {
	entries := make([]tree.Entry, len(l.files))
	for i := range l.files {
		entries[i] = l.files[i].Entry
	}
	return entries
}

// bytes are those of all files together.
func (l *listing) bytes() (n int64) {
	for i := range l.files {
		n += l.files[i].Size
	}
	return n
}

// head reads the first bytes of a file.
func (l *listing) head(i int, buf []byte) (int, error) {
	body, _, err := l.open(l.numbers[i])
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(body, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // these come from ReadFull itself
		err = nil
	}
	_ = body.Close() // only read
	return n, err
}

// single is one file.
type single struct {
	file *os.File
	info fs.FileInfo
}

func (s *single) open(int) (io.ReadCloser, func() error, error) {
	body := io.NopCloser(io.NewSectionReader(s.file, 0, s.info.Size()))
	return body, func() error { return same(s.file, s.file.Name(), s.info) }, nil
}

func (*single) settled([]int) error { return nil }

func (*single) Close() error { return nil } // the file is the input's

// listSingle makes a tree of one file, which may be executed.
func listSingle(f *os.File, info fs.FileInfo, name string, opt Options) *listing {
	l := &listing{source: &single{f, info}}
	file := lint.File{Entry: tree.Entry{Path: name, Type: tree.TypeFile, Mode: tree.FileMode(0o755), Size: info.Size()}, Was: info.Mode()}
	var names [4 << 10]byte
	n, err := unix.Flistxattr(int(f.Fd()), names[:])
	if err == nil {
		file.Attributes = splitNames(names[:n])
	}
	if opt.KeepTimes {
		file.Time = tree.Seconds(info.ModTime())
	}
	l.add(file)
	return l
}

// splitNames are the names that listxattr(2) returns.
func splitNames(list []byte) (names []string) {
	for name := range bytes.SplitSeq(list, []byte{0}) {
		if len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names
}

// ErrModified is something that changed while it was packed.
var ErrModified = fmt.Errorf("changed while it was packed")

func same(f *os.File, name string, was fs.FileInfo) error {
	is, err := f.Stat()
	if err != nil {
		return err
	}
	return unchanged(name, was, is)
}

// unchanged compares what a file was with what it is.
func unchanged(name string, was, is fs.FileInfo) error {
	if !os.SameFile(was, is) || was.Size() != is.Size() || was.Mode() != is.Mode() || !was.ModTime().Equal(is.ModTime()) {
		return fmt.Errorf("%s %w", name, ErrModified)
	}
	return nil
}
