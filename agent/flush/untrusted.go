package flush

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxState bounds a state file, an answer over HTTP, and what is read of a log at
// once.
const maxState = 1 << 20

// stateDir is a directory of a shipper's state files. What is in it is
// untrusted: no link is followed out of it, and only regular files are opened.
type stateDir struct{ root *os.Root }

func openState(dir string) (*stateDir, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &stateDir{root}, nil
}

func (d *stateDir) close() { _ = d.root.Close() }

// list returns the names in the directory.
func (d *stateDir) list() ([]fs.DirEntry, error) {
	dir, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	entries, err := dir.ReadDir(maxFiles + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if len(entries) > maxFiles {
		err = fmt.Errorf("%s: more than %d state files", d.root.Name(), maxFiles)
	}
	return entries, err
}

// read returns a file and when it was written.
func (d *stateDir) read(name string) ([]byte, fs.FileInfo, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", name)
	}
	file, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }()
	return bounded(file)
}

// bounded reads a regular file of at most maxState bytes.
func bounded(file *os.File) ([]byte, fs.FileInfo, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", file.Name())
	}
	data, err := io.ReadAll(io.LimitReader(file, maxState+1))
	if err == nil && len(data) > maxState {
		err = fmt.Errorf("%s is larger than 1 MiB", file.Name())
	}
	return data, info, err
}
